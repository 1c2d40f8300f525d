"""What the demo shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from rx_cometd import ClientState
from rx_cometd.cli.frame import Frame
from rx_cometd.cli.quotes import TREND, Lane, Link, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from rx_cometd import ConnectionType
    from rx_cometd.cli.quotes import Update

__all__ = ["Board", "LiveBoard", "PlainBoard", "bars_for", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
#: Where the output cannot hold these.
_ASCII_BARS = "_.-=+*%#"
_STATES = {
    ClientState.CONNECTED: "connected",
    ClientState.UNCONNECTED: "link lost",
    ClientState.REHANDSHAKING: "link lost",
    ClientState.DISCONNECTED: "closed",
    ClientState.DISCONNECTING: "closing",
}
#: Columns that go first where a terminal is narrow, in this order; the others stay.
_LANE_COLUMNS = ("Delay", "Quotes/s", "State")
_ROW_COLUMNS = ("Trend", "Quotes/s")
_WIDE = 1000

_T = TypeVar("_T")
#: As many as leave the whole at 23 lines, within a terminal of 24.
_EVENTS = 5


def sparkline(values: Sequence[float], bars: str = _BARS) -> str:
    """Draw a series as a row of bars, from its lowest value to its highest.

    >>> sparkline([1.0, 2.0, 3.0])
    '▁▄█'
    """
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(bars) - 1) / (high - low) if high > low else 0.0
    return "".join(bars[int((value - low) * scale)] for value in values)


def bars_for(console: Console) -> str:
    """Give the bars that a console can show: not every locale is UTF-8."""
    return _BARS if console.encoding.lower().startswith("utf") else _ASCII_BARS


class Board(Protocol):
    """Where updates are shown."""

    #: Seconds between two drawings.
    frame: float

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def update(self, update: Update) -> None:
        """Take in an update."""
        ...

    def note(self, text: str) -> None:
        """Show something that happened."""
        ...

    def draw(self) -> None:
        """Show what was taken in."""
        ...


class LiveBoard:
    """Tables that are drawn again in place."""

    frame = 0.1

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._bars = bars_for(console)
        self._frame = Frame(console)
        self._title = title
        self._rows: dict[str, Row] = {}
        self._lanes: dict[ConnectionType, Lane] = {}
        self._links: dict[ConnectionType, Link] = {}
        self._drawn: dict[str, float] = {}
        self._events: deque[Text] = deque(maxlen=_EVENTS)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._console.show_cursor(show=False)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._frame.draw(self.render())
        self._console.show_cursor(show=True)

    def update(self, update: Update) -> None:
        """Take in an update."""
        match update:
            case Row():
                self._rows[update.symbol] = update
            case Lane(via=via) if via is not None:
                self._lanes[via] = update
            case Link(via, change):
                self._links[via] = update
                told = describe(update)
                if told is not None:
                    good = change.state is ClientState.CONNECTED
                    self.note(told, style="green" if good else "yellow")
            case _:
                pass

    def note(self, text: str, style: str = "") -> None:
        """Show something that happened."""
        elapsed = time.monotonic() - self._began
        self._events.append(Text.assemble((f"{elapsed:5.1f} s  ", "dim"), (text, style)))

    def draw(self) -> None:
        """Show what was taken in."""
        self._frame.draw(self.render())
        self._drawn = {row.symbol: row.price for row in self._rows.values()}

    def render(self) -> RenderableType:
        """Give what the terminal shall show."""
        # Always as many lines, or the table would jump when the first event happens.
        events = [*self._events, *[Text()] * (_EVENTS - len(self._events))]
        rows = [self._rows[symbol] for symbol in sorted(self._rows)]
        for event in events:
            event.no_wrap, event.overflow = True, "crop"
        return Group(
            Text(self._title, style="bold", no_wrap=True, overflow="crop"),
            self._fitting(self._lane_columns(), self._links.values(), _LANE_COLUMNS),
            Text(),
            self._fitting(self._row_columns(), rows, _ROW_COLUMNS),
            *events,
        )

    def _fitting(
        self, columns: Sequence[_Column[_T]], items: Iterable[_T], droppable: Sequence[str]
    ) -> Table:
        """Leave out as many columns as it takes: a number that is cut is a wrong one."""
        rows = list(items)
        table = _table(columns, rows)
        wide = self._console.options.update(max_width=_WIDE)
        for count in range(1, len(droppable) + 1):
            if Measurement.get(self._console, wide, table).maximum <= self._console.width:
                break
            table = _table([c for c in columns if c.heading not in droppable[:count]], rows)
        return table

    def _lane_columns(self) -> list[_Column[Link]]:
        def lane(link: Link) -> Lane:
            return self._lanes.get(link.via, Lane())

        return [
            _Column[Link]("Transport", lambda link: Text(link.via.value, style="cyan"), width=12),
            _Column[Link]("State", lambda link: _state(link.change.state), width=10),
            _Column[Link]("Quotes", lambda link: f"{lane(link).received:,}", "right", 7),
            _Column[Link]("Quotes/s", lambda link: f"{lane(link).rate.per_second():.0f}", "right"),
            _Column[Link]("Delay", lambda link: f"{lane(link).delay * 1000:.1f} ms", "right", 8),
            _Column[Link]("Lost", lambda link: _count(lane(link).lost), "right", 4),
            _Column[Link]("Repeated", lambda link: str(lane(link).repeated), "right"),
        ]

    def _row_columns(self) -> list[_Column[Row]]:
        return [
            _Column[Row]("Symbol", lambda row: Text(row.symbol, style="bold"), width=8),
            _Column[Row]("Last", self._price, "right", 9),
            _Column[Row]("Change", _change, "right", 8),
            _Column[Row]("Trend", self._trend, width=TREND),
            _Column[Row]("Quotes/s", lambda row: f"{row.rate.per_second():.1f}", "right"),
        ]

    def _trend(self, row: Row) -> Text:
        return Text(sparkline(row.trend, self._bars), style=_colour(row))

    def _price(self, row: Row) -> Text:
        before = self._drawn.get(row.symbol, row.price)
        if row.price == before:
            return Text(f"{row.price:.2f}")
        return Text(
            f"{row.price:.2f}", style=f"bold reverse {'green' if row.price > before else 'red'}"
        )


@dataclass(frozen=True)
class _Column(Generic[_T]):
    """A column: its heading, and what its cells show."""

    heading: str
    cell: Callable[[_T], Text | str]
    justify: Literal["left", "right"] = "left"
    width: int = 0


def _table(columns: Sequence[_Column[_T]], items: Iterable[_T]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            column.heading, justify=column.justify, min_width=column.width or None, no_wrap=True
        )
    for item in items:
        table.add_row(*(column.cell(item) for column in columns))
    return table


def _state(state: ClientState) -> Text:
    up = state is ClientState.CONNECTED
    return Text(_STATES.get(state, "connecting"), style="green" if up else "yellow")


def _change(row: Row) -> Text:
    return Text(f"{row.change:+.2%}", style=_colour(row))


def _count(lost: int) -> Text:
    return Text(str(lost), style="red" if lost else "")


def _colour(row: Row) -> str:
    return "green" if row.change >= 0 else "red"


class PlainBoard:
    """Lines for files and pipes: the latest of each symbol, once a second."""

    frame = 1.0

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._bars = bars_for(console)
        self._changed: dict[str, Row] = {}
        self._lanes: dict[ConnectionType, Lane] = {}
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        self._print(self._title)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for via, lane in self._lanes.items():
            self.note(
                f"{via.value}: {lane.received} quotes, {lane.lost} lost, {lane.repeated} repeated"
            )

    def update(self, update: Update) -> None:
        """Take in an update."""
        match update:
            case Row():
                self._changed[update.symbol] = update
            case Lane(via=via) if via is not None:
                self._lanes[via] = update
            case Link():
                told = describe(update)
                if told is not None:
                    self.note(told)
            case _:
                pass

    def note(self, text: str) -> None:
        """Show something that happened."""
        self._print(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def draw(self) -> None:
        """Show what was taken in."""
        for symbol in sorted(self._changed):
            row = self._changed[symbol]
            self.note(
                f"{symbol:<6}{row.price:>9.2f}{row.change:>+8.2%}"
                f"{row.rate.per_second():>7.1f}/s  {sparkline(row.trend, self._bars)}"
            )
        self._changed.clear()

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def describe(link: Link) -> str | None:
    """Say what became of a link, ``None`` where it needs no words."""
    change = link.change
    match change.state:
        case ClientState.CONNECTED:
            session = (
                "the same session goes on" if change.resumed else f"session {change.client_id}"
            )
            return f"{link.via.value}: connected, {session}"
        case ClientState.UNCONNECTED | ClientState.REHANDSHAKING:
            return f"{link.via.value}: link lost, reconnecting"
        case _:
            return None
