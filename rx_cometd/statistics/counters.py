"""The counters of a client as they are counted."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rx_cometd.statistics.channel_traffic import ChannelTraffic
from rx_cometd.statistics.snapshot import Statistics

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """The counters as they are counted; those that a `Statistics` tells have its names."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    handshakes: int = 0
    reconnects: int = 0
    drops: int = 0
    suspensions: int = 0
    resumed: int = 0
    drops_by_policy: dict[str, int] = field(default_factory=dict[str, int])
    #: When the server was last heard of, in seconds of a steady clock.
    last_heard: float | None = None
    #: When the last event message came, likewise.
    last_event: float | None = None
    #: Bytes of the payload that came last.
    payload_size: int = 0
    #: What came on each channel, while somebody has it counted.
    channels: ChannelTraffic | None = None
    _wanted: int = 0

    def events_came(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Take note of the event messages of the payload that was heard last."""
        heard = self.last_event = self.last_heard
        if self.channels is not None and heard is not None:
            self.channels.count(events, self.payload_size / len(events), heard)

    @contextmanager
    def counting_channels(self, now: float) -> Generator[None]:
        """Have channels counted while the block runs; several blocks share one count."""
        self._wanted += 1
        if self.channels is None:
            self.channels = ChannelTraffic(now)
        try:
            yield
        finally:
            self._wanted -= 1
            if not self._wanted:
                self.channels = None

    def snapshot(self, now: float, steady_now: float, pending: int) -> Statistics:
        """Give the counters as they are now.

        Args:
            now: The time, in seconds since the epoch.
            steady_now: The time by the steady clock of `last_heard`.
            pending: Messages that wait in the buffers.
        """
        since = now - steady_now
        return Statistics(
            self.messages_in,
            self.messages_out,
            self.bytes_in,
            self.bytes_out,
            self.handshakes,
            self.reconnects,
            self.drops,
            self.suspensions,
            None if self.last_heard is None else self.last_heard + since,
            self.resumed,
            None if self.last_event is None else self.last_event + since,
            pending,
            dict(self.drops_by_policy),
        )
