"""When connects are held, and what ends a hold."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.testing import BayeuxServer

from .peers import LongPollingPeer, WebSocketPeer, long_polling, peer, websocket

if TYPE_CHECKING:
    from rx_cometd.testing import ServerSession

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


def held(server: BayeuxServer) -> list[ServerSession]:
    return [s for s in server.sessions.values() if s.held]


@BOTH
async def test_the_first_connect_is_not_held(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.handshake()
        (reply,) = await client.connect()
        assert reply["successful"]
        assert "advice" not in reply


@BOTH
async def test_a_timeout_of_0_is_obeyed(kind: str) -> None:
    async with BayeuxServer(interval=0.25) as server, peer(kind, server) as client:
        await client.open()
        (reply,) = await client.connect(advice={"timeout": 0})
        assert reply["advice"] == {"reconnect": "retry", "interval": 250, "timeout": 30000}


@BOTH
async def test_a_connect_among_other_messages_is_not_held(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        publish = client.message("/a", data=1)
        connect, published = await client.exchange(client.connect_message(), publish)
        assert (connect["channel"], published["channel"]) == ("/meta/connect", "/a")


@BOTH
async def test_events_come_before_the_connect_reply(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a")
        event, reply = await client.exchange(client.message("/a", data=1))
        assert event["data"] == 1
        answers = asyncio.create_task(client.connect())
        await server.until(lambda: held(server))
        await server.publish("/a", 2)
        await server.publish("/a", 3)
        if kind == "websocket":
            # Events do not end the hold: they have a way of their own.
            await asyncio.wait([answers], timeout=0.05)
            assert held(server)
            await server.disconnect(client.client_id)
        *events, reply = await answers
        assert [e["data"] for e in events if "data" in e] == [2, 3]
        assert reply["channel"] == "/meta/connect"


async def test_a_second_connect_releases_the_first_over_long_polling() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open("/a")
        first = asyncio.create_task(client.status(client.connect_message()))
        await server.until(lambda: held(server))
        second = asyncio.create_task(client.connect())
        assert await first == 500
        await server.publish("/a", 1)
        event, _ = await second
        assert event["data"] == 1


async def test_a_second_connect_silences_the_first_over_a_websocket() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open()
        await client.send(client.connect_message())
        (reply,) = await client.connect(advice={"timeout": 50})
        assert reply["successful"]
        assert (await client.ask("/a", data=1))["successful"]
        assert not held(server)


async def test_a_second_connect_need_not_be_held_to_release_the_first() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        first = asyncio.create_task(client.status(client.connect_message()))
        await server.until(lambda: held(server))
        assert (await client.connect(advice={"timeout": 0}))[0]["successful"]
        assert await first == 500


@BOTH
async def test_a_held_connect_of_a_forgotten_session_is_answered(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        connecting = asyncio.create_task(client.connect())
        await server.until(lambda: held(server))
        server.faults.forget(client.client_id)
        (reply,) = await connecting
        assert reply["error"] == "402::session_unknown"
        assert reply["advice"] == {"reconnect": "handshake", "interval": 0}


async def test_a_new_handshake_over_a_websocket_silences_the_old_session() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open("/a")
        await client.open("/a")
        assert len(server.subscribers("/a")) == 2
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        assert [m["data"] for m in await client.gather(2)] == [1, 2]


async def test_a_connect_over_another_transport_takes_the_session_along() -> None:
    async with BayeuxServer() as server, websocket(server) as one, long_polling(server) as two:
        await one.open("/a")
        two.client_id = one.client_id
        (reply,) = await two.connect(advice={"timeout": 0})
        assert reply["advice"]["reconnect"] == "retry"
        await server.publish("/a", 1)
        event, _ = await two.connect()
        assert event["data"] == 1
        (reply,) = await one.connect(advice={"timeout": 0})
        assert reply["successful"]
        await server.publish("/a", 2)
        (event,) = await one.receive()
        assert event["data"] == 2


@BOTH
async def test_disconnect_releases_the_held_connect(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a")
        if isinstance(client, WebSocketPeer):
            await client.send(client.connect_message())
            await server.until(lambda: held(server))
            await client.send(client.message("/meta/disconnect"))
            replies = await client.gather(2)
        else:
            connecting = asyncio.create_task(client.connect())
            await server.until(lambda: held(server))
            replies = [await client.ask("/meta/disconnect"), *await connecting]
        by_channel = {r["channel"]: r for r in replies}
        assert by_channel["/meta/disconnect"]["successful"]
        assert by_channel["/meta/connect"]["advice"]["reconnect"] == "none"
        assert not server.sessions
        assert not server.subscribers("/a")


async def test_a_client_that_went_away_gets_what_it_missed() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open("/a")
        connecting = asyncio.create_task(client.connect())
        await server.until(lambda: held(server))
        connecting.cancel()
        await server.until(lambda: not held(server))
        await server.publish("/a", 1)
        event, _ = await client.connect()
        assert event["data"] == 1


@BOTH
async def test_deliver_only(kind: str) -> None:
    server = BayeuxServer(meta_connect_deliver_only=True)
    async with server, peer(kind, server) as client:
        await client.open("/a")
        (reply,) = await client.exchange(client.message("/a", data=1))
        assert reply["successful"]
        connecting = asyncio.create_task(client.connect())
        event, reply = await connecting
        assert (event["data"], reply["channel"]) == (1, "/meta/connect")
        connecting = asyncio.create_task(client.connect())
        await server.until(lambda: held(server))
        await server.publish("/a", 2)
        event, _ = await connecting
        assert event["data"] == 2


async def test_max_interval_is_told() -> None:
    server = BayeuxServer(handshake_reconnect=True, max_interval=7.0)
    async with server, long_polling(server) as client:
        assert (await client.handshake())["advice"]["maxInterval"] == 7000


async def test_sessions_end_when_connects_fail_to_come() -> None:
    options: dict[str, Any] = {"timeout": 0.1, "max_interval": 0.8, "sweep_period": 60.0}
    async with BayeuxServer(**options) as server, long_polling(server) as client:
        await client.open()
        assert (await client.connect())[0]["successful"]
        session = server.sessions[client.client_id]
        await asyncio.sleep(1.0)  # longer than the session lives: no sweep tells of it
        assert session.expired
        # Not swept yet, and yet gone.
        assert (await client.connect())[0]["error"] == "402::session_unknown"
        assert not server.sessions
        assert isinstance(client, LongPollingPeer)
