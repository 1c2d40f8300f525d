"""The long-polling transport: one HTTP request per payload."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from rx_cometd import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd._transports import LongPollingTransport, Received
from rx_cometd._transports.base import LEAST_PROGRESS
from tests.raw_server import listening, port_of, port_of_nobody

from .echo import http_session, options, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rx_cometd._transports import TransportOptions
    from tests.unit.transports.clock import Clock

pytestmark = pytest.mark.usefixtures("nothing_left")


async def exchange(
    made: TransportOptions,
    data: str | bytes = "[]",
    headers: dict[str, str] | None = None,
    timeout: float = 30.0,
) -> Received:
    async with http_session() as http:
        transport = LongPollingTransport(http, made)
        return await transport.exchange(data, headers or {}, timeout)


async def echo(request: web.Request) -> web.Response:
    kept = {"X-Type": request.headers["Content-Type"], "X-Method": request.method}
    kept["X-Own"] = request.headers.get("X-Own", "")
    return web.Response(body=await request.read(), headers=kept)


@pytest.mark.parametrize("data", ['["ü"]', '["ü"]'.encode(), b"[]" * 1_000_000])
async def test_an_exchange(data: str | bytes) -> None:
    async with serving(echo) as url:
        received = await exchange(options(url, max_message_size=10**9), data, {"X-Own": "1"})
        assert received.data == (data.encode() if isinstance(data, str) else data)
        assert received.headers is not None
        assert received.headers["x-type"] == "application/json;charset=UTF-8"
        assert (received.headers["X-Method"], received.headers["X-Own"]) == ("POST", "1")


async def test_ws_addresses_are_http_here() -> None:
    async with serving(echo) as url:
        received = await exchange(options(url.replace("http:", "ws:")), b"[1]")
        assert received.data == b"[1]"


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 500, 503])
async def test_only_200_is_a_success(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="" if status == 204 else "[]")

    async with serving(answer) as url:
        with pytest.raises(TransportError) as caught:
            await exchange(options(url))
        assert caught.value.http_status == status
        assert str(status) in str(caught.value)


async def test_an_empty_response_is_a_failure() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as url:
        with pytest.raises(TransportError, match="empty"):
            await exchange(options(url))


@pytest.mark.parametrize("size", [100, 101])
async def test_a_response_that_is_too_large(size: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    async with serving(answer) as url:
        made = options(url, max_message_size=100)
        if size <= 100:
            assert len((await exchange(made)).data) == 100
        else:
            with pytest.raises(ProtocolError, match="larger than max_message_size, 100 bytes"):
                await exchange(made)


async def test_a_response_without_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except ConnectionError:
            return response

    async with serving(answer) as url:
        with pytest.raises(ProtocolError):
            await exchange(options(url, max_message_size=1_000_000))


async def test_a_response_in_pieces() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"[", b"1,", b"2]"):
            await response.write(piece)
            await asyncio.sleep(0.005)
        return response

    async with serving(answer) as url:
        assert (await exchange(options(url))).data == b"[1,2]"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_late_response(begun: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b"[")
        await asyncio.sleep(60)
        return response

    async with serving(answer) as url:
        with pytest.raises(TransportTimeoutError):
            await exchange(options(url), timeout=0.05)


async def test_a_connection_that_is_cut() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(answer) as url:
        with pytest.raises(TransportConnectionClosed):
            await exchange(options(url))


@asynccontextmanager
async def answering(reply: bytes, *, garbage: asyncio.Event | None = None) -> AsyncGenerator[str]:
    """Answer each request, in one piece; once, when it is told to, garbage comes behind that."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"length: ")[1].split(b"\r")[0]))
            writer.write(reply)
            if garbage is not None and not garbage.is_set():
                await garbage.wait()
                writer.write(b"garbage\r\n\r\n")

    async with listening(serve) as server:
        yield f"http://127.0.0.1:{port_of(server)}/cometd"


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"


async def test_garbage_behind_a_complete_response_passes() -> None:
    """It is an HTTP server, so another attempt is worth it, and the text says what happened."""
    async with answering(CHUNKED + b"garbage\r\n\r\n") as url:
        with pytest.raises(ProtocolError, match="no HTTP after a response") as caught:
            await exchange(options(url))
    assert not caught.value.final


