"""What came on each channel: counted per payload, and only while somebody wants to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["OTHER_CHANNELS", "ChannelTraffic", "Traffic"]

#: Channels counted one by one; servers may make up names without end.
_MOST_CHANNELS: Final = 10_000
#: Under which all further ones are counted together. No channel can be named so.
OTHER_CHANNELS: Final = "*"
#: Seconds between two looks at the counts, from which rates are made.
_WINDOW: Final = 5.0


class Traffic(NamedTuple):
    """What came on a channel: messages, bytes, messages per second, seconds since the last."""

    messages: int
    bytes: int
    rate: float
    age: float


class _Counts:
    """The counts of one channel, and what they were at the last two looks."""

    __slots__ = ("before", "bytes", "earlier", "last", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0.0
        self.last = 0.0
        self.earlier = 0
        self.before = 0


class ChannelTraffic:
    """Counts the event messages of each channel.

    Args:
        now: The time, in seconds of a steady clock.
    """

    def __init__(self, now: float) -> None:
        self._channels: dict[str, _Counts] = {}
        self._looked_at = self._looked_before = now
        self._next_look = now + _WINDOW

    def count(self, messages: Iterable[Mapping[str, Any]], size: float, now: float) -> None:
        """Count the event messages of a payload.

        Args:
            messages: The messages, with a channel each.
            size: The bytes that each of them takes.
            now: The time by the steady clock.
        """
        if now >= self._next_look:
            self._look(now)
        channels = self._channels
        for message in messages:
            try:
                counts = channels[message["channel"]]
            except KeyError:
                counts = self._add(message["channel"])
            counts.messages += 1
            counts.bytes += size
            counts.last = now

    def _add(self, channel: str) -> _Counts:
        if len(self._channels) >= _MOST_CHANNELS:
            channel = OTHER_CHANNELS
        return self._channels.setdefault(channel, _Counts())

    def _look(self, now: float) -> None:
        if now - self._looked_at >= 2 * _WINDOW:  # nothing came for as long as a rate is about
            self._looked_at = now - _WINDOW
            for counts in self._channels.values():
                counts.earlier = counts.messages
        self._looked_before, self._looked_at = self._looked_at, now
        self._next_look = now + _WINDOW
        for counts in self._channels.values():
            counts.before, counts.earlier = counts.earlier, counts.messages

    def snapshot(self, now: float) -> dict[str, Traffic]:
        """Give what came on each channel up to now. May be called from any thread."""
        seconds = max(now - self._looked_before, 1.0)
        silent = now - self._looked_at >= 2 * _WINDOW
        return {
            channel: Traffic(
                counts.messages,
                round(counts.bytes),
                0.0 if silent else (counts.messages - counts.before) / seconds,
                now - counts.last,
            )
            for channel, counts in list(self._channels.items())
        }
