"""The code in the README and in docs/ compiles; what is marked with ``<!-- run -->`` runs.

Where a page says what a program prints, it prints that.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.project.docs import BLOCKS, PAGES, Block
from tests.project.programs import run_python

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def name_of(block: Block) -> str:
    return block.name


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_block_compiles(block: Block) -> None:
    # Fragments may await outside of a function.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(block.code, str(block.page), "exec", flags=flags, dont_inherit=True)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.marked], ids=name_of)
def test_a_marked_block_runs(block: Block, tmp_path: Path) -> None:
    outcome = run_python("-W", "error", "-c", block.code, cwd=tmp_path)
    assert outcome.stderr == ""
    assert outcome.stdout
    if block.output is not None:
        assert outcome.stdout == block.output


def test_the_readme_has_code_that_runs() -> None:
    assert len([b for b in BLOCKS if b.marked and b.page.name == "README.md"]) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    for link in links:
        if "://" not in link:
            assert (page.parent / link).exists(), link
