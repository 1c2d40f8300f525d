from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, WSMsgType, WSServerHandshakeError

from rx_cometd.testing import BayeuxServer

from .peers import long_polling, peer, websocket

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


async def test_drop_link_resets_a_websocket_and_keeps_the_session() -> None:
    async with BayeuxServer() as server, websocket(server) as first:
        await first.open("/a")
        server.faults.drop_link(first.client_id)
        assert (await first.ws.receive()).type in {WSMsgType.ERROR, WSMsgType.CLOSED}
        await server.until(lambda: server.sessions[first.client_id].link is None)
        await server.publish("/a", "while away")
        async with websocket(server) as second:
            second.client_id = first.client_id
            answers = await second.connect(advice={"timeout": 0})
            assert [m.get("data") for m in answers] == ["while away", None]


async def test_drop_link_resets_a_held_connect() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open("/a")
        held = asyncio.create_task(client.connect())
        await server.until(lambda: server.sessions[client.client_id].held)
        server.faults.drop_link(client.client_id)
        with pytest.raises(ClientConnectionError):
            await held
        await server.until(lambda: not server.sessions[client.client_id].held)
        await server.publish("/a", "kept")
        assert [m.get("data") for m in await client.connect()] == ["kept", None]


async def test_drop_link_of_everybody() -> None:
    async with BayeuxServer() as server, websocket(server) as one, websocket(server) as two:
        server.faults.drop_link()
        for client in (one, two):
            assert (await client.ws.receive()).type in {WSMsgType.ERROR, WSMsgType.CLOSED}


