"""The table of channels: only the rows on the screen are drawn, however many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from rx_cometd.cli.activity import TREND
from rx_cometd.cli.board import sparkline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from textual.events import Click

    from rx_cometd.cli.activity import ChannelActivity

__all__ = ["COLUMNS", "ChannelTable", "age", "si"]


def si(value: float | None) -> str:
    """Give a figure in four places or so: ``950``, ``12.3k``, ``4.5M``; ``-`` if it is not known.

    >>> si(12_345), si(0.5), si(None)
    ('12.3k', '0.5', '-')
    """
    if value is None:
        return "-"
    for unit in ("", "k", "M", "G"):
        if abs(value) < 999.5:
            return (
                f"{value:.0f}{unit}"
                if value >= 100 or value == int(value)
                else f"{value:.1f}{unit}"
            )
        value /= 1000
    return f"{value:.1f}T"


def age(seconds: float | None) -> str:
    """Give an age: ``3 s``, ``2 min``, ``5 h``; ``-`` if there is none.

    >>> age(3.2), age(125.0), age(None)
    ('3 s', '2 min', '-')
    """
    if seconds is None:
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _order_of(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


@dataclass(frozen=True)
class Column:
    """A column of the table: its width is fixed, but for the first, which takes what is left."""

    heading: str
    width: int
    text: Callable[[ChannelActivity], str]
    key: Callable[[ChannelActivity], float | str]
    descending: bool = True
    left: bool = False


COLUMNS = (
    Column("Channel", 0, lambda c: c.name, lambda c: c.name, descending=False, left=True),
    Column("Msg/s", 7, lambda c: si(c.rate), lambda c: c.rate),
    Column("B/s", 7, lambda c: si(c.byte_rate), lambda c: c.byte_rate or 0),
    Column("Age", 6, lambda c: age(c.age), lambda c: _order_of(c.age), descending=False),
    Column("Trend", 12, lambda c: sparkline([*c.trend][-12:]), lambda c: sum(c.trend), left=True),
    Column("Total", 7, lambda c: si(c.messages), lambda c: c.messages),
    Column("Pending", 7, lambda c: si(c.pending), lambda c: c.pending or 0),
    Column("Drops", 5, lambda c: si(c.drops), lambda c: c.drops or 0),
)
_WIDE_TREND = Column(
    "Trend", TREND, lambda c: sparkline(c.trend), lambda c: sum(c.trend), left=True
)
_TREND = 4
#: Where the terminal is narrow these go, in this order: the trend, then from the right.
_DROPPED = (_TREND, 7, 6, 5, 3, 2)
_MIN_NAME = 16
#: From this width on the trend is as long as it is kept.
_WIDE = 120
_HEAD = Style(bold=True)
_SORTED = Style(bold=True, underline=True)
_CURSOR = Style(reverse=True)
_QUIET = Style(dim=True)


class ChannelTable(ScrollView, can_focus=True):
    """Channels, one a row, under a heading that stays."""

    DEFAULT_CSS = "ChannelTable { overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "move(-20)", "Page up", show=False),
        Binding("pagedown", "move(20)", "Page down", show=False),
        Binding("home", "move(-1000000)", "First", show=False),
        Binding("end", "move(1000000)", "Last", show=False),
        Binding("enter", "choose", "Messages"),
    ]

    class Chosen(Message):
        """A channel was chosen."""

        def __init__(self, channel: ChannelActivity) -> None:
            super().__init__()
            self.channel = channel

    class SortAsked(Message):
        """The heading of a column was clicked."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def __init__(self) -> None:
        super().__init__()
        self._rows: Sequence[ChannelActivity] = ()
        self._cursor = 0
        self._sorted_by = 1

    def show(self, rows: Sequence[ChannelActivity], sorted_by: int) -> None:
        """Show these channels; the cursor stays on its own where it can."""
        chosen = self.chosen
        self._rows, self._sorted_by = rows, sorted_by
        # But in the first row, which shows what leads.
        if chosen is not None and self.chosen is not chosen and self._cursor > 0:
            place = next((i for i, row in enumerate(rows) if row is chosen), self._cursor)
            self._cursor = min(place, max(0, len(rows) - 1))
        self.virtual_size = Size(self.scrollable_size.width, len(rows) + 1)
        self.refresh()

    @property
    def chosen(self) -> ChannelActivity | None:
        """The channel under the cursor."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._cursor = min(max(0, self._cursor + rows), max(0, len(self._rows) - 1))
        top, height = self.scroll_offset.y, max(1, self.scrollable_size.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False)
        self.refresh()

    def action_choose(self) -> None:
        """Choose the channel under the cursor."""
        if self.chosen is not None:
            self.post_message(self.Chosen(self.chosen))

    def on_click(self, event: Click) -> None:
        """Sort by a heading, or move the cursor to a row."""
        if event.y > 0:
            self.action_move(event.y - 1 + self.scroll_offset.y - self._cursor)
            return
        x = event.x
        for number, _, width in self._layout():
            if x <= width:
                self.post_message(self.SortAsked(number))
                return
            x -= width + 1

    def render_line(self, y: int) -> Strip:
        """Draw a line of the screen."""
        if y == 0:
            return self._line(
                [
                    Segment(_fit(column.heading, width, left=column.left), self._head(number))
                    for number, column, width in self._layout()
                ]
            )
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._rows):
            return Strip.blank(self.scrollable_size.width, self.rich_style)
        row = self._rows[place]
        style = _CURSOR if place == self._cursor and self.has_focus else None
        if style is None and not row.rate:
            style = _QUIET
        cells = [
            Segment(_fit(column.text(row), width, left=column.left), style)
            for _, column, width in self._layout()
        ]
        return self._line(cells, style)

    def _head(self, number: int) -> Style:
        return _SORTED if number == self._sorted_by else _HEAD

    def _line(self, cells: list[Segment], style: Style | None = None) -> Strip:
        segments = [part for cell in cells for part in (cell, Segment(" ", style))][:-1]
        width = self.scrollable_size.width
        return Strip(segments).adjust_cell_length(width, style).apply_style(self.rich_style)

    def _layout(self) -> list[tuple[int, Column, int]]:
        """Give the columns that there is room for: their places in `COLUMNS`, and widths."""
        columns = dict(enumerate(COLUMNS))
        width = self.scrollable_size.width
        if width >= _WIDE:
            columns[_TREND] = _WIDE_TREND
        for dropped in _DROPPED:
            if _rest(columns, width) >= _MIN_NAME:
                break
            del columns[dropped]
        rest = max(_rest(columns, width), 1)
        return [(n, c, c.width if n > 0 else rest) for n, c in columns.items()]


def _rest(columns: Mapping[int, Column], width: int) -> int:
    """Tell how much the figures leave for the first column, the name."""
    return width - sum(column.width + 1 for number, column in columns.items() if number > 0)


def _fit(text: str, width: int, *, left: bool) -> str:
    """Fill a cell. Names lose their middle where they must; figures are made to fit."""
    if len(text) > width:
        text = (
            f"{text[: width // 2]}…{text[width // 2 + 1 - width :]}" if width > 2 else text[:width]
        )
    return text.ljust(width) if left else text.rjust(width)
