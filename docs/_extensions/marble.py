"""The ``marble`` directive: diagrams drawn from the ASCII of the docstrings.

One source for both: what ``help()`` shows as text is drawn as SVG on the site. There are three
kinds of lines:

- a timeline, ``--a--(bc)--x`` or ``--1--|``: items, groups, an error, the end; two spaces end it,
  and what follows is a note;
- an operator, ``[ dedupe(letter) ]``, and a note;
- anything else is text, at its column.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import Directive, directives

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

COLUMN = 11
ROW = 38
#: How wide a letter of a note is, and how far a picture may shrink before it scrolls.
LETTER = 8
SMALLEST = 0.7
#: The head of an arrow, for the drawings that have some.
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)
_TOKEN = re.compile(r"\([^)]*\)|\{[^}]*\}|-|\||[^-|(){}]+")
_OPERATOR = re.compile(r"(?P<indent> *)\[ (?P<text>.*) \](?P<note>\s+\S.*)?$")


class Token(NamedTuple):
    """What stands at a column of a timeline."""

    column: int
    text: str


def is_timeline(line: str) -> bool:
    """Tell whether a line of a diagram is a timeline."""
    bare = line.strip().split("  ")[0]
    return "-" in bare and re.search(r"--|-[|x(]|[|x]$", bare) is not None


def tokens_of(timeline: str, column: int) -> list[Token]:
    """Give the tokens of a timeline that begins at a column."""
    return [Token(column + m.start(), m[0]) for m in _TOKEN.finditer(timeline)]


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} class="{kind}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"/>'


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a box around a middle line, from x on."""
    size = f'x="{x:.1f}" y="{y - height / 2}" width="{width}" height="{height}"'
    return f'<rect {size} rx="{11 if kind == "item" else 4}" class="{kind}"/>'


def picture(drawn: str, width: float, height: float, title: str, left: int = 0) -> str:
    """Give a drawing as SVG, in a frame that scrolls where it would get too small to read."""
    return (
        f'<div class="picture"><svg class="marble" role="img" '
        f'viewBox="{left} 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        f'style="min-width: {width * SMALLEST:.0f}px" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{drawn}</svg></div>"
    )


def _timeline(line: str, y: float) -> list[str]:
    indent = len(line) - len(line.lstrip())
    bare, _, note = line.strip().partition("  ")
    end = (indent + len(bare)) * COLUMN
    drawn = [_line(indent * COLUMN, y, end, y, "time")]
    for column, text in tokens_of(bare, indent):
        x = (column + len(text) / 2) * COLUMN
        if text == "|":
            drawn.append(_line(x, y - 9, x, y + 9, "end"))
        elif text == "x":
            drawn += [_line(x - 6, y - 6, x + 6, y + 6, "error")]
            drawn += [_line(x - 6, y + 6, x + 6, y - 6, "error")]
        elif text != "-":
            width = max(len(text) * 8 + 10, 22)
            drawn.append(_box(x - width / 2, y, width, 22, "item"))
            drawn.append(_text(x, y + 4, text.strip("()"), "label", "middle"))
    if note:
        drawn.append(_text(end + 2 * COLUMN, y + 4, note.strip(), "note"))
    return drawn


def _operator(match: re.Match[str], y: float) -> list[str]:
    x = len(match["indent"]) * COLUMN
    width = len(match["text"]) * 8 + 28
    drawn = [_box(x, y, width, 28, "operator"), _text(x + 14, y + 4, match["text"], "label")]
    if match["note"]:
        drawn.append(_text(x + width + COLUMN, y + 4, match["note"].strip(), "note"))
    return drawn


def draw(lines: list[str], title: str) -> str:
    """Draw a diagram as SVG."""
    drawn: list[str] = []
    for row, line in enumerate(lines):
        y = ROW * row + ROW / 2
        operator = _OPERATOR.match(line)
        if operator is not None:
            drawn += _operator(operator, y)
        elif is_timeline(line):
            drawn += _timeline(line, y)
        else:
            indent = len(line) - len(line.lstrip())
            drawn.append(_text(indent * COLUMN, y + 4, line.strip(), "note"))
    width = max((_width(line) for line in lines), default=0) + 2 * COLUMN
    return picture("".join(drawn), width, ROW * len(lines), title, left=-6)


def _width(line: str) -> int:
    """Give how far a line reaches: the letters of notes and operators are narrower than columns."""
    columns = len(line) - len(line.lstrip())
    operator = _OPERATOR.match(line)
    if operator is not None:
        columns += 4
        letters = operator["text"] + (operator["note"] or "").strip()
    elif is_timeline(line):
        bare, _, letters = line.strip().partition("  ")
        columns += len(bare) + 2
    else:
        letters = line
    return columns * COLUMN + len(letters.strip()) * LETTER


class Marble(Directive):
    """``.. marble::`` with the diagram as its content."""

    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], str]]] = {"alt": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        """Give the picture where there can be one, the text elsewhere."""
        lines = [line.rstrip() for line in self.content]
        svg = draw(lines, self.options.get("alt", "marble diagram"))
        text = "\n".join(lines)
        picture = nodes.raw("", svg, format="html")
        fallback = nodes.literal_block(text, text)
        return [nodes.container("", picture, classes=["marble-diagram"]), _only_text(fallback)]


def _only_text(node: nodes.Node) -> nodes.Node:
    """Keep a node for builders of text alone."""
    from sphinx.addnodes import only  # noqa: PLC0415 - Sphinx is an extra

    wrapper = only(expr="text or man")
    wrapper += node
    return wrapper


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("marble", Marble)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