@BOTH
async def test_a_stalled_server_answers_nothing_until_it_resumes(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        server.faults.stall()
        asked = asyncio.create_task(client.ask("/a", data=1))
        done, _ = await asyncio.wait([asked], timeout=0.1)
        assert not done
        server.faults.resume()
        assert (await asked)["successful"]


async def test_a_stalled_server_answers_no_pings() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        server.faults.stall()
        await client.ws.ping()
        # The reader lets pongs pass silently, so look at what comes at all.
        received = asyncio.create_task(client.ws.receive())
        done, _ = await asyncio.wait([received], timeout=0.1)
        assert not done
        await server.stop()
        assert (await received).type in {WSMsgType.ERROR, WSMsgType.CLOSED, WSMsgType.CLOSE}


async def test_respond_with() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        server.faults.respond_with(503, count=2)
        assert await client.status(client.handshake_message()) == 503
        with pytest.raises(WSServerHandshakeError) as caught:
            await client.http.ws_connect(server.url)
        assert caught.value.status == 503
        assert await client.status(client.handshake_message()) == 200


async def test_respond_with_for_a_channel() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        server.faults.respond_with(500, channel="/meta/connect")
        assert (await client.ask("/a", data=1))["successful"]
        assert await client.status(client.connect_message()) == 500
        assert await client.status(client.connect_message(advice={"timeout": 0})) == 200


async def test_refuse_websocket() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        server.faults.refuse_websocket()
        for _ in range(2):
            with pytest.raises(WSServerHandshakeError) as caught:
                await client.http.ws_connect(server.url)
            assert caught.value.status == 404
        await client.open()
        server.faults.clear()
        await (await client.http.ws_connect(server.url)).close()


@BOTH
async def test_forget(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a")
        server.faults.forget(client.client_id)
        (reply,) = await client.connect()
        assert reply["error"] == "402::session_unknown"
        assert await server.publish("/a", 1) == 0


@BOTH
async def test_refuse_subscribe(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        server.faults.refuse_subscribe("/a", "403:/a:no", count=1)
        reply = await client.subscribe("/a")
        assert (reply["successful"], reply["error"]) == (False, "403:/a:no")
        assert (await client.subscribe("/b"))["successful"]
        assert (await client.subscribe("/a"))["successful"]


@BOTH
async def test_refuse_connect_and_handshake(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        server.faults.refuse_handshake("403::no", {"reconnect": "retry"})
        assert (await client.handshake())["error"] == "403::no"
        await client.open()
        server.faults.refuse_connect("500::sorry", {"reconnect": "none"})
        (reply,) = await client.connect()
        assert (reply["error"], reply["advice"]) == ("500::sorry", {"reconnect": "none"})


async def test_close_websockets() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open()
        await server.faults.close_websockets(1012, "deploying")
        frame = await client.ws.receive()
        assert (frame.type, frame.data, frame.extra) == (WSMsgType.CLOSE, 1012, "deploying")
        assert client.client_id in server.sessions


async def test_garbage_replaces_a_response_or_is_a_frame() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        await server.faults.garbage("<html>", channel="/a")
        assert await client.text(client.message("/b", data=1)) != "<html>"
        assert await client.text(client.message("/a", data=1)) == "<html>"
        await server.faults.garbage(b"\xff\xfe")
        assert await client.body(client.message("/a", data=1)) == b"\xff\xfe"
        assert (await client.ask("/a", data=1))["successful"]
        async with websocket(server) as other:
            await server.faults.garbage("{]")
            frame = await other.ws.receive()
            assert (frame.type, frame.data) == (WSMsgType.TEXT, "{]")
            await server.faults.garbage(b"\xff\xfe")
            frame = await other.ws.receive()
            assert (frame.type, frame.data) == (WSMsgType.BINARY, b"\xff\xfe")
            await other.open()


async def test_truncate_breaks_off_a_response() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open("/a")
        server.faults.truncate(channel="/a")
        with pytest.raises(ClientPayloadError):
            await client.exchange(client.message("/a", data=1))
        assert (await client.ask("/a", data=1))["successful"]


async def test_truncate_breaks_off_a_frame() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open()
        server.faults.truncate()
        assert (await client.ws.receive()).type in {WSMsgType.ERROR, WSMsgType.CLOSED}
        await server.until(lambda: server.sessions[client.client_id].link is None)


async def test_lost_responses_are_processed() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        server.faults.lose_responses("/meta/subscribe")
        with pytest.raises(ClientConnectionError):
            await client.subscribe("/a")
        assert len(server.subscribers("/a")) == 1
        assert (await client.subscribe("/b"))["successful"]


@BOTH
async def test_lost_replies_are_processed(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        server.faults.lose_replies("/meta/subscribe")
        first = client.message("/meta/subscribe", subscription="/a")
        second = client.message("/a", data=1)
        answers = await client.exchange_for(2, first, second)
        assert [m["channel"] for m in answers] == ["/a", "/a"]
        assert (await client.subscribe("/b"))["successful"]


async def test_delayed_replies_hold_up_nothing_else_on_a_websocket() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open()
        server.faults.delay_replies(0.15, "/slow", count=1)
        slow, fast = client.message("/slow", data=1), client.message("/fast", data=1)
        started = asyncio.get_running_loop().time()
        await client.send(slow)
        await client.send(fast)
        assert [m["channel"] for m in await client.gather(2)] == ["/fast", "/slow"]
        assert asyncio.get_running_loop().time() - started >= 0.14


async def test_delayed_replies_over_long_polling() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        server.faults.delay_replies(0.15, count=1)
        started = asyncio.get_running_loop().time()
        assert (await client.ask("/a", data=1))["successful"]
        assert asyncio.get_running_loop().time() - started >= 0.14


@BOTH
async def test_rewritten_replies(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        advice = {"reconnect": "handshake", "interval": 0}
        server.faults.advise(advice, count=1)
        server.faults.rewrite("/meta/handshake", {"supportedConnectionTypes": ["x"]}, count=1)
        assert (await client.handshake())["advice"] == advice
        assert (await client.handshake())["supportedConnectionTypes"] == ["x"]


async def test_omitted_ids() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open()
        server.faults.omit_ids("/a", count=1)
        (reply,) = await client.exchange(client.message("/a", data=1))
        assert reply == {"channel": "/a", "successful": True}


async def test_clear_ends_all_faults() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        faults = server.faults
        faults.respond_with(500, count=None)
        faults.refuse("/**", "403::no", count=None)
        faults.refuse_subscribe("/**", "403::no")
        faults.delay_replies(60)
        faults.lose_replies(count=None)
        faults.lose_responses(count=None)
        faults.omit_ids()
        faults.advise({"reconnect": "none"})
        await faults.garbage("!")
        faults.stall()
        faults.clear()
        await client.open("/a")
        assert (await client.ask("/a", data=1))["successful"]
