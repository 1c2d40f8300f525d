"""The sequences marked "probed" in the notes on the reference server, and what follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientConnectionError

from rx_cometd.testing import BayeuxServer

from .peers import long_polling, peer, websocket

if TYPE_CHECKING:
    from .peers import Json, Peer

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


async def connect(client: Peer, ack: int, **fields: Any) -> tuple[list[Any], Json]:
    *events, reply = await client.connect(ext={"ack": ack}, **fields)
    assert reply["channel"] == "/meta/connect"
    return [e["data"] for e in events], reply


async def open_with_ack(client: Peer, server: BayeuxServer) -> None:
    reply = await client.handshake(ext={"ack": True})
    assert reply["ext"]["ack"] is True
    assert (await client.subscribe("/a"))["successful"]


@BOTH
async def test_the_probed_sequence(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await open_with_ack(client, server)
        _, c1 = await connect(client, 0)
        assert c1["ext"]["ack"] == 1
        held = asyncio.create_task(connect(client, 1))
        await server.until(lambda: server.sessions[client.client_id].held)
        await server.publish("/a", "m1")
        await server.publish("/a", "m2")
        data, c2 = await held
        assert (data, c2["ext"]["ack"]) == (["m1", "m2"], 2)
        data, c3 = await connect(client, 1)
        assert (data, c3["ext"]["ack"]) == (["m1", "m2"], 3)
        assert c3["advice"]["reconnect"] == "retry"
        await server.publish("/a", "m3")
        data, c4 = await connect(client, 3)
        assert (data, c4["ext"]["ack"]) == (["m3"], 4)
        await server.publish("/a", "m4")
        # A smaller number brings nothing back, but all that is not acknowledged comes again.
        data, c5 = await connect(client, 1)
        assert (data, c5["ext"]["ack"]) == (["m3", "m4"], 5)


async def test_what_is_acknowledged_does_not_come_again() -> None:
    async with BayeuxServer(timeout=0.1) as server, long_polling(server) as client:
        await open_with_ack(client, server)
        await connect(client, 0)
        await server.publish("/a", 1)
        data, reply = await connect(client, 1)
        assert data == [1]
        data, reply = await connect(client, reply["ext"]["ack"])
        assert (data, reply["ext"]["ack"]) == ([], 3)


async def test_events_lost_with_a_dropped_response_come_again() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await open_with_ack(client, server)
        await connect(client, 0)
        await server.publish("/a", 1)
        server.faults.lose_responses("/meta/connect")
        with pytest.raises(ClientConnectionError):
            await connect(client, 1)
        data, _ = await connect(client, 1)
        assert data == [1]


@BOTH
async def test_only_connects_carry_events(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await open_with_ack(client, server)
        await connect(client, 0)
        (reply,) = await client.exchange(client.message("/a", data="own"))
        assert reply["successful"]
        data, _ = await connect(client, 1)
        assert data == ["own"]


async def test_events_of_a_dead_websocket_come_over_the_next_one() -> None:
    async with BayeuxServer() as server:
        async with websocket(server) as first:
            await open_with_ack(first, server)
            await connect(first, 0)
        await server.until(lambda: server.sessions[first.client_id].link is None)
        for n in range(3):
            await server.publish("/a", n)
        async with websocket(server) as second:
            second.client_id = first.client_id
            data, _ = await connect(second, 1, advice={"timeout": 0})
            assert data == [0, 1, 2]


async def test_a_request_without_ack_clears_nothing() -> None:
    async with BayeuxServer(timeout=0.1) as server, long_polling(server) as client:
        await open_with_ack(client, server)
        await connect(client, 0)
        await server.publish("/a", 1)
        await connect(client, 1)
        *events, reply = await client.connect()
        assert ([e["data"] for e in events], reply["ext"]["ack"]) == ([1], 3)


@BOTH
@pytest.mark.parametrize("asked", [False, {"enabled": False}, None])
async def test_without_asking_there_is_none(kind: str, asked: object) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        reply = await client.handshake(ext={"ack": asked})
        assert "ext" not in reply
        *_, reply = await client.connect()
        assert "ext" not in reply


async def test_the_extension_can_be_left_out() -> None:
    async with BayeuxServer(ack=False) as server, long_polling(server) as client:
        assert "ext" not in await client.handshake(ext={"ack": True})


async def test_the_object_form() -> None:
    async with BayeuxServer(ack="object") as server, long_polling(server) as client:
        reply = await client.handshake(ext={"ack": {"enabled": True}})
        assert reply["ext"]["ack"] == {"enabled": True, "batch": 0}


@BOTH
async def test_delivery_during_the_handshake(kind: str) -> None:
    def greet(session: Any) -> None:
        server.deliver(session.client_id, "/service/hello", "hi")

    server = BayeuxServer(deliver_during_handshake=True, on_handshake=greet)
    async with server, peer(kind, server) as client:
        message = client.handshake_message(ext={"ack": True})
        reply, event = await client.exchange_for(2, message)
        assert reply["x-messages"] == 1
        assert reply["ext"]["ack"] == {"enabled": True, "batch": 1}
        assert event["data"] == "hi"
        client.client_id = reply["clientId"]
        data, reply = await connect(client, 1)
        assert (data, reply["ext"]["ack"]) == ([], 2)
