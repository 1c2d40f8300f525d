from __future__ import annotations

import asyncio
import gc
import time

import pytest
from aiohttp import ClientConnectionError, TCPConnector, WSMsgType

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing import BayeuxServer

from .peers import long_polling, peer, websocket


def anew() -> TCPConnector:
    """Connect for each request: a connection of before may be used until the kernel tells."""
    return TCPConnector(force_close=True)


BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


async def test_restart_keeps_the_port_and_forgets_sessions() -> None:
    async with BayeuxServer() as server, long_polling(server, connector=anew()) as client:
        port = server.port
        await client.open("/a")
        await server.restart()
        assert server.port == port
        (reply,) = await client.connect()
        assert reply["error"] == "402::session_unknown"


async def test_restart_can_keep_sessions() -> None:
    async with BayeuxServer() as server, long_polling(server, connector=anew()) as client:
        await client.open("/a")
        await server.restart(forget=False)
        assert await server.publish("/a", 1) == 1
        event, _ = await client.connect()
        assert event["data"] == 1


async def test_stop_is_quick_and_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    server = BayeuxServer()
    await server.start()
    async with long_polling(server) as one, websocket(server) as two:
        await one.open()
        await two.open()
        held = asyncio.create_task(one.connect())
        await two.send(two.connect_message())
        await server.until(lambda: all(s.held for s in server.sessions.values()))
        started = time.monotonic()
        await server.stop()
        assert time.monotonic() - started < 20
        with pytest.raises(ClientConnectionError):
            await held
        assert (await two.ws.receive()).type is WSMsgType.CLOSE
        with pytest.raises(ClientConnectionError):
            await one.handshake()
    assert not server.sessions
    gc.collect()
    for _ in range(1000):
        if asyncio.all_tasks() == before:
            break
        await asyncio.sleep(0.005)  # the client's side learns of the end from the kernel
    assert asyncio.all_tasks() == before


@BOTH
async def test_received_keeps_payloads(kind: str) -> None:
    async with BayeuxServer(max_received=3) as server, peer(kind, server) as client:
        await client.open()
        assert [p[1][0]["channel"] for p in server.received] == ["/meta/handshake", "/meta/connect"]
        server.received.clear()
        batch = [client.message("/a", data=n) for n in range(1000)]
        await client.exchange(*batch)
        assert server.received == [(ConnectionType(kind), batch)]
        for _ in range(5):
            await client.ask("/a", data=1)
        assert len(server.received) == 3


async def test_expired_sessions_are_swept() -> None:
    async with BayeuxServer(max_interval=1.0) as server, long_polling(server) as client:
        await client.open("/a")
        await server.until(lambda: not server.sessions)
        assert not server.subscribers("/a")
        (reply,) = await client.connect()
        assert reply["advice"]["reconnect"] == "handshake"


async def test_websockets_of_expired_sessions_are_closed() -> None:
    async with BayeuxServer(max_interval=1.0) as server, websocket(server) as client:
        await client.open("/a")
        frame = await client.ws.receive()
        assert (frame.type, frame.data, frame.extra) == (WSMsgType.CLOSE, 1000, "Destroy")
        assert not server.sessions


async def test_a_held_connect_keeps_its_session() -> None:
    async with (
        BayeuxServer(timeout=1.8, max_interval=0.8) as server,
        long_polling(server) as client,
    ):
        await client.open()
        (reply,) = await client.connect()
        assert reply["successful"]


async def test_server_side_disconnect() -> None:
    async with BayeuxServer() as server:
        async with websocket(server) as client:
            await client.open("/a")
            await client.send(client.connect_message())
            await server.until(lambda: server.sessions[client.client_id].held)
            await server.publish("/a", "last")
            await server.disconnect(client.client_id)
            last, farewell, reply = await client.gather(3)
            assert last["data"] == "last"
            assert farewell == {"channel": "/meta/disconnect", "successful": True}
            assert reply["advice"]["reconnect"] == "none"
        async with long_polling(server) as other:
            await other.open()
            held = asyncio.create_task(other.connect())
            await server.until(lambda: server.sessions[other.client_id].held)
            await server.disconnect(other.client_id)
            farewell, reply = await held
            assert farewell == {"channel": "/meta/disconnect", "successful": True}
            assert reply["advice"]["reconnect"] == "none"


