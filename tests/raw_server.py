"""Servers of raw bytes: what they say on each connection is up to the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
    from types import TracebackType

__all__ = ["RawServer", "accept_of", "listening", "port_of", "port_of_nobody"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@asynccontextmanager
async def listening(
    talk: Callable[[StreamReader, StreamWriter], Awaitable[None]],
    *,
    unix: bool = False,
    **options: Any,
) -> AsyncGenerator[asyncio.Server]:
    """Serve on 127.0.0.1, on a free port unless a socket is given.

    When the block ends no connection is left: before Python 3.12 a server of asyncio does not wait
    for them, and one that stays a little longer is found by the tests that look for tasks.

    Args:
        talk: Says what is to be said on a connection. That the client goes is no error.
        unix: Whether the socket given is one of the file system.
        options: Those of `asyncio.start_server`.
    """
    tasks: set[asyncio.Task[object]] = set()
    ended = False

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            if not ended:
                await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or has had enough, or the test is over
        finally:
            if ended:
                writer.transport.abort()  # nobody reads what would keep it open
            writer.close()

    if not unix and "sock" not in options:
        options |= {"host": "127.0.0.1", "port": 0}
    start = asyncio.start_unix_server if unix else asyncio.start_server
    server = await start(serve, **options)
    try:
        yield server
    finally:
        await _accept_no_more(server)
        ended = True
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _accept_no_more(server: asyncio.Server) -> None:
    """Leave the rest to the kernel; what was accepted this very moment becomes a connection.

    A server of asyncio that is closed just then leaves a socket that nobody closes.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(3):
        await asyncio.sleep(0)


def port_of(server: asyncio.Server) -> int:
    """Give the port of a server."""
    port: int = server.sockets[0].getsockname()[1]
    return port


@contextmanager
def port_of_nobody() -> Generator[int]:
    """Give a port that refuses connections; it is held, so that no other process gets it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


class RawServer(ABC):
    """Listens on a free port, and takes its connections with it when it ends."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._server = await self._stack.enter_async_context(listening(self._talk))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def port(self) -> int:
        return port_of(self._server)

    @abstractmethod
    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Say what is to be said on a connection."""


def accept_of(key: bytes) -> bytes:
    """Give what proves that a server speaks WebSocket (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
