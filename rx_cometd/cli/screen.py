"""The full screen of ``rx-cometd top``, drawn by Textual."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, ComposeResult, ScreenStackError
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, Static

from rx_cometd import CometDError
from rx_cometd.cli.parameters import read_json
from rx_cometd.cli.running import error_line
from rx_cometd.cli.table import COLUMNS, ChannelTable, age, si

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd.cli.activity import ChannelActivity
    from rx_cometd.cli.watched import Watched

__all__ = ["TopScreen"]

_HELP = """\
 up, down, page   move
 enter            the last messages of a channel
 s, S             sort by the next column, or the one before
 click            on a heading: sort by it
 r                reverse the order
 /                show channels that contain a text
 space            hold the screen still
 p                publish
 q, ctrl+c        leave
 ?                close this
"""


class TopScreen(App[None]):
    """Connection, channels, and what happened.

    Args:
        watched: What to look at.
        interval: Seconds between two redraws.
    """

    CSS = """
    #connection, #log { text-wrap: nowrap; text-overflow: ellipsis; }
    #connection { height: 3; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    #filter.shown { display: block; }
    ChannelTable { height: 1fr; }
    #log { height: 5; border-top: solid $primary; }
    Sheet { align: center middle; }
    Sheet > * { width: 90%; max-height: 90%; height: auto; border: round $primary; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit"),
        Binding("s", "sort(1)", "Sort"),
        Binding("S", "sort(-1)", "Sort back", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter"),
        Binding("space", "pause", "Pause"),
        Binding("p", "publish", "Publish"),
        Binding("question_mark", "keys", "Keys"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, watched: Watched, interval: float) -> None:
        super().__init__()
        self._watched = watched
        self._interval = interval
        self._sorted_by, self._reversed, self._paused = 1, False, False
        self._wanted = ""
        self._events = -1

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Static(id="connection", markup=False)
        yield Input(placeholder="channels that contain this; enter to go back", id="filter")
        yield ChannelTable()
        yield Static(id="log", markup=False)
        yield Footer()

    async def on_mount(self) -> None:
        """Begin to measure."""
        self.query_one(ChannelTable).focus()
        await self.tick()
        self.set_interval(self._interval, self._on_timer)

    async def tick(self) -> None:
        """Measure, and draw it; held still, only measure."""
        await self._watched.refresh()
        if not self._paused:
            self._draw()

    async def _on_timer(self) -> None:
        # A timer may still fire while the screen is taken down, and find nothing to draw on.
        with suppress(NoMatches, ScreenStackError):
            await self.tick()

    def _draw(self) -> None:
        watched = self._watched
        column = COLUMNS[self._sorted_by]
        rows = sorted(
            (c for c in watched.activity.channels.values() if self._wanted in c.name),
            key=column.key,
            reverse=column.descending != self._reversed,
        )
        self.query_one(ChannelTable).show(rows, self._sorted_by)
        self.query_one("#connection", Static).update(self._connection(rows))
        if watched.events != self._events:
            self._events = watched.events
            self.query_one("#log", Static).update("\n".join([*watched.log][-4:]))
        if isinstance(self.screen, Sheet):
            self.screen.tick()

    def _connection(self, rows: list[ChannelActivity]) -> str:
        facts = dict(self._watched.facts())
        total = [
            f"{len(rows)} channels",
            f"{si(sum(c.rate for c in rows))} msg/s",
            f"{si(_sum([c.byte_rate for c in rows]))} B/s",
            *(f"{name} {si(facts.pop(name))}" for name in ("pending", "drops") if name in facts),
        ]
        if self._wanted:
            total.insert(0, f"with {self._wanted!r}:")
        if self._paused:
            total.insert(0, "PAUSED")
        lines = ([*_link(facts), self._watched.url], _session(facts), total)
        return "\n".join(_fitting(line, self.size.width) for line in lines)

    def on_channel_table_chosen(self, event: ChannelTable.Chosen) -> None:
        """Show the last messages of a channel."""
        self.push_screen(Messages(event.channel))

    def on_channel_table_sort_asked(self, event: ChannelTable.SortAsked) -> None:
        """Sort by a column."""
        self._sorted_by = event.column
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Take the filter over as it is typed."""
        if event.input.id == "filter":
            self._wanted = event.value
            self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go back to the table."""
        if event.input.id == "filter":
            event.input.remove_class("shown")
            self.query_one(ChannelTable).focus()

    def action_sort(self, step: int) -> None:
        """Sort by another column."""
        self._sorted_by = (self._sorted_by + step) % len(COLUMNS)
        self._draw()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self._reversed = not self._reversed
        self._draw()

    def action_filter(self) -> None:
        """Ask which channels to show."""
        self.query_one("#filter").add_class("shown").focus()

    def action_pause(self) -> None:
        """Hold the screen still, or go on; counting goes on."""
        self._paused = not self._paused
        self._draw()

    def action_publish(self) -> None:
        """Ask what to publish."""
        chosen = self.query_one(ChannelTable).chosen
        self.push_screen(Publish(self._watched, "" if chosen is None else chosen.name))

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(Keys())


class Sheet(ModalScreen[None]):
    """Something laid over the table until escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark", "dismiss", "Close")]

    def tick(self) -> None:
        """Draw again."""


class Keys(Sheet):
    """The keys."""

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Static(_HELP, markup=False)


class Messages(Sheet):
    """The last messages of a channel, the newest first."""

    def __init__(self, channel: ChannelActivity) -> None:
        super().__init__()
        self._channel = channel
        self._kept = channel.keep()

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        with VerticalScroll():
            yield Static(id="messages", markup=False)

    def on_mount(self) -> None:
        """Show what there is."""
        self.tick()

    def on_unmount(self) -> None:
        """Keep no more messages."""
        self._channel.forget()

    def tick(self) -> None:
        """Draw again."""
        shown = [json.dumps(m, indent=2, ensure_ascii=False) for m in reversed(self._kept)]
        text = "\n".join(shown[:10]) or "no message came yet"
        self.query_one("#messages", Static).update(f"{self._channel.name}\n{text}")


class Publish(Sheet):
    """Asks what to publish, and where."""

    def __init__(self, watched: Watched, channel: str) -> None:
        super().__init__()
        self._watched = watched
        self._name = channel

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        with Vertical():
            yield Input(self._name, placeholder="channel", id="channel")
            yield Input(placeholder='JSON, as {"text": "hi"}; enter publishes', id="data")
            yield Static(id="outcome", markup=False)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        """Publish, and say how it went."""
        event.stop()
        outcome = self.query_one("#outcome", Static)
        try:
            data = read_json(self.query_one("#data", Input).value)
            await self._watched.publish(self.query_one("#channel", Input).value, data)
        except CometDError as error:
            outcome.update(error_line(error))
        except ValueError as error:
            outcome.update(str(error))
        else:
            self.dismiss()


def _sum(figures: Sequence[float | None]) -> float | None:
    """Add up what is known; ``None`` where nothing is known of any."""
    known = [figure for figure in figures if figure is not None]
    return None if figures and not known else sum(known)


def _fitting(parts: list[str], width: int) -> str:
    """Put as many parts into a line as fit: a figure that is cut is a wrong one."""
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > width:
            break
        line += f"  {part}"
    return line


def _link(facts: dict[str, Any]) -> list[str]:
    state, transport = facts.pop("state"), facts.pop("transport", None)
    return [state if transport is None else f"{state} over {transport}"]


def _session(facts: dict[str, Any]) -> list[str]:
    """Give what is known of the session, or the figures that a relay has."""
    if "session" not in facts:
        return [f"{name} {si(value)}" for name, value in facts.items()] or [""]
    if facts["session"] is None:
        return ["no session"]
    trip = facts["round_trip"]
    return [
        f"{'resumed' if facts['resumed'] else 'new'} session of {age(facts['session_age'])}",
        f"reconnects {facts['reconnects']}",
        f"round trip {'-' if trip is None else f'{trip * 1000:.1f} ms'}",
        f"heard {age(facts['last_heard'])} ago",
    ]
