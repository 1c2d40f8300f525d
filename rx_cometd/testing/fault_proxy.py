"""A TCP proxy in front of any server: the network, with all its faults on demand."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import TYPE_CHECKING, Self

from yarl import URL

from rx_cometd.testing.direction import Direction
from rx_cometd.testing.http_requests import HttpRequests, http_response, without_upgrade
from rx_cometd.testing.pipe import Pipe
from rx_cometd.testing.rules import Rules

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine, Mapping
    from types import TracebackType
    from typing import Any

__all__ = ["FaultProxy"]

_LOCALHOST = "127.0.0.1"


class FaultProxy:
    """Passes bytes on between clients and a server, and misbehaves when told to.

    For use with ``async with``, in front of any server, including a real one: it passes on TCP, and
    knows just enough HTTP to answer a request itself. TLS is passed on unchanged, unless the proxy
    is given a certificate.

    Args:
        target: The address of the server.
        seed: Seeds the random delays and pieces, so that a run can be repeated.
        tls: Makes the proxy speak TLS to clients with this certificate, which may be for another
            host, expired or self-signed; to the server it speaks plain HTTP. The library trustme
            makes such certificates.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        accepted: How many connections were made to it.
        requested: What clients sent, by connection.
        requests: What is done to the bytes that go to the server.
        replies: What is done to those that go to the client.

    Example:
        ::

            async with FaultProxy(server.url) as proxy, Client(proxy.url) as client:
                proxy.replies.throttle(10_000)
                proxy.cut()
                proxy.respond(503, retry_after=1, count=2)
    """

    def __init__(
        self, target: str | URL, *, seed: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._target = URL(target)
        self._tls = tls
        dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.requests = Direction(dice)
        self.replies = Direction(dice)
        # Bound but never listening: it keeps the port ours while connections are refused.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reservation.bind((_LOCALHOST, 0))
        self.port: int = self._reservation.getsockname()[1]
        self.accepted = 0
        self.requested: list[bytearray] = []
        self._listener: asyncio.Server | None = None
        self._responses: Rules[bytes] = Rules()
        self._strips_upgrade = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address for clients: that of the server, through this proxy."""
        here = self._target.with_host(_LOCALHOST).with_port(self.port)
        return str(here if self._tls is None else here.with_scheme("https"))

    @property
    def open_connections(self) -> int:
        """How many sockets are open, on either side."""
        return len(self._writers)

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.refuse()
        self._reservation.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- connections ---------------------------------------------------------------------------

    def cut(self, *, reset: bool = True) -> int:
        """End all connections, on both sides; new ones are accepted.

        Args:
            reset: Whether with RST, as after a crash, or cleanly with FIN.

        Returns:
            How many there were.
        """
        count = len(self._writers) // 2
        for writer in self._writers:
            _end(writer, reset=reset)
        self._writers.clear()
        return count

    async def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `restore`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        self.cut()
        if listener is not None:
            await listener.wait_closed()

    async def restore(self) -> None:
        """Accept connections again."""
        self.clear()
        if self._listener is None:
            await self._listen()

    def stall(self) -> None:
        """Fall silent both ways, with connections open, until `resume`."""
        self.requests.stall()
        self.replies.stall()

    def resume(self) -> None:
        """Pass on what was held back by a stall, either way."""
        self.requests.resume()
        self.replies.resume()

    def clear(self) -> None:
        """End all faults but a refusal of connections."""
        self.requests.clear()
        self.replies.clear()
        self._responses.clear()
        self._strips_upgrade = False

    # -- HTTP ----------------------------------------------------------------------------------

    def respond(
        self,
        status: int,
        *,
        body: str = "<html><body>a proxy on the way</body></html>",
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        count: int | None = 1,
    ) -> None:
        """Answer requests instead of the server, WebSocket upgrades too.

        Args:
            status: The HTTP status.
            body: The body, HTML as such proxies send it.
            headers: Headers of the response.
            retry_after: Seconds for a ``Retry-After`` header.
            count: How many requests; ``None`` until `clear`.
        """
        fields = dict(headers or {})
        if retry_after is not None:
            fields["Retry-After"] = f"{retry_after:g}"
        self._responses.add(http_response(status, fields, body), None, count)

    def redirect(self, location: str, status: int = 302, *, count: int | None = None) -> None:
        """Answer requests with a redirect."""
        self.respond(status, body="", headers={"Location": location}, count=count)

    def strip_upgrade(self) -> None:
        """Pass requests on without ``Upgrade``, like a proxy that does not support WebSockets."""
        self._strips_upgrade = True

    def _decide(self, head: bytes) -> tuple[bytes, bytes | None]:
        response = self._responses.apply(None)
        return (without_upgrade(head) if self._strips_upgrade else head), response

    # -- bytes ---------------------------------------------------------------------------------

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(
            self._accept, _LOCALHOST, self.port, reuse_port=True, ssl=self._tls
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self._refuses():
            _end(writer, reset=True)
            return
        self._writers.add(writer)
        try:
            from_server, to_server = await asyncio.open_connection(
                self._target.host, self._target.port
            )
        except OSError:
            self._writers.discard(writer)
            _end(writer, reset=True)
            return
        if self._refuses() or writer.transport.is_closing():
            self._writers.discard(writer)
            _end(writer, reset=True)
            _end(to_server, reset=True)
            return
        self._writers.add(to_server)
        copy = bytearray()
        self.requested.append(copy)
        requests = HttpRequests(self._decide)

        def inspect(data: bytes) -> bytes:
            copy.extend(data)
            onwards, back = requests.feed(data)
            if back:
                writer.write(back)
            return onwards

        self._spawn(self._pass(Pipe(reader, to_server, self.requests, inspect), to_server))
        self._spawn(self._pass(Pipe(from_server, writer, self.replies, bytes), writer))

    async def _pass(self, pipe: Pipe, writer: asyncio.StreamWriter) -> None:
        try:
            await pipe.run()
        finally:
            self._writers.discard(writer)

    def _refuses(self) -> bool:
        return self._listener is None

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    """End a connection, with RST or with FIN."""
    if not reset:
        writer.close()
        return
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        # To linger for no time at all is how a socket is told to reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
