from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.testing import (
    BayeuxServer,
    InFlight,
    ServerExtension,
    ServerSession,
    ServiceFailure,
    ServiceRequest,
    TimesyncExtension,
)

from .peers import long_polling, peer, websocket

if TYPE_CHECKING:
    from rx_cometd.testing import Json

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
        assert answer == {
            "channel": "/service/echo",
            "data": {"echo": "x"},
            "id": reply["id"],
            "successful": True,
        }
        assert reply["successful"]


@BOTH
@pytest.mark.parametrize("channel", ["/service/plain", "/service/coroutine"])
async def test_services_answer_failures_of_their_own_making(kind: str, channel: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:

        @server.service("/service/plain")
        def plain(request: ServiceRequest) -> Any:
            raise ServiceFailure({"reason": "no"})

        @server.service("/service/coroutine")
        async def coroutine(request: ServiceRequest) -> Any:
            raise ServiceFailure({"reason": "no"})

        await client.open()
        answers = await client.exchange(client.message(channel, data="x"))
        while len(answers) < 2:
            answers += await client.exchange(client.message("/none", data=0))
        (failure,) = [m for m in answers if "data" in m]
        assert (failure["data"], failure["successful"]) == ({"reason": "no"}, False)


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
        assert 0.15 < loop.time() - started < 30.0
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


@BOTH
async def test_impossible_requests(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open()
        errors = {
            "400::channel_missing": {"id": "a", "clientId": client.client_id},
            "405::channel_invalid": client.message("no/channel", data=1),
            "404::unknown_meta": client.message("/meta/unknown"),
            "403:denied_by_security_policy:create_denied": client.message("/a/*", data=1),
            "403::subscription_missing": client.message("/meta/subscribe"),
            "403::subscription_invalid": client.message("/meta/subscribe", subscription="a"),
            "403:denied_by_security_policy:subscribe_denied": client.message(
                "/meta/subscribe", subscription=["/a", "/meta/connect"]
            ),
        }
        for error, message in errors.items():
            (reply,) = await client.exchange(message)
            assert (reply["error"], reply["id"]) == (error, message["id"])
        reply = await client.ask("/meta/unsubscribe")
        assert reply["error"] == "403::subscription_missing"
        # An array is taken as a whole or not at all.
        assert not server.subscribers("/a")


@BOTH
async def test_policies(kind: str) -> None:
    async def can_publish(session: ServerSession, channel: str, message: Json) -> str | bool:
        return message["data"] == "please" or f"403:{channel}:say please"

    server = BayeuxServer(
        can_handshake=lambda _, message: message.get("ext") == {"name": "me"},
        can_subscribe=lambda _, name, __: name != "/secret",
        can_publish=can_publish,
    )
    async with server, peer(kind, server) as client:
        reply = await client.handshake()
        assert (reply["error"], reply["advice"]["reconnect"]) == ("403::handshake_denied", "none")
        assert (await client.handshake(ext={"name": "me"}))["successful"]
        reply = await client.subscribe("/a", "/secret")
        assert reply["error"] == "403:denied_by_security_policy:subscribe_denied"
        assert (await client.subscribe("/a"))["successful"]
        assert (await client.ask("/a", data=1))["error"] == "403:/a:say please"
        assert (await client.ask("/a", data="please"))["successful"]


async def test_policies_may_give_fields() -> None:
    retry = {"advice": {"reconnect": "retry", "interval": 10}}
    server = BayeuxServer(can_handshake=lambda _, __: {"error": "403::busy", **retry})
    async with server, long_polling(server) as client:
        reply = await client.handshake()
        assert (reply["error"], reply["advice"]) == ("403::busy", retry["advice"])
        assert not reply["successful"]


async def test_on_handshake_may_be_a_coroutine_function() -> None:
    async def greet(session: ServerSession) -> None:
        server.deliver(session.client_id, "/service/hello", "hi")

    server = BayeuxServer(on_handshake=greet)
    async with server, long_polling(server) as client:
        reply = await client.handshake()
        assert "x-messages" not in reply
        event, _ = await client.connect()
        assert event["data"] == "hi"


@BOTH
async def test_publishers_need_not_hear_themselves(kind: str) -> None:
    server = BayeuxServer(broadcast_to_publisher=False)
    async with server, peer(kind, server) as client, websocket(server) as other:
        await client.open("/a")
        await other.open("/a")
        assert len(await client.exchange(client.message("/a", data=1))) == 1
        assert (await other.receive())[0]["data"] == 1


@BOTH
async def test_service_subscriptions_do_nothing(kind: str) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/service/x")
        assert not server.sessions[client.client_id].subscriptions
        assert len(await client.exchange(client.message("/service/x", data=1))) == 1


async def test_services_may_be_globs_and_say_nothing() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        seen: list[Any] = []
        server.service("/service/**")(lambda request: seen.append((request.channel, request.data)))
        await client.open()
        (reply,) = await client.exchange(client.message("/service/a/b", data=7))
        assert reply["successful"]
        assert seen == [("/service/a/b", 7)]


async def test_a_failing_coroutine_service_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with BayeuxServer() as server, long_polling(server) as client:

        @server.service("/service/bad")
        async def bad(request: ServiceRequest) -> Any:
            raise ValueError("no good")

        await client.open()
        assert (await client.ask("/service/bad", data=0))["successful"]
        assert "no good" in caplog.text


@BOTH
async def test_timesync(kind: str) -> None:
    server = BayeuxServer(timesync=TimesyncExtension(offset=10.0))
    async with server, peer(kind, server) as client:
        now = round(time.time() * 1000)
        reply = await client.handshake(ext={"timesync": {"tc": now, "l": 0, "o": 0}})
        answer = reply["ext"]["timesync"]
        assert answer["tc"] == now
        assert 10_000 <= answer["ts"] - now < 12_000
        assert answer["a"] == now - answer["ts"]
        async with asyncio.timeout(30):
            while "ext" in reply:  # the machine may take its time on the way
                now = round(time.time() * 1000)
                in_step = {"tc": now, "l": 1, "o": 10_000}
                (reply,) = await client.connect(ext={"timesync": in_step}, advice={"timeout": 0})


async def test_extensions_of_ones_own_see_and_refuse() -> None:
    class Stamp(ServerExtension):
        async def incoming(self, in_flight: InFlight) -> Json | None:
            return {"error": "403::mute"} if in_flight.message["channel"] == "/mute" else None

        def outgoing(self, in_flight: InFlight, reply: Json) -> None:
            reply["stamp"] = len(in_flight.exchange.messages)

    async with BayeuxServer(extensions=[Stamp()]) as server, long_polling(server) as client:
        assert (await client.handshake())["stamp"] == 1
        reply = await client.ask("/mute", data=1)
        assert (reply["successful"], reply["error"], reply["stamp"]) == (False, "403::mute", 1)