async def test_garbage_between_two_responses_passes() -> None:
    garbage = asyncio.Event()
    async with answering(CHUNKED, garbage=garbage) as url, http_session() as http:
        transport = LongPollingTransport(http, options(url))
        assert (await transport.exchange("[]", {}, 30.0)).data == b"[]"
        garbage.set()
        with contextlib.suppress(ProtocolError):
            # It comes while this waits for its response, or is found with it.
            await transport.exchange("[]", {}, 30.0)
        assert (await transport.exchange("[]", {}, 30.0)).data == b"[]"


async def test_what_is_no_http_from_the_first_byte_is_final() -> None:
    async with answering(b"SSH-2.0-OpenSSH_9.6\r\n") as url:
        with pytest.raises(TransportError, match="not an HTTP server") as caught:
            await exchange(options(url))
    assert caught.value.final


async def test_a_body_that_is_cut() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"[")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(answer) as url:
        with pytest.raises(TransportError):
            await exchange(options(url))


async def test_nobody_there() -> None:
    with port_of_nobody() as port, pytest.raises(TransportError) as caught:
        await exchange(options(f"http://127.0.0.1:{port}/cometd"))
    assert caught.value.http_status is None
    assert caught.value.__cause__ is not None


async def test_compressed_responses() -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(body=b"[1]" * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(answer) as url:
        assert (await exchange(options(url))).data == b"[1]" * 1000
        with pytest.raises(ProtocolError):
            await exchange(options(url, max_message_size=2000))


class Idle:
    """A server that answers what comes, and closes a connection when it is told to."""

    def __init__(self, *, answers: int) -> None:
        self.answers = answers
        self.bodies: list[bytes] = []
        self.connections = 0
        self.close = asyncio.Event()
        self.closed = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        async with listening(self._handle) as server:
            yield f"http://127.0.0.1:{port_of(server)}/cometd"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        closing = asyncio.ensure_future(self._close_when_told(writer))
        try:
            while head := await _head(reader):
                (length,) = (int(v) for k, v in head if k == "content-length")
                self.bodies.append(await reader.readexactly(length))
                if len(self.bodies) > self.answers:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")
        finally:
            closing.cancel()
            writer.close()
            self.closed.set()

    async def _close_when_told(self, writer: asyncio.StreamWriter) -> None:
        await self.close.wait()
        self.close.clear()
        writer.write_eof()


async def _head(reader: asyncio.StreamReader) -> list[tuple[str, str]]:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    except asyncio.IncompleteReadError:
        return []
    return [(k, v.strip()) for k, _, v in (line.partition(":") for line in head.splitlines())]


async def test_a_request_that_never_left_is_sent_again_once() -> None:
    """The server closes the idle connection when it was chosen, and nothing is written yet."""
    server = Idle(answers=9)

    async def reused(*_: object) -> None:
        server.close.set()
        await server.closed.wait()  # it saw us close as well, so we know

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(reused)
    async with server.serving() as url, aiohttp.ClientSession(trace_configs=[trace]) as http:
        transport = LongPollingTransport(http, options(url))
        for body in ("[1]", "[2]"):
            assert (await transport.exchange(body, {}, 30.0)).data == b"[1]"
    assert server.bodies == [b"[1]", b"[2]"]
    assert server.connections == 2


async def test_a_request_that_the_server_read_is_never_sent_again() -> None:
    server = Idle(answers=1)
    async with server.serving() as url, http_session() as http:
        transport = LongPollingTransport(http, options(url))
        await transport.exchange("[1]", {}, 30.0)
        with pytest.raises(TransportConnectionClosed):
            await transport.exchange("[2]", {}, 30.0)
    assert server.bodies == [b"[1]", b"[2]"]
    assert server.connections == 1


async def test_a_connection_that_was_closed_while_the_loop_was_busy() -> None:
    """The end of the idle connection has come, and the loop does not know of it yet."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    bodies: list[bytes] = []
    ours: list[socket.socket] = []

    def connecting(address: Any) -> socket.socket:
        ours.append(socket.socket(*address[:3]))
        return ours[-1]

    def serve() -> None:
        for _ in range(2):
            try:
                connection, _ = listener.accept()
            except TimeoutError:  # the client did not come again
                return
            connection.settimeout(30)
            with connection:
                request = b""
                while not request.endswith(b"]"):
                    request += connection.recv(65536)
                bodies.append(request.rpartition(b"\r\n\r\n")[2])
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]")
                closing.wait(30)

    closing = threading.Event()
    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        connector = aiohttp.TCPConnector(socket_factory=connecting)
        async with aiohttp.ClientSession(connector=connector) as http:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/cometd"
            transport = LongPollingTransport(http, options(url))
            await transport.exchange("[1]", {}, 30.0)
            closing.set()
            ended, _, _ = select.select(ours, [], [], 30)  # blocks the loop, as a consumer might
            assert ended
            assert (await transport.exchange("[2]", {}, 30.0)).data == b"[1]"
    finally:
        closing.set()
        await asyncio.to_thread(serving.join, 60)
        listener.close()
    assert bodies == [b"[1]", b"[2]"]


async def test_a_large_response_takes_its_time(clock: Clock) -> None:
    """What makes progress is not cut off, however long it takes as a whole."""
    began = clock.time()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(8):
            await response.write(b"x" * LEAST_PROGRESS)
            await asyncio.sleep(0.05)
            clock.advance(100)  # the rate of the link
        return response

    async with serving(answer) as url:
        assert len((await exchange(options(url), timeout=300)).data) == 8 * LEAST_PROGRESS
    assert clock.time() - began > 2 * 300


async def test_a_response_that_trickles_is_no_progress() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)  # the rate of the link

    async with serving(answer) as url:
        with pytest.raises(TransportTimeoutError):
            await exchange(options(url), timeout=0.2)


@asynccontextmanager
async def reading_slowly(clock: Clock, rate: float, *, most: int = 10**9) -> AsyncGenerator[str]:
    """Read requests at a rate, in bytes a second, until so many came; answer what came whole."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        came = 0
        while left and came < most:
            piece = await reader.read(min(left, 64 * 1024))
            if not piece:
                break
            left -= len(piece)
            came += len(piece)
            await asyncio.sleep(0.001)
            clock.advance(len(piece) / rate)
        if left == 0:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await asyncio.Event().wait()

    listener = socket.create_server(("127.0.0.1", 0))
    # What the kernel takes in of itself is not read yet.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    async with listening(serve, sock=listener, limit=64 * 1024) as server:
        yield f"http://127.0.0.1:{port_of(server)}/cometd"


async def test_a_large_payload_takes_its_time(clock: Clock) -> None:
    """Sending it takes several timeouts, of which its stay in the kernel's buffer alone takes some;
    as long as it makes progress, that is no reason to give it up."""
    began = clock.time()
    async with reading_slowly(clock, 6_000) as url:
        assert (await exchange(options(url), b"x" * 8_000_000, timeout=300)).data == b"[]"
    assert clock.time() - began > 4 * 300


@pytest.mark.parametrize("most", [1, 200_000])
async def test_a_large_payload_that_is_not_taken_is_given_up(most: int, clock: Clock) -> None:
    async with reading_slowly(clock, 6_000_000, most=most) as url:
        with pytest.raises(TransportTimeoutError):
            await exchange(options(url), b"x" * 8_000_000, timeout=0.3)


async def test_a_large_payload_that_is_taken_and_not_answered_is_given_up() -> None:
    async def never(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(never) as url:
        with pytest.raises(TransportTimeoutError):
            await exchange(options(url), b"x" * 1_000_000, timeout=0.3)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb(encoding: str) -> None:
    """A hundred kilobytes that become a hundred megabytes are given up at the limit."""
    zeros = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = zeros.compress(b"\0" * 100_000_000) + zeros.flush()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": encoding})

    async with serving(answer) as url:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="max_message_size"):
                await exchange(options(url, max_message_size=1_000_000), timeout=30.0)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()
