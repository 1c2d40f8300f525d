"""The programs in the documentation: blocks of Python, and what a page says that they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
#: The page whose blocks all run, and print what stands below them.
COOKBOOK = ROOT / "docs" / "cookbook.md"

_BLOCK = re.compile(
    r"^(<!-- run -->\n)?```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A block of Python code."""

    page: Path
    line: int
    code: str
    output: str | None
    """What the page says that it prints, if it says so."""
    marked: bool
    """Whether it is marked with ``<!-- run -->``."""

    @property
    def is_program(self) -> bool:
        """Whether it is complete, rather than a fragment."""
        return self.marked or self.page == COOKBOOK

    @property
    def name(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Give the blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start(2)) + 1,
            match[2],
            match[3],
            match[1] is not None,
        )
        for match in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
