"""The WebSocket transport: payloads in frames, both ways, on one socket."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import WSMsgType, web

from rx_cometd import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd._transports import WebSocketTransport

from .echo import http_session, options, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.unit.transports.clock import Clock

pytestmark = pytest.mark.usefixtures("nothing_left")


class Peer:
    """The server's end."""

    def __init__(self, **upgrade: Any) -> None:
        self.upgrade = upgrade
        self.requests: list[web.Request] = []
        self.frames: list[tuple[WSMsgType, Any]] = []
        self.sockets: asyncio.Queue[web.WebSocketResponse] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.close_code: int | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(timeout=0.1, max_msg_size=0, **self.upgrade)
        await socket.prepare(request)
        self.sockets.put_nowait(socket)
        try:
            async for frame in socket:
                self.frames.append((frame.type, frame.data))
        finally:  # also when it is cancelled, for the connection is gone
            self.close_code = socket.close_code
            self.closed.set()
        return socket


@asynccontextmanager
async def opened(
    peer: Peer, headers: dict[str, str] | None = None, **changes: Any
) -> AsyncGenerator[tuple[WebSocketTransport, web.WebSocketResponse]]:
    async with serving(peer.handle) as url, http_session() as http:
        transport = WebSocketTransport(http, options(url, **changes))
        await transport.open(headers or {}, 30.0)
        try:
            yield transport, await peer.sockets.get()
        finally:
            await transport.close()


async def first(transport: WebSocketTransport, count: int = 1) -> list[bytes]:
    """Read so many payloads."""
    found: list[bytes] = []
    enough = asyncio.Event()

    def receive(received: bytes) -> None:
        found.append(received)
        if len(found) == count:
            enough.set()

    reading = asyncio.create_task(transport.read(receive))
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait([reading, waiting], return_when="FIRST_COMPLETED", timeout=30)
    for task in (reading, waiting):
        task.cancel()
    await asyncio.gather(reading, waiting, return_exceptions=True)
    return found


async def test_payloads_go_in_text_frames() -> None:
    peer = Peer()
    async with opened(peer) as (transport, _):
        await transport.send('["ü"]')
        await transport.send('["ü"]'.encode())
        await transport.close()
        await peer.closed.wait()
    assert peer.frames == [(WSMsgType.TEXT, '["ü"]')] * 2
    assert peer.close_code == 1000


async def test_payloads_come_as_bytes() -> None:
    async with opened(Peer()) as (transport, socket):
        await socket.send_str('["ü"]')
        await socket.send_bytes(b"\xff")
        assert await first(transport, 2) == [
            '["ü"]'.encode(),
            b"\xff",
        ]


async def test_large_frames() -> None:
    async with opened(Peer(), max_message_size=10**8) as (transport, socket):
        await transport.send("x" * 10_000_000)
        await socket.send_str("y" * 10_000_000)
        (received,) = await first(transport)
        assert len(received) == 10_000_000


async def test_a_frame_that_is_too_large() -> None:
    peer = Peer()
    async with opened(peer, max_message_size=100) as (transport, socket):
        await socket.send_str("x" * 101)
        with pytest.raises(ProtocolError) as caught:
            await transport.read(print)
        assert caught.value.close_code == 1009
        await peer.closed.wait()
        assert peer.close_code == 1009


@pytest.mark.parametrize(
    "frame",
    [b"\x83\x01x", b"\xf1\x01x", b"\x81\x02\xff\xff", b"\x88\x01x"],
    ids=["opcode", "reserved bits", "no UTF-8", "close of one byte"],
)
async def test_broken_frames(frame: bytes) -> None:
    peer = Peer()
    async with opened(peer) as (transport, _):
        raw = peer.requests[0].transport
        assert isinstance(raw, asyncio.WriteTransport)
        raw.write(frame)
        if frame.startswith(b"\x81"):
            # It is for the JSON function to find fault with it.
            (received,) = await first(transport)
            assert received == b"\xff\xff"
        else:
            with pytest.raises(ProtocolError) as caught:
                await transport.read(print)
            assert caught.value.close_code == 1002


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "away"), (4000, "own")])
async def test_how_it_was_closed(code: int, reason: str) -> None:
    async with opened(Peer()) as (transport, socket):
        closing = asyncio.create_task(socket.close(code=code, message=reason.encode()))
        closed = await transport.read(print)
        assert isinstance(closed, TransportConnectionClosed)
        assert closed.close_code == code
        assert str(code) in str(closed)
        assert reason in str(closed)
        await closing


