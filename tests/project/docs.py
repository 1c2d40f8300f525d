"""The programs in the documentation: blocks of Python, and what a page says that they print."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
#: The page whose blocks all run, and print what stands below them.
COOKBOOK = ROOT / "docs" / "cookbook.md"

_BLOCK = re.compile(
    r"^(?P<marked><!-- run -->\n)?(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```$"
    r"(?:\n\n```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
#: Other blocks are taken in whole, for a comment in them looks like a heading.
_HEADING = re.compile(r"^( *)```.*?^\1```$|^#+ (?P<heading>[^\n]+)$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of Python code."""

    page: Path
    heading: str
    """What the section is called that it is in."""
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
    headings = [(m.start(), m["heading"]) for m in _HEADING.finditer(text) if m["heading"]]
    return [
        Block(
            page,
            next((name for start, name in reversed(headings) if start < match.start()), ""),
            text.count("\n", 0, match.start("code")) + 1,
            textwrap.dedent(match["code"]),
            match["output"],
            match["marked"] is not None,
        )
        for match in _BLOCK.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
