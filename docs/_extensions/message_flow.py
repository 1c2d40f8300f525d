"""The ``message-flow`` directive: the numbered steps of a section, drawn from their own text."""

from __future__ import annotations

import re
import textwrap
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive
from marble import TIP, picture

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGE = Path(__file__).parents[1] / "design.md"
SECTION = "One message, from socket to observer"
WIDTH, LINE, GAP = 680, 18, 22
_STEP = re.compile(r"^\d+\. (.+(?:\n {3}.+)*)", re.MULTILINE)


def steps_of(page: str) -> list[str]:
    """Give the steps that a page tells of a message, each on one line, without marks."""
    section = page.split(f"## {SECTION}\n", 1)[1].split("\n## ", 1)[0]
    return [" ".join(step.split()).replace("`", "") for step in _STEP.findall(section)]


def draw(steps: list[str]) -> str:
    """Draw steps as boxes, one below the other."""
    drawn: list[str] = []
    y = 4
    for number, step in enumerate(steps):
        lines = textwrap.wrap(step, 80)
        height = len(lines) * LINE + 14
        if number:
            middle = WIDTH // 2
            drawn.append(f'<path class="arrow" d="M{middle} {y - GAP} L{middle} {y - 3}"/>')
        drawn.append(
            f'<rect class="state" x="4" y="{y}" width="{WIDTH - 8}" height="{height}" rx="8"/>'
        )
        drawn += [
            f'<text class="label" x="18" y="{y + 20 + LINE * row}">{escape(line)}</text>'
            for row, line in enumerate(lines)
        ]
        y += height + GAP
    return picture(TIP + "".join(drawn), WIDTH, y - GAP + 4, SECTION)


class MessageFlow(Directive):
    """``.. message-flow::``, without content."""

    def run(self) -> list[nodes.Node]:
        """Give the picture."""
        svg = draw(steps_of(PAGE.read_text(encoding="utf-8")))
        return [nodes.raw("", svg, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("message-flow", MessageFlow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