async def test_a_connection_that_is_cut() -> None:
    peer = Peer()
    async with opened(peer) as (transport, _):
        raw = peer.requests[0].transport
        assert isinstance(raw, asyncio.Transport)
        raw.abort()
        try:
            closed: TransportError = await transport.read(print)
        except TransportError as error:
            closed = error
        assert closed.close_code in {None, 1006}
        with pytest.raises(TransportConnectionClosed):
            await transport.send("[]")


async def test_a_silent_peer_is_left_quickly(clock: Clock) -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=False)
        await socket.prepare(request)
        await asyncio.sleep(60)
        return socket

    async with serving(silent) as url, http_session() as http:
        transport = WebSocketTransport(http, options(url))
        await transport.open({}, 30.0)
        clock.stop()
        closing = asyncio.ensure_future(transport.close())
        await asyncio.sleep(0)
        clock.advance(0.6)
        await closing
        await transport.close()


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 503])
async def test_a_refused_upgrade(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status)

    async with serving(refuse) as url, http_session() as http:
        transport = WebSocketTransport(http, options(url))
        with pytest.raises(TransportError) as caught:
            await transport.open({}, 30.0)
        assert caught.value.http_status == status


async def test_an_upgrade_that_takes_too_long() -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(slow) as url, http_session() as http:
        transport = WebSocketTransport(http, options(url))
        with pytest.raises(TransportTimeoutError):
            await transport.open({}, 0.05)
        await transport.close()


@pytest.mark.parametrize("known", [(), ("other",)])
async def test_no_common_subprotocol(known: tuple[str, ...]) -> None:
    peer = Peer(protocols=known)
    async with serving(peer.handle) as url, http_session() as http:
        transport = WebSocketTransport(http, options(url))
        with pytest.raises(ProtocolError, match="subprotocols") as caught:
            await transport.open({"sec-websocket-protocol": "a, b"}, 30.0)
        assert caught.value.http_status == 101
        await peer.closed.wait()


async def test_a_common_subprotocol() -> None:
    peer = Peer(protocols=("b", "a"))
    async with opened(peer, {"Sec-WebSocket-Protocol": "a,b", "X-Own": "1"}) as (_, socket):
        assert socket.ws_protocol in {"a", "b"}
        assert peer.requests[0].headers["X-Own"] == "1"


async def test_heartbeats() -> None:
    peer = Peer(autoping=False)
    async with opened(peer, heartbeat=0.4) as (transport, _):
        async with asyncio.timeout(30):
            with pytest.raises(TransportError):
                await transport.read(print)
        assert WSMsgType.PING in {kind for kind, _ in peer.frames}


async def test_before_it_is_open() -> None:
    async with http_session() as http:
        transport = WebSocketTransport(http, options("http://127.0.0.1:9/"))
        with pytest.raises(TransportConnectionClosed):
            await transport.send("[]")
        with pytest.raises(TransportConnectionClosed):
            await transport.read(print)
        await transport.close()
        with pytest.raises(TransportError):
            await transport.open({}, 30.0)


@pytest.mark.parametrize("fault", [ValueError, OSError, LookupError])
@pytest.mark.parametrize("before", [0, 1])
async def test_a_fault_of_the_receiver_is_no_fault_of_the_network(
    fault: type[Exception], before: int
) -> None:
    found: list[bytes] = []

    async with opened(Peer()) as (transport, socket):
        sending = asyncio.create_task(socket.send_str("0"))

        def receive(payload: bytes) -> None:
            nonlocal sending
            found.append(payload)
            if len(found) > before:
                raise fault("mine")
            sending = asyncio.create_task(socket.send_str(str(len(found))))

        with pytest.raises(fault, match="mine") as caught:
            await transport.read(receive)
        await sending
        assert not isinstance(caught.value, TransportError)
        assert found == [b"0", b"1"][: before + 1]


