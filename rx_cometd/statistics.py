"""What a client counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Counters", "Statistics"]


class Statistics(NamedTuple):
    """Counters of a client, since it was made.

    Attributes:
        messages_in: Messages received, meta messages included.
        messages_out: Messages sent.
        bytes_in: Bytes of payloads received, after decompression.
        bytes_out: Bytes (characters, where the JSON function gives text) of payloads sent.
        handshakes: Sessions negotiated.
        reconnects: Links regained, on the same or on a new session.
        drops: Messages that buffers dropped.
        suspensions: Times that a buffer made the client hold back its connect.
        last_seen: When the server was last heard of, in seconds since the epoch (as
            ``time.time()``), ``None`` if never.
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


@dataclass(slots=True)
class Counters:
    """The counters as they are counted."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    handshakes: int = 0
    reconnects: int = 0
    drops: int = 0
    suspensions: int = 0
    #: When the server was last heard of, in seconds of a steady clock.
    last_heard: float | None = None

    def snapshot(self, now: float, steady_now: float) -> Statistics:
        """Give the counters as they are now.

        Args:
            now: The time, in seconds since the epoch.
            steady_now: The time by the steady clock of `last_heard`.
        """
        heard = self.last_heard
        return Statistics(
            self.messages_in,
            self.messages_out,
            self.bytes_in,
            self.bytes_out,
            self.handshakes,
            self.reconnects,
            self.drops,
            self.suspensions,
            None if heard is None else now - (steady_now - heard),
        )
