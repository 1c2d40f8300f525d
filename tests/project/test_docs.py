"""The code in the README and in docs/ compiles; what is marked with ``<!-- run -->`` runs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(r"^(<!-- run -->\n)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


class Block(NamedTuple):
    """A block of Python code."""

    page: Path
    line: int
    code: str
    runs: bool


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start(2)) + 1, match[2], match[1] is not None)
        for match in _BLOCK.finditer(text)
    ]


def name_of(block: Block) -> str:
    return f"{block.page.name}:{block.line}"


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_a_block_compiles(block: Block) -> None:
    # Fragments may await outside of a function.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(block.code, str(block.page), "exec", flags=flags, dont_inherit=True)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.runs], ids=name_of)
def test_a_marked_block_runs(block: Block, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert outcome.stderr == ""
    assert outcome.stdout


def test_the_readme_has_code_that_runs() -> None:
    assert len([b for b in BLOCKS if b.runs and b.page.name == "README.md"]) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    for link in links:
        if "://" not in link:
            assert (page.parent / link).exists(), link
