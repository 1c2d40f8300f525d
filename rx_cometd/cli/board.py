"""What the demo shows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rx_cometd import ClientState
from rx_cometd.cli.quotes import TREND, Lane, Link, Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from rich.console import Console, RenderableType

    from rx_cometd import ConnectionType
    from rx_cometd.cli.quotes import Update

__all__ = ["Board", "LiveBoard", "PlainBoard", "sparkline"]

_BARS = "▁▂▃▄▅▆▇█"
#: As many as leave the whole at 23 lines, within a terminal of 24.
_EVENTS = 5


def sparkline(values: Sequence[float]) -> str:
    """Draw a series as a row of bars, from its lowest value to its highest.

    >>> sparkline([1.0, 2.0, 3.0])
    '▁▄█'
    """
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[int((value - low) * scale)] for value in values)


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
        self._title = title
        self._rows: dict[str, Row] = {}
        self._lanes: dict[ConnectionType, Lane] = {}
        self._links: dict[ConnectionType, Link] = {}
        self._drawn: dict[str, float] = {}
        self._events: deque[Text] = deque(maxlen=_EVENTS)
        self._began = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, get_renderable=self.render)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

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
        self._live.refresh()
        self._drawn = {row.symbol: row.price for row in self._rows.values()}

    def render(self) -> RenderableType:
        """Give what the terminal shall show."""
        # Always as many lines, or the table would jump when the first event happens.
        events = [*self._events, *[Text()] * (_EVENTS - len(self._events))]
        return Group(
            Text(self._title, style="bold"),
            self._render_lanes(),
            Text(),
            self._render_rows(),
            *events,
        )

    def _render_lanes(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("Transport", width=12)
        table.add_column("State", width=13)
        for heading in ("Quotes", "Quotes/s", "Delay", "Lost", "Repeated"):
            table.add_column(heading, justify="right", min_width=7)
        for via, link in self._links.items():
            up = link.change.state is ClientState.CONNECTED
            lane = self._lanes.get(via, Lane())
            table.add_row(
                Text(via.value, style="cyan"),
                Text(link.change.state.value, style="green" if up else "yellow"),
                f"{lane.received:,}",
                f"{lane.rate.per_second():.0f}",
                f"{lane.delay * 1000:.1f} ms",
                Text(str(lane.lost), style="red" if lane.lost else ""),
                str(lane.repeated),
            )
        return table

    def _render_rows(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("Symbol", width=8)
        table.add_column("Last", justify="right", width=9)
        table.add_column("Change", justify="right", width=8)
        table.add_column("Trend", width=TREND)
        table.add_column("Quotes/s", justify="right")
        for symbol in sorted(self._rows):
            table.add_row(*self._cells(self._rows[symbol]))
        return table

    def _cells(self, row: Row) -> list[Text | str]:
        colour = "green" if row.change >= 0 else "red"
        before = self._drawn.get(row.symbol, row.price)
        moved = "bold reverse " if row.price != before else ""
        direction = "green" if row.price > before else "red"
        return [
            Text(row.symbol, style="bold"),
            Text(f"{row.price:.2f}", style=moved + direction if moved else ""),
            Text(f"{row.change:+.2%}", style=colour),
            Text(sparkline(row.trend), style=colour),
            f"{row.rate.per_second():.1f}",
        ]


class PlainBoard:
    """Lines for files and pipes: the latest of each symbol, once a second."""

    frame = 1.0

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
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
                f"{row.rate.per_second():>7.1f}/s  {sparkline(row.trend)}"
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
