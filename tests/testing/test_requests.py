from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rx_cometd.testing import BayeuxServer, ServiceRequest

from .peers import long_polling, peer, websocket

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


@BOTH
async def test_handshake_tells_all_that_a_client_needs(kind: str) -> None:
    async with BayeuxServer(timeout=12.0, interval=0.5) as server, peer(kind, server) as client:
        reply = await client.handshake()
        assert reply == {
            "id": "1",
            "channel": "/meta/handshake",
            "successful": True,
            "clientId": client.client_id,
            "version": "1.0",
            "minimumVersion": "1.0",
            "supportedConnectionTypes": ["websocket", "long-polling"],
            "advice": {"reconnect": "retry", "interval": 500, "timeout": 12000},
        }
        assert list(server.sessions) == [client.client_id]


@BOTH
async def test_publish_reaches_subscribers_before_the_reply(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a/b")
        message = client.message("/a/b", data={"n": 1}, ext={"binary": {}}, extra=1)
        event, reply = await client.exchange(message)
        assert event == {"channel": "/a/b", "data": {"n": 1}, "ext": {"binary": {}}, "extra": 1}
        assert reply == {"id": message["id"], "channel": "/a/b", "successful": True}


@BOTH
@pytest.mark.parametrize(
    ("name", "gets"),
    [("/a/b", "/a/b"), ("/a/*", "/a/b"), ("/a/**", "/a/b /a/b/c"), ("/**", "/a/b /a/b/c /d")],
)
async def test_globs(kind: str, name: str, gets: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open(name)
        for channel in ("/a/b", "/a/b/c", "/d"):
            await server.publish(channel, 1)
        messages: list[Any] = []
        while len(messages) < len(gets.split()):
            messages += await client.exchange(client.message("/service/none", data=0))
        events = [m["channel"] for m in messages if "data" in m]
        assert events == gets.split()


@BOTH
async def test_overlapping_subscriptions_deliver_once(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        assert (await client.subscribe("/a/b", "/a/*", "/**"))["subscription"] == [
            "/a/b",
            "/a/*",
            "/**",
        ]
        assert len(await client.exchange(client.message("/a/b", data=1))) == 2
        assert server.subscribers("/a/b") == (server.sessions[client.client_id],)


@BOTH
async def test_unsubscribe(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a")
        reply = await client.ask("/meta/unsubscribe", subscription="/a")
        assert (reply["successful"], reply["subscription"]) == (True, "/a")
        assert await server.publish("/a", 1) == 0


@BOTH
async def test_service_answers_with_the_id_of_the_request(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:

        @server.service("/service/echo")
        def echo(request: ServiceRequest) -> Any:
            return {"echo": request.data}

        await client.open()
        answer, reply = await client.exchange(client.message("/service/echo", data="x"))
        assert answer == {"channel": "/service/echo", "data": {"echo": "x"}, "id": reply["id"]}
        assert reply["successful"]


async def test_coroutine_services_answer_when_they_are_ready() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        go = asyncio.Event()

        @server.service("/service/slow")
        async def slow(request: ServiceRequest) -> Any:
            await go.wait()
            return request.session.client_id

        await client.open()
        (reply,) = await client.exchange(client.message("/service/slow", data=0))
        assert "data" not in reply
        go.set()
        (answer,) = await client.receive()
        assert (answer["data"], answer["id"]) == (client.client_id, reply["id"])


@BOTH
async def test_a_failing_service_fails_its_caller(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:

        @server.service("/service/bad")
        def bad(request: ServiceRequest) -> Any:
            raise ValueError

        await client.open()
        reply = await client.ask("/service/bad", data=0)
        assert (reply["successful"], reply["error"]) == (False, "500::service_failed")


async def test_connect_is_held_until_messages_come() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        await client.open("/a")
        held = asyncio.create_task(client.connect())
        await server.until(lambda: server.sessions[client.client_id].held)
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        *events, reply = await held
        assert [e["data"] for e in events] == [1, 2]
        assert (reply["channel"], reply["successful"]) == ("/meta/connect", True)
        assert "advice" not in reply


async def test_connect_is_held_until_the_timeout() -> None:
    async with BayeuxServer(timeout=0.2) as server, long_polling(server) as client:
        await client.open()
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert len(await client.connect()) == 1
        assert 0.15 < loop.time() - started < 2.0
        (reply,) = await client.connect(advice={"timeout": 0})
        assert reply["advice"]["timeout"] == 200


@BOTH
async def test_unknown_sessions(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        client.client_id = "nobody"
        reply = await client.ask("/meta/connect", connectionType=kind)
        assert reply["error"] == "402::session_unknown"
        assert reply["advice"] == {"reconnect": "handshake", "interval": 0}
        for channel, field in [("/a", "data"), ("/meta/subscribe", "subscription")]:
            reply = await client.ask(channel, **{field: "/a"})
            assert reply["error"] == "402::session_unknown"
            assert "advice" not in reply
