"""What a socket brings, counted: a link that is receiving is alive.

aiohttp tells of a message when it is complete. How much of an unfinished one has come is seen
between the socket and aiohttp, by a protocol in the middle.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Self, cast

__all__ = ["Beginning", "Meter"]


class Meter(asyncio.Protocol):
    """Counts bytes on their way from a transport to the protocol that reads them.

    Attributes:
        count: How many bytes came.
        at: When the last ones came, in seconds of `time.monotonic`.
        payloads: How many payloads were complete, for whoever takes them to count.
        complete: How many of the bytes are of complete messages; likewise.
    """

    __slots__ = ("_hand_on", "_protocol", "at", "complete", "count", "payloads")

    count: int
    at: float
    payloads: int
    complete: int

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        self._hand_on = protocol.data_received
        self.count = 0
        self.at = monotonic()
        self.payloads = 0
        self.complete = 0

    @classmethod
    def between(cls, transport: asyncio.Transport) -> Self:
        """Put a meter between a transport and its protocol."""
        meter = cls(cast("asyncio.Protocol", transport.get_protocol()))
        transport.set_protocol(meter)
        return meter

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.count += len(data)
        self.at = monotonic()
        self._hand_on(data)

    def eof_received(self) -> bool | None:
        """Take the end of what comes."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the connection."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Take note that what is written piles up."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Take note that it does so no longer."""
        self._protocol.resume_writing()


class Beginning(Meter):
    """Keeps the first bytes of what comes as well, as many as tell HTTP from anything else."""

    __slots__ = ("_head",)

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__(protocol)
        self._head = b""

    @property
    def is_http(self) -> bool:
        """Whether what came begins as an HTTP response does."""
        return self._head == _HTTP

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        if len(self._head) < len(_HTTP):
            self._head += data[: len(_HTTP) - len(self._head)]
        super().data_received(data)


_HTTP: Final = b"HTTP/"
