"""Payloads: what counts as one, in which order and in how many frames they come."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from aiohttp import WSMsgType

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing import BayeuxServer
from rx_cometd.testing.globs import is_valid, subscription_names

from .peers import LongPollingPeer, long_polling, peer, websocket

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


@pytest.mark.parametrize("payload", ["{", "[1]", '"x"', "[[]]"])
async def test_what_is_no_bayeux(payload: str) -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        assert await client.status(data=payload) == 400
        async with websocket(server) as other:
            await other.ws.send_str(payload)
            frame = await other.ws.receive()
            assert (frame.type, frame.data) == (WSMsgType.CLOSE, 1011)


async def test_empty_payloads() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        assert await client.status(data="[]") == 500
        async with websocket(server) as other:
            await other.ws.send_str("[]")
            assert (await other.ws.receive()).data == 1011


@BOTH
async def test_single_objects_are_payloads(kind: str) -> None:
    async with BayeuxServer() as server, long_polling(server) as client, websocket(server) as two:
        message = client.handshake_message()
        if kind == "websocket":
            await two.ws.send_bytes(json.dumps(message).encode())
            (reply,) = await two.receive()
        else:
            async with client.http.post(server.url, json=message) as response:
                (reply,) = await response.json()
        assert reply["successful"]


async def test_a_handshake_must_be_alone_over_http() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        two = client.handshake_message(), client.message("/a", data=1)
        assert await client.status(*two) == 500


async def test_longer_paths_are_the_same() -> None:
    async with BayeuxServer() as server, long_polling(server) as client:
        client.url += "/handshake"
        assert (await client.handshake())["successful"]


async def test_other_methods_and_connection_types_are_unknown() -> None:
    async with (
        BayeuxServer() as server,
        long_polling(server) as client,
        client.http.get(server.url) as response,
    ):
        assert response.status == 400
    only = BayeuxServer(connection_types=[ConnectionType.WEBSOCKET])
    async with only as server, long_polling(server) as client, websocket(server) as other:
        assert await client.status(client.handshake_message()) == 400
        assert (await other.handshake())["supportedConnectionTypes"] == ["websocket"]


async def test_sizes() -> None:
    async with BayeuxServer(max_message_size=2000) as server, long_polling(server) as client:
        await client.open()
        big = client.message("/a", data="x" * 3000)
        assert await client.status(big) == 413
        async with websocket(server) as other:
            await other.send(big)
            assert (await other.ws.receive()).data == 1009


@pytest.mark.parametrize(("limit", "frames"), [(1, [1] * 6), (4, [4, 2]), (0, [6]), (None, [6])])
async def test_messages_per_frame(limit: int | None, frames: list[int]) -> None:
    async with BayeuxServer(messages_per_frame=limit) as server, websocket(server) as client:
        await client.open("/a")
        client.frames.clear()
        for n in range(6):
            await server.publish("/a", n)
        assert [m["data"] for m in await client.gather(6)] == list(range(6))
        assert client.frames == frames


@BOTH
async def test_other_json_functions(kind: str) -> None:
    server = BayeuxServer(json_dumps=orjson.dumps, json_loads=orjson.loads)
    async with server, peer(kind, server) as client:
        await client.open("/a")
        event, _ = await client.exchange(client.message("/a", data="Zürich"))
        assert event["data"] == "Zürich"


async def test_the_content_type() -> None:
    async with (
        BayeuxServer(content_type="text/json") as server,
        long_polling(server) as client,
        client.http.post(server.url, json=[client.handshake_message()]) as response,
    ):
        assert response.content_type == "text/json"
        assert response.charset == "utf-8"


@BOTH
@pytest.mark.parametrize("data", ["", 0, False, [], {}, None])
async def test_falsy_data_are_data(kind: str, data: Any) -> None:
    async with BayeuxServer() as server, peer(kind, server) as client:
        await client.open("/a")
        event, _ = await client.exchange(client.message("/a", data=data))
        assert event == {"channel": "/a", "data": data}


async def test_binary_messages_pass_unchanged() -> None:
    async with BayeuxServer() as server, websocket(server) as client:
        await client.open("/a")
        data = {"data": "HelloWorld", "last": True}
        event, _ = await client.exchange(client.message("/a", data=data, ext={"binary": {}}))
        assert event == {"channel": "/a", "data": data, "ext": {"binary": {}}}
        await server.publish("/a", data, ext={"binary": {}})
        assert await client.receive() == [event]


async def test_cookies_bind_sessions_when_asked_to() -> None:
    async with BayeuxServer(require_cookie=True) as server, long_polling(server) as client:
        await client.open()
        (cookie,) = client.http.cookie_jar
        assert cookie.key == "BAYEUX_BROWSER"
        async with long_polling(server) as thief:
            thief.client_id = client.client_id
            (reply,) = await thief.connect()
            assert reply["error"] == "402::session_unknown"
        assert (await client.ask("/a", data=1))["successful"]
        # Another session of the same browser keeps the cookie.
        second = LongPollingPeer(client.http, server.url)
        await second.open()
        assert [c.value for c in client.http.cookie_jar] == [cookie.value]


def test_subscription_names() -> None:
    assert subscription_names("/a") == ("/a", "/*", "/**")
    assert subscription_names("/a/b/c") == (
        *("/a/b/c", "/a/b/*"),
        *("/**", "/a/**", "/a/b/**"),
    )


@pytest.mark.parametrize("name", ["/a", "/a/b-c_d!~()$@. 1", "/*", "/a/**"])
def test_valid_names(name: str) -> None:
    assert is_valid(name)


@pytest.mark.parametrize("name", ["", "/", "a", "/a/", "//a", "/a*", "/*/a", "/a/***", None, 1])
def test_invalid_names(name: object) -> None:
    assert not is_valid(name)
