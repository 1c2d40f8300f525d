"""A TCP proxy in front of a server: the network, which can be cut, refused and silenced."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Proxy"]


class Proxy:
    """Passes bytes on between clients and a server on 127.0.0.1, for use with `async with`.

    Args:
        target: The port of the server.

    Attributes:
        port: Where clients find it.
        accepted: How many connections were made.
        requested: What clients sent, by connection.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        # Bound but never listening: it keeps the port ours while connections are refused.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port: int = self._reservation.getsockname()[1]
        self.accepted = 0
        self.requested: list[bytearray] = []
        self._listener: asyncio.Server | None = None
        self._requests = asyncio.Event()
        self._replies = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.restore_flow()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cometd"

    @property
    def open_connections(self) -> int:
        """How many sockets are open, on either side."""
        return len(self._writers)

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.refuse()
        self._reservation.close()
        self.restore_flow()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> int:
        """Reset all connections, on both sides; new ones are welcome."""
        for writer in self._writers:
            writer.transport.abort()
        cut = len(self._writers) // 2
        self._writers.clear()
        return cut

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `restore`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            await listener.wait_closed()
        self.cut()

    def stall(self, *, replies_only: bool = False) -> None:
        """Pass nothing on, until `restore_flow`: connections stay, and everybody is silent."""
        self._replies.clear()
        if not replies_only:
            self._requests.clear()

    def restore_flow(self) -> None:
        """Pass on what came while stalled, and what comes."""
        self._requests.set()
        self._replies.set()

    async def restore(self) -> None:
        """Be a good network again."""
        self.restore_flow()
        if self._listener is None:
            await self._listen()

    def _refuses(self) -> bool:
        return self._listener is None

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, reuse_port=True
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refuses():
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._refuses() or writer.transport.is_closing():
            writer.transport.abort()
            upstream[1].transport.abort()
            return
        self.requested.append(bytearray())
        self._writers.add(upstream[1])
        self._spawn(self._pass(reader, upstream[1], self._requests, self.requested[-1]))
        self._spawn(self._pass(upstream[0], writer, self._replies, None))

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        flowing: asyncio.Event,
        copy: bytearray | None,
    ) -> None:
        try:
            while chunk := await reader.read(65536):
                await flowing.wait()
                if copy is not None:
                    copy += chunk
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            writer.transport.abort()
        else:
            writer.close()
        finally:
            self._writers.discard(writer)

    def _spawn(self, coroutine: _Coroutine) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


if TYPE_CHECKING:
    from collections.abc import Coroutine

    _Coroutine = Coroutine[None, None, None]
