"""One connection of a proxy, one way: read, late by what the direction says, written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.testing.direction import Direction

__all__ = ["Pipe"]

_READ_SIZE = 64 * 1024
#: Chunks that may be under way: then no more is read, as on a full network.
_UNDER_WAY = 64


class Pipe:
    """Passes on what one side sends to the other.

    Args:
        reader: The one side.
        writer: The other side.
        direction: What is done to the bytes.
        inspect: Called with what was read; gives what is to be passed on.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        inspect: Callable[[bytes], bytes],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._direction = direction
        self._inspect = inspect
        self._under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_UNDER_WAY)
        self._ended = False
        self._was_reset = False

    async def run(self) -> None:
        """Pass bytes on until either side ends; the other side is then ended in the same way."""
        reading = asyncio.get_running_loop().create_task(self._read())
        try:
            await self._write()
        except ConnectionError:
            self._was_reset = True
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            if self._was_reset:
                self._writer.transport.abort()
            else:
                self._writer.close()

    async def _read(self) -> None:
        time = asyncio.get_running_loop().time
        due = 0.0
        try:
            while data := await self._reader.read(_READ_SIZE):
                onwards = self._inspect(data)
                if onwards:
                    due = max(due, time() + self._direction.latency())
                    await self._under_way.put((due, onwards))
        except ConnectionError:
            self._was_reset = True
        await self._under_way.put((due, b""))

    async def _write(self) -> None:
        direction, writer = self._direction, self._writer
        while data := await self._next():
            for piece, pause in direction.pieces(data):
                await asyncio.sleep(pause)
                await direction.gate()
                passed, cut = direction.allowed(piece)
                writer.write(passed)
                await writer.drain()
                if cut:
                    return

    async def _next(self) -> bytes:
        """Give what is to be passed on next, ``b""`` at the end."""
        if self._ended:
            return b""
        due, data = await self._under_way.get()
        late = due - asyncio.get_running_loop().time()
        if late > 0:
            await asyncio.sleep(late)
        if not self._direction.collected_for or not data:
            return data
        await asyncio.sleep(self._direction.collected_for)
        collected = [data]
        while not self._ended and not self._under_way.empty():
            _, data = self._under_way.get_nowait()
            collected.append(data)
            self._ended = not data
        return b"".join(collected)
