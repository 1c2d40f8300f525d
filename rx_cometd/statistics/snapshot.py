"""What a client tells of itself at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BufferStatistics", "ChannelStatistics", "Statistics"]


class Statistics(NamedTuple):
    """Counters of a client since it was created.

    Use ``statistics()._asdict()`` for JSON.

    Attributes:
        messages_in: Messages received, meta messages included.
        messages_out: Messages sent.
        bytes_in: Bytes of payloads received, after decompression.
        bytes_out: Bytes (characters, if the JSON function returns text) of payloads sent.
        handshakes: Sessions negotiated.
        reconnects: Links regained, on the same or on a new session.
        drops: Messages that buffers dropped.
        suspensions: Times that a buffer made the client hold back its connect.
        last_seen: When the server was last heard of, in seconds since the epoch (as
            ``time.time()``), ``None`` if never.
        resumed: Links regained on the same session; the other `reconnects` led to a new one.
        last_event: When the last event message came, likewise.
        pending: Messages that wait in the buffers of the client now.
        drops_by_policy: The `drops` by the policy of the buffer: the value of an `Overflow`.
    """

    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    handshakes: int
    reconnects: int
    drops: int
    suspensions: int
    last_seen: float | None
    resumed: int = 0
    last_event: float | None = None
    pending: int = 0
    drops_by_policy: Mapping[str, int] = {}


class BufferStatistics(NamedTuple):
    """One buffer that messages of a channel wait in.

    Attributes:
        policy: The value of the `Overflow` that a full buffer follows at present; ``batch`` for
            a list of `buffer_bounded`, which is emitted when it is full.
        max_pending_count: Its bound; ``<= 0`` is unbounded.
        pending: Messages that wait in it.
        drops: Messages that it dropped.
        suspensions: Times that it had the connect held back.
        suspended: Whether it has it held back now.
    """

    policy: str
    max_pending_count: int
    pending: int
    drops: int
    suspensions: int
    suspended: bool


class ChannelStatistics(NamedTuple):
    """What is known of one channel; see `Client.channel_statistics`.

    Attributes:
        messages: Event messages received since counting began.
        bytes: Bytes of their payloads; one with several event messages is divided evenly.
        rate: Messages per second, over the last 5 to 10 seconds.
        age: Seconds since the last one came, ``None`` if none did.
        buffers: The buffers that were made under this very name, a glob perhaps.
        marker_age: Seconds for which the replay marker has stood still while events that came
            were not processed; 0 while none waits, ``None`` without a marker.
    """

    messages: int = 0
    bytes: int = 0
    rate: float = 0.0
    age: float | None = None
    buffers: tuple[BufferStatistics, ...] = ()
    marker_age: float | None = None

    @property
    def pending(self) -> int:
        """Messages that wait in the buffers of this channel."""
        return sum(buffer.pending for buffer in self.buffers)

    @property
    def drops(self) -> int:
        """Messages that its present buffers dropped."""
        return sum(buffer.drops for buffer in self.buffers)

    @property
    def suspensions(self) -> int:
        """Times that one of its present buffers had the connect held back."""
        return sum(buffer.suspensions for buffer in self.buffers)

    def as_dict(self) -> dict[str, Any]:
        """Give everything as JSON has it, sums included."""
        return {
            **self._asdict(),
            "buffers": [buffer._asdict() for buffer in self.buffers],
            "pending": self.pending,
            "drops": self.drops,
            "suspensions": self.suspensions,
        }
