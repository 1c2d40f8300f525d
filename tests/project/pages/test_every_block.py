"""No block of Python on a page is left unrun: it is a program, or a fragment that a test runs."""

from __future__ import annotations

import importlib
import pkgutil

from tests.project import pages
from tests.project.docs import BLOCKS
from tests.project.pages.fragment import TESTED

#: Blocks that cannot be run, by page and heading, each with the reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}


def test_every_block_is_run() -> None:
    for module in pkgutil.iter_modules(pages.__path__):
        importlib.import_module(f"{pages.__name__}.{module.name}")
    fragments = {block for block in BLOCKS if not block.is_program}
    left = {(b.page.name, b.heading) for b in fragments - TESTED}
    assert left == set(EXCEPTIONS)
    assert len(fragments) >= 20
