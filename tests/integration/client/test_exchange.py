"""What becomes of requests and replies on their way, against a server."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from rx_cometd import (
    BufferOverflowError,
    ClientError,
    ClientState,
    Overflow,
    ProtocolError,
    TransportConnectionClosed,
    TransportTimeoutError,
)
from rx_cometd.extensions import ack
from rx_cometd.operators import to_async_iterable
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Recorder,
    client_of,
    held,
    requests,
    subscribed,
)
from tests.raw_server import listening, port_of
from tests.unit.transports.echo import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


async def _drain(messages: AsyncIterator[object]) -> None:
    async with asyncio.timeout(30):
        async for _ in messages:
            pass


@pytest.mark.parametrize("volunteered", [True, {"enabled": True, "batch": 0}])
async def test_acks_that_the_client_did_not_ask_for_are_not_in_force(volunteered: object) -> None:
    """Older servers of CometD grant them to every client; a bound must hold all the same."""
    async with BayeuxServer() as server:
        server.faults.rewrite("/meta/handshake", {"ext": {"ack": volunteered}})
        async with client_of(server, WEBSOCKET, max_pending_count=10) as client:
            messages = aiter(client.channel("/a").pipe(to_async_iterable()))
            first = asyncio.ensure_future(anext(messages))
            seen = Recorder(client.channel("/a"))
            await subscribed(server, "/a")
            for n in range(200):
                await server.publish("/a", n)
            await seen.count(200)  # nobody takes any meanwhile
            await first
            with pytest.raises(BufferOverflowError):
                await _drain(messages)
            suspending = client.channel("/b").pipe(to_async_iterable(10, Overflow.SUSPEND))
            with pytest.raises(ClientError, match=r"ack\(\)"):
                await anext(aiter(suspending))


async def test_acks_that_both_sides_have_are_in_force() -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, extensions=[ack()], max_pending_count=10) as client,
    ):
        messages = aiter(client.channel("/a").pipe(to_async_iterable()))
        first = asyncio.ensure_future(anext(messages))
        await subscribed(server, "/a")
        for n in range(200):
            await server.publish("/a", n)
        received = [(await first)["data"]]
        received += [(await anext(messages))["data"] for _ in range(199)]
        assert received == list(range(200))
        await messages.aclose()


@BOTH
async def test_a_call_fails_with_the_session_that_its_answer_was_to_come_in(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await held(server)
        calling = asyncio.create_task(client.call("/service/nobody", 1, timeout=None))
        await server.until(lambda: requests(server, "/service/nobody"))
        await client.publish("/a", 1)  # so the reply to the call is here, too
        changes = Recorder(client.state_changes)
        server.faults.forget()
        server.faults.drop_link()
        with pytest.raises(TransportConnectionClosed, match="answer came from /service/nobody"):
            await asyncio.wait_for(calling, 20)
        await changes.until(lambda: client.state is ClientState.CONNECTED)
        assert len(requests(server, "/service/nobody")) == 1


@BOTH
async def test_a_call_outlives_a_link_that_is_lost(kind: ConnectionType) -> None:
    """Its answer comes in the session, which is resumed."""
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await held(server)
        calling = asyncio.create_task(client.call("/service/nobody", 1, timeout=None))
        await server.until(lambda: requests(server, "/service/nobody"))
        await client.publish("/a", 1)
        changes = Recorder(client.state_changes)
        server.faults.drop_link()
        await changes.until(lambda: changes.items[-1].resumed)
        assert not calling.done()
        (call,) = requests(server, "/service/nobody")
        assert client.client_id is not None
        server.deliver(client.client_id, "/service/nobody", 2, id=call["id"])
        assert (await calling).get("data") == 2


@BOTH
async def test_what_could_not_be_read_is_told_with_the_end(kind: ConnectionType) -> None:
    """Over a WebSocket as well, where a payload is not the response to anything."""

    async def garbage(request: web.Request) -> web.StreamResponse:
        if kind is LONG_POLLING:
            return web.Response(text="no JSON")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_str("no JSON")
        return socket

    async with serving(garbage) as url:
        client = client_of(url, kind, connection_timeout=0.5)
        with pytest.raises(TransportTimeoutError, match=r"last: .*JSON") as told:
            await client.open()
        assert isinstance(told.value.__cause__, ProtocolError)


async def test_the_last_error_is_told_with_the_end() -> None:
    async with BayeuxServer() as server:
        server.faults.respond_with(503, count=None)
        with pytest.raises(
            TransportTimeoutError, match=r"^no link for 0\.2 s; last: .*503"
        ) as caught:
            await client_of(server, connection_timeout=0.2).open()
        assert str(caught.value.__cause__) in str(caught.value)


@asynccontextmanager
async def narrow(server: BayeuxServer, rate: float, *, most: int = 10**9) -> AsyncGenerator[str]:
    """A way to a server that takes so many bytes a second, and so many in all.

    It reads ahead as little as a router does, so that senders notice.
    """

    async def carry(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float
    ) -> None:
        carried = 0
        with suppress(ConnectionError):
            while piece := await reader.read(64 * 1024):
                writer.write(piece)
                await writer.drain()
                carried += len(piece)
                if carried >= most:
                    await asyncio.Event().wait()
                await asyncio.sleep(len(piece) / rate)

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, onwards = await asyncio.open_connection("127.0.0.1", server.port)
        here = {
            asyncio.create_task(carry(reader, onwards, rate)),
            asyncio.create_task(carry(back, writer, float("inf"))),
        }
        try:
            await asyncio.wait(here, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in here:
                way.cancel()
            for end in (writer, onwards):
                end.transport.abort()

    listener = socket.create_server(("127.0.0.1", 0))
    # What the kernel takes in of itself is not read yet.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    async with listening(connect, sock=listener, limit=64 * 1024) as narrow:
        yield f"http://127.0.0.1:{port_of(narrow)}/cometd"


LARGE = 8_000_000
#: Seconds by which a reply may be late: those in which a slow machine decodes as much.
LATE = 0.6


@BOTH
async def test_a_large_publish_takes_its_time(kind: ConnectionType) -> None:
    """Sending it takes several times as long as a reply may be late, and small ones wait behind
    it; bytes that leave are progress, and the time of a reply begins when all have left."""
    async with (
        BayeuxServer() as server,
        narrow(server, 4_000_000) as url,
        client_of(url, kind, max_network_delay=LATE, max_message_size=2 * LARGE) as client,
    ):
        states = Recorder(client.state_changes)
        began = asyncio.get_running_loop().time()
        large = asyncio.ensure_future(client.publish("/large", "x" * LARGE))
        await asyncio.sleep(0.1)
        small = asyncio.ensure_future(client.publish("/small", 1))
        assert (await large)["successful"]
        assert (await small)["successful"]
        assert asyncio.get_running_loop().time() - began > 3 * LATE
        assert [change.state for change in states.items] == [ClientState.CONNECTED]


@BOTH
async def test_a_large_publish_that_is_not_taken_is_given_up(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(timeout=0.5) as server,
        narrow(server, 4_000_000, most=2_000_000) as url,
        client_of(url, kind, max_network_delay=LATE, max_message_size=2 * LARGE) as client,
    ):
        states = Recorder(client.state_changes)
        with pytest.raises(TransportTimeoutError):
            await client.publish("/large", "x" * LARGE)
        await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        assert (await client.publish("/small", 1))["successful"]


@BOTH
async def test_a_large_publish_that_is_taken_and_not_answered_is_given_up(
    kind: ConnectionType,
) -> None:
    async with (
        BayeuxServer() as server,
        narrow(server, 4_000_000) as url,
        client_of(url, kind, max_network_delay=LATE, max_message_size=2 * LARGE) as client,
    ):
        server.faults.delay_replies(60.0, "/large")
        with pytest.raises(TransportTimeoutError):
            await client.publish("/large", "x" * LARGE)
        assert [m["data"] for m in requests(server, "/large")] == ["x" * LARGE]
        assert (await client.publish("/small", 1))["successful"]
