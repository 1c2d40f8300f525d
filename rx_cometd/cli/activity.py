"""What flows on channels: counted at every message, measured at every redraw."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Activity", "ChannelActivity"]

#: Rates that a trend shows.
TREND = 24
#: Messages of a channel that are kept once somebody looks at it.
_KEPT = 50
#: Channels that are told apart. Names may be without end (a channel per user, say).
MAX_CHANNELS = 10_000
OTHERS = "(others)"


class ChannelActivity:
    """What is known of a channel.

    Attributes:
        name: The channel.
        messages: Messages since the beginning.
        bytes: Their size as JSON, taken from one message of each measuring, ``None`` where only
            their number is known.
        last: The last message, ``None`` where only figures are known.
        kept: The last messages, oldest first, ``None`` while nobody looks.
        rate: Messages per second, as last measured.
        byte_rate: Bytes per second, as last measured, ``None`` likewise.
        trend: The rates measured last.
        age: Seconds since the last message came, ``None`` before the first.
        pending: Messages that wait in buffers, ``None`` where that is not known.
        drops: Messages that buffers dropped, ``None`` where that is not known.
    """

    __slots__ = (
        *("_at", "_bytes_seen", "_seen", "_size", "age", "byte_rate", "bytes", "drops", "kept"),
        *("last", "messages", "name", "pending", "rate", "trend"),
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages = 0
        self.bytes: float | None = None
        self.last: Mapping[str, Any] | None = None
        self.kept: deque[Mapping[str, Any]] | None = None
        self.rate = 0.0
        self.byte_rate: float | None = None
        self.trend: deque[float] = deque(maxlen=TREND)
        self.age: float | None = None
        self.pending: int | None = None
        self.drops: int | None = None
        self._seen = 0
        self._bytes_seen = self._size = 0.0
        self._at: float | None = None

    def keep(self) -> deque[Mapping[str, Any]]:
        """Keep the last messages from now on: somebody looks."""
        if self.kept is None:
            self.kept = deque([] if self.last is None else [self.last], maxlen=_KEPT)
        return self.kept

    def forget(self) -> None:
        """Keep them no longer."""
        self.kept = None

    def measure(self, now: float, elapsed: float) -> None:
        """Take the rates since the last measuring."""
        new = self.messages - self._seen
        if new > 0:
            self._at = now
            if self.last is not None:
                # A message stands for all of its kind: to size each would cost more than all else.
                size = len(json.dumps(self.last))
                self._size = size if not self._size else 0.5 * (self._size + size)
                self.bytes = (self.bytes or 0.0) + new * self._size
        self.rate = max(0, new) / elapsed
        if self.bytes is not None:
            self.byte_rate = max(0.0, self.bytes - self._bytes_seen) / elapsed
            self._bytes_seen = self.bytes
        self.age = None if self._at is None else now - self._at
        self.trend.append(self.rate)
        self._seen = self.messages


class Activity:
    """What flows on all channels.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.channels: dict[str, ChannelActivity] = {}
        self._clock = clock
        self._measured_at = clock()
        self._last: Mapping[str, Any] | None = None

    def count(self, message: Mapping[str, Any]) -> None:
        """Count a message: once, however many observers get it in turn."""
        if message is self._last:
            return
        self._last = message
        name = message["channel"]
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channel(name)
        channel.messages += 1
        channel.last = message
        if channel.kept is not None:
            channel.kept.append(message)

    def channel(self, name: str) -> ChannelActivity:
        """Give a channel, new if need be; beyond `MAX_CHANNELS` they are one."""
        if name not in self.channels and len(self.channels) >= MAX_CHANNELS:
            name = OTHERS
        return self.channels.setdefault(name, ChannelActivity(name))

    def measure(self) -> None:
        """Take the rates since the last measuring."""
        now = self._clock()
        elapsed = max(1e-3, now - self._measured_at)
        self._measured_at = now
        for channel in self.channels.values():
            channel.measure(now, elapsed)