async def test_many_messages_do_not_fill_memory() -> None:
    async with BayeuxServer(messages_per_frame=100) as server, websocket(server) as client:
        await client.open("/a")
        session = server.sessions[client.client_id]

        async def flood() -> None:
            for n in range(50_000):
                await server.publish("/a", n)

        flooding = asyncio.create_task(flood())
        # Nobody reads yet: the socket's buffers fill, then the server's, then it waits.
        while not session.crowded:  # noqa: ASYNC110 - crowding is nobody's event
            await asyncio.sleep(0)
        got: list[int] = []
        while len(got) < 50_000:
            got += [m["data"] for m in await client.receive()]
        await flooding
        assert got == list(range(50_000))
        assert max(client.frames) == 100


async def test_a_server_starts_once() -> None:
    server = BayeuxServer()
    assert not server.running
    assert repr(server) == "<BayeuxServer stopped, 0 sessions>"
    await server.stop()
    async with server:
        assert repr(server) == f"<BayeuxServer at {server.url}, 0 sessions>"
        with pytest.raises(RuntimeError):
            await server.start()
        other = BayeuxServer(port=server.port)
        with pytest.raises(OSError):
            await other.start()
        assert not other.running
    server.faults.drop_link()
    async with server:
        assert server.running


async def test_ipv6_urls() -> None:
    server = BayeuxServer("::1", 8080, path="/bayeux")
    assert server.url == "http://[::1]:8080/bayeux"


async def test_until_gives_up() -> None:
    async with BayeuxServer() as server:
        with pytest.raises(TimeoutError):
            await server.until(lambda: server.sessions, timeout=0.01)


async def test_unknown_sessions_are_key_errors() -> None:
    async with BayeuxServer() as server:
        with pytest.raises(KeyError):
            server.deliver("nobody", "/a", 1)
        with pytest.raises(KeyError):
            await server.disconnect("nobody")
        with pytest.raises(KeyError):
            server.faults.drop_link("nobody")


async def test_pings_are_answered() -> None:
    async with BayeuxServer() as server, websocket(server, autoping=False) as client:
        await client.ws.ping(b"x")
        frame = await client.ws.receive()
        assert (frame.type, frame.data) == (WSMsgType.PONG, b"x")


async def test_deliver_needs_no_subscription() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open()
        server.deliver(client.client_id, "/a", 1, id="7")
        assert await client.receive() == [{"channel": "/a", "data": 1, "id": "7"}]


async def test_sessions_tell_their_state() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.handshake()
        session = server.sessions[client.client_id]
        assert "long-polling handshaken, 0 subscriptions, 0 queued" in repr(session)
        await client.connect()
        server.deliver(client.client_id, "/a", 1)
        assert "connected, 0 subscriptions, 1 queued" in repr(session)


async def test_events_of_the_handshake_follow_its_reply_on_a_websocket() -> None:
    server = BayeuxServer(on_handshake=lambda s: server.deliver(s.client_id, "/hello", "hi"))
    async with server, websocket(server) as client:
        reply, event = await client.exchange_for(2, client.handshake_message())
        assert (reply["successful"], event["data"]) == (True, "hi")


async def test_x_messages_without_acknowledgements() -> None:
    server = BayeuxServer(deliver_during_handshake=True)
    async with server, long_polling(server) as client:
        assert (await client.handshake())["x-messages"] == 0


async def test_a_dropped_websocket_releases_the_publisher() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open("/a")
        session = server.sessions[client.client_id]
        server.faults.stall()
        publishing = asyncio.create_task(server.publish("/a", "x" * 1_000_000))
        while not session.crowded:  # noqa: ASYNC110 - crowding is nobody's event
            await asyncio.sleep(0)
        assert not publishing.done()
        server.faults.drop_link()
        assert await publishing == 1


async def test_failures_inside_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with BayeuxServer(json_dumps=failing) as server, websocket(server) as client:
        await client.send(client.handshake_message())
        assert (await client.ws.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED}
    assert "cannot encode" in caplog.text


def failing(message: object) -> str:
    raise ValueError("cannot encode")
