"""One way through a proxy: what becomes of the bytes that go it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

__all__ = ["Direction"]

#: How many times a second throttled bytes are passed on.
_TICKS = 50


class Direction:
    """What a proxy does in one direction, on all its connections.

    All of it can be combined, and applies until it is changed or `clear` is called.

    Attributes:
        passed: How many bytes were passed on.
        collected_for: Seconds for which bytes are collected.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._flowing = asyncio.Event()
        self._latency = 0.0
        self._jitter = 0.0
        self._rate: float | None = None
        self._largest: int | None = None
        self._pause = 0.0
        self._left: int | None = None
        self.passed = 0
        self.collected_for = 0.0
        self.clear()

    def clear(self) -> None:
        """Pass everything on at once, beginning with what was held back."""
        self._latency = self._jitter = self._pause = self.collected_for = 0.0
        self._rate = self._largest = self._left = None
        self._flowing.set()

    def stall(self) -> None:
        """Pass nothing on until `resume`, with connections open: a link that is half open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Pass on what was held back, and what comes."""
        self._flowing.set()

    def delay(self, seconds: float, jitter: float = 0.0) -> None:
        """Delay bytes by so many seconds and up to ``jitter`` more; the order stays."""
        self._latency, self._jitter = seconds, jitter

    def throttle(self, bytes_per_second: float) -> None:
        """Pass on so many bytes a second, on each connection."""
        self._rate = bytes_per_second

    def split(self, largest: int, pause: float = 0.0) -> None:
        """Cut what comes into pieces of 1 to ``largest`` bytes, by the proxy's seed.

        Args:
            largest: The largest piece, in bytes. With 1, and a pause, it is a trickle.
            pause: Seconds between the pieces.
        """
        self._largest, self._pause = largest, pause

    def join(self, seconds: float) -> None:
        """Collect what arrives within so many seconds, and pass it on as one piece."""
        self.collected_for = seconds

    def truncate(self, after: int = 0) -> None:
        """Pass on so many more bytes, then cut the connection that would carry the next one."""
        self._left = after

    # What the proxy asks

    def latency(self) -> float:
        """Tell how late the next bytes shall be, in seconds."""
        return self._latency + self._jitter * self._dice.random() if self._jitter else self._latency

    async def gate(self) -> None:
        """Wait while nothing is passed on."""
        await self._flowing.wait()

    def pieces(self, data: bytes) -> Iterator[tuple[bytes, float]]:
        """Cut bytes into pieces; each with the seconds to wait before it."""
        while data:
            size = len(data)
            if self._largest is not None:
                size = self._dice.randint(1, self._largest)
            if self._rate is not None:
                size = min(size, max(1, int(self._rate / _TICKS)))
            piece, data = data[:size], data[size:]
            yield piece, self._pause + (len(piece) / self._rate if self._rate else 0.0)

    def allowed(self, piece: bytes) -> tuple[bytes, bool]:
        """Give what of a piece may pass, and whether the connection is cut then."""
        passed = piece[: self._left]
        self.passed += len(passed)
        cut = len(passed) < len(piece)
        if cut:
            self._left = None
        elif self._left is not None:
            self._left -= len(passed)
        return passed, cut