async def test_payloads_come_in_order_however_they_are_sent() -> None:
    """Most go past aiohttp's queue (`Frames`); those that do not are not overtaken."""
    sent = [b"x" * size for size in (2, 200, 70_000, 0, 1, 65_535, 65_536, 125, 126)]
    peer = Peer(autoping=False)
    async with opened(peer, max_message_size=10**6) as (transport, socket):
        found: list[bytes] = []
        enough = asyncio.Event()

        def receive(payload: bytes) -> None:
            found.append(payload)
            if len(found) == 1 + 20 * len(sent):
                enough.set()

        reading = asyncio.create_task(transport.read(receive))
        await socket.send_str("the first")
        for turn in range(20):
            for payload in sent:
                if (len(payload) + turn) % 7 == 3:
                    await socket.send_bytes(payload)
                else:
                    await socket.send_str(payload.decode())
            await socket.ping(str(turn).encode())
        async with asyncio.timeout(30):
            await enough.wait()
            while len(peer.frames) < 20:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.001)
        assert found == [b"the first", *sent * 20]
        assert peer.frames == [(WSMsgType.PONG, str(turn).encode()) for turn in range(20)]
        assert transport.arriving is not None
        assert transport.arriving[:2] == (len(found), 0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_pings_are_answered() -> None:
    peer = Peer(autoping=False)
    async with opened(peer) as (transport, socket):
        await socket.ping(b"there?")
        await socket.send_str("[]")
        await first(transport)
        await transport.close()
        await peer.closed.wait()
    assert peer.frames == [(WSMsgType.PONG, b"there?")]


async def test_what_is_arriving() -> None:
    """Bytes of an unfinished frame count, those of control frames and whole payloads do not."""
    peer = Peer()
    async with opened(peer) as (transport, socket):
        found: list[int] = []
        reading = asyncio.create_task(transport.read(lambda r: found.append(len(r))))

        async def arrived(payloads: int, size: int) -> None:
            async with asyncio.timeout(30):
                while (seen := transport.arriving) is None or seen[:2] != (payloads, size):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)

        await arrived(0, 0)
        await socket.ping(b"there?")
        await arrived(0, 0)
        await socket.send_bytes(b"x" * 10)
        await arrived(1, 0)
        raw = peer.requests[0].transport
        assert isinstance(raw, asyncio.WriteTransport)
        raw.write(b"\x82\x7e\x20\x00" + b"x" * 0x1000)
        await arrived(1, 4 + 0x1000)
        raw.write(b"x" * 0x0800)
        await arrived(1, 4 + 0x1800)
        raw.write(b"x" * 0x0800)
        await arrived(2, 0)
        assert found == [10, 0x2000]
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_flood_of_pings_is_answered_and_starves_nobody() -> None:
    peer = Peer(autoping=False)
    async with opened(peer) as (transport, _):
        reading = asyncio.create_task(transport.read(print))
        raw = peer.requests[0].transport
        assert isinstance(raw, asyncio.WriteTransport)
        raw.write((b"\x89\x7d" + b"x" * 125) * 20_000)
        turns = 0
        async with asyncio.timeout(30):
            while len(peer.frames) < 20_000:
                turns += 1
                await asyncio.sleep(0)
        assert turns > 5
        assert transport.arriving is not None
        assert transport.arriving[:2] == (0, 0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize("compress", [False, True])
async def test_compression_is_offered_when_it_is_asked_for(compress: bool) -> None:
    peer = Peer()
    text = "[" + "1, " * 1000 + "1]"
    async with opened(peer, compress=compress) as (transport, socket):
        offered = "permessage-deflate" in peer.requests[0].headers.get(
            "Sec-WebSocket-Extensions", ""
        )
        assert offered is compress
        await socket.send_str(text)
        (received,) = await first(transport)
        assert received == text.encode()
        await transport.send(text)
        await transport.send(text.encode())
        await transport.close()
        await peer.closed.wait()
    assert peer.frames == [(WSMsgType.TEXT, text)] * 2


async def test_a_bomb() -> None:
    async with opened(Peer(), compress=True, max_message_size=1_000_000) as (transport, socket):
        tracemalloc.start()
        try:
            sending = asyncio.create_task(socket.send_bytes(bytes(50_000_000)))
            with pytest.raises(ProtocolError, match="too large") as caught:
                await transport.read(print)
            assert caught.value.close_code == 1009
            held = tracemalloc.get_traced_memory()[1] - 50_000_000
            assert held < 10_000_000
        finally:
            tracemalloc.stop()
        await sending


async def test_what_is_compressed_though_nobody_asked() -> None:
    peer = Peer()
    async with opened(peer) as (transport, _):
        raw = peer.requests[0].transport
        assert isinstance(raw, asyncio.WriteTransport)
        raw.write(b"\xc1\x01x")
        with pytest.raises(ProtocolError) as caught:
            await transport.read(print)
        assert caught.value.close_code == 1002
