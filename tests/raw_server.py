"""A server of raw bytes: what it says on each connection is up to the test."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from types import TracebackType

__all__ = ["RawServer", "accept_of"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawServer(ABC):
    """Listens on a free port, and takes its connections with it when it ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or has had enough, or the test is over
        finally:
            writer.close()

    @abstractmethod
    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Say what is to be said on a connection."""


def accept_of(key: bytes) -> bytes:
    """Give what proves that a server speaks WebSocket (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
