"""What a client is told to do: headers, cookies, fields, JSON functions, sessions, secrets."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import traceback
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import orjson
import pytest
import ujson
from aiohttp import web
from yarl import URL

from rx_cometd import (
    Client,
    ClientError,
    ClientState,
    CometDError,
    ConnectionType,
    ProtocolError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Json,
    Recorder,
    client_of,
    held,
    quickly,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

pytestmark = pytest.mark.usefixtures("nothing_left")


@asynccontextmanager
async def recording(server: BayeuxServer) -> AsyncGenerator[tuple[str, list[web.Request]]]:
    """Serve a proxy that keeps every request's headers, and hands it on; gives its URL."""
    seen: list[web.Request] = []

    async def hand_on(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        if request.headers.get("Upgrade"):
            return await relay(request)
        body = await request.read()
        kept = {k: v for k, v in request.headers.items() if k.lower() == "cookie"}
        async with http.post(server.url, data=body, headers=kept) as response:
            answer = web.Response(body=await response.read(), status=response.status)
            for name, cookie in response.cookies.items():
                answer.set_cookie(name, cookie.value, path="/")
            return answer

    async def relay(request: web.Request) -> web.StreamResponse:
        down = web.WebSocketResponse(protocols=("bayeux",), max_msg_size=0)
        await down.prepare(request)
        async with http.ws_connect(server.url, max_msg_size=0) as up:

            async def back() -> None:
                async for frame in up:
                    await down.send_str(frame.data)

            task = asyncio.create_task(back())
            async for frame in down:
                await up.send_str(frame.data)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return down

    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/{tail:.*}", hand_on)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}/cometd", seen
        finally:
            await runner.cleanup()


# Addresses


@BOTH
@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_addresses_are_kept_whole(kind: ConnectionType, scheme: str) -> None:
    async with BayeuxServer() as server, recording(server) as (url, seen):
        address = url.replace("http:", f"{scheme}:") + "/deep%20er;x?a=1&b=%C3%BC"
        async with client_of(address, kind) as client:
            await client.publish("/a", 1)
        (path,) = {request.raw_path for request in seen}
        assert path == "/cometd/deep%20er;x?a=1&b=%C3%BC"


# Headers


@BOTH
async def test_headers_are_sent(kind: ConnectionType) -> None:
    headers = {"Authorization": "Bearer x", "X-Own": "1"}
    async with BayeuxServer() as server, recording(server) as (url, seen):
        async with client_of(url, kind, headers=headers) as client:
            await client.publish("/a", 1)
        assert {r.headers["Authorization"] for r in seen} == {"Bearer x"}
        assert {r.headers["X-Own"] for r in seen} == {"1"}
        assert len(seen) == 1 if kind is WEBSOCKET else len(seen) >= 4


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_headers_are_asked_for_each_request(asynchronous: bool) -> None:
    numbers = count(1)

    def plain() -> Json:
        return {"X-N": str(next(numbers))}

    async def coroutine() -> Json:
        await asyncio.sleep(0)
        return plain()

    async with BayeuxServer() as server, recording(server) as (url, seen):
        headers = coroutine if asynchronous else plain
        async with client_of(url, LONG_POLLING, headers=headers) as client:
            await client.publish("/a", 1)
            await client.publish("/a", 2)
        found = [int(r.headers["X-N"]) for r in seen]
        assert sorted(found) == list(range(1, len(seen) + 1))
        assert len(found) >= 5


async def test_headers_are_asked_for_each_upgrade() -> None:
    numbers = count(1)
    async with (
        BayeuxServer() as server,
        recording(server) as (url, seen),
        client_of(url, WEBSOCKET, headers=lambda: {"X-N": str(next(numbers))}) as client,
    ):
        await client.publish("/a", 1)
        assert [r.headers["X-N"] for r in seen] == ["1"]
        changes = Recorder(client.state_changes)
        await held(server)
        transport = seen[0].transport
        assert transport is not None
        transport.abort()
        await changes.until(lambda: changes.items[-1].resumed)
        assert [r.headers["X-N"] for r in seen] == ["1", "2"]


async def test_headers_that_meet_a_cancellation_fail_but_their_own_request() -> None:
    given: list[dict[str, str] | None] = [{}]

    async def headers() -> dict[str, str]:
        if given[0] is None:
            raise asyncio.CancelledError
        return given[0]

    async with (
        BayeuxServer() as server,
        client_of(server, LONG_POLLING, headers=headers) as client,
    ):
        await held(server)  # so that it is the publish that fails, and nothing else
        given[0] = None
        async with asyncio.timeout(30):
            with pytest.raises(ClientError, match="`headers` raised CancelledError"):
                await client.publish("/a", 1)
            given[0] = {}
            assert (await client.publish("/a", 2))["successful"] is True


@BOTH
async def test_headers_that_are_no_texts_show_no_credential(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        headers: Any = lambda: {"Authorization": SECRET.encode()}  # noqa: E731
        client = client_of(server, kind, headers=headers, connection_timeout=0.2)
        with pytest.raises(TransportTimeoutError, match="must be a str, not bytes") as caught:
            await client.open()
        assert SECRET not in told(caught.value)


async def test_the_content_type_can_be_chosen() -> None:
    async with BayeuxServer() as server, recording(server) as (url, seen):
        async with client_of(url, LONG_POLLING):
            pass
        assert {r.headers["Content-Type"] for r in seen} == {"application/json;charset=UTF-8"}
        seen.clear()
        async with client_of(url, LONG_POLLING, headers={"content-type": "text/json"}):
            pass
        assert {tuple(r.headers.getall("Content-Type")) for r in seen} == {("text/json",)}


# Subprotocols


async def test_a_subprotocol_is_offered() -> None:
    headers = {"sec-websocket-protocol": "bayeux, other"}
    async with BayeuxServer() as server, recording(server) as (url, seen):
        async with client_of(url, WEBSOCKET, headers=headers) as client:
            await client.publish("/a", 1)
        assert [r.headers["Sec-WebSocket-Protocol"] for r in seen] == ["bayeux,other"]


async def test_a_server_that_chooses_no_subprotocol() -> None:
    headers = {"Sec-WebSocket-Protocol": "bayeux"}
    async with BayeuxServer() as server:
        async with client_of(server, headers=headers) as client:
            assert client.connection_type is LONG_POLLING
        with pytest.raises(ClientError) as caught:
            await client_of(server, WEBSOCKET, headers=headers).open()
        assert "subprotocol" in str(caught.value.__cause__)


# Cookies


@BOTH
async def test_cookies_of_an_ip_host_are_kept(kind: ConnectionType) -> None:
    async with BayeuxServer(require_cookie=True) as server:
        assert "127.0.0.1" in server.url
        async with client_of(server, [LONG_POLLING, kind]) as client:
            await client.publish("/a", 1)
            await held(server)
            server.faults.forget()
            await server.until(lambda: len(requests(server, "/meta/handshake")) == 2)
            await client.publish("/a", 1)


async def test_cookies_go_with_the_upgrade() -> None:
    async with BayeuxServer() as server, recording(server) as (url, seen):
        server.faults.rewrite("/meta/handshake", {"supportedConnectionTypes": ["websocket"]})
        async with client_of(url, [LONG_POLLING, WEBSOCKET]) as client:
            assert client.connection_type is WEBSOCKET
        handshake, upgrade = seen
        assert "BAYEUX_BROWSER" not in handshake.cookies
        assert "BAYEUX_BROWSER" in upgrade.cookies


@BOTH
async def test_the_users_session_is_used_and_never_closed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, recording(server) as (url, seen):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, headers={"X-Mine": "1"}) as http:
            jar.update_cookies({"login": "yes"}, response_url=URL(url))
            for _ in range(2):
                async with client_of(url, kind, http_session=http) as client:
                    await client.publish("/a", 1)
                assert not http.closed
            assert {r.cookies.get("login") for r in seen} == {"yes"}
            assert {r.headers.get("X-Mine") for r in seen} == {"1"}


@BOTH
async def test_a_closed_session_of_the_users_is_told(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        http = aiohttp.ClientSession()
        await http.close()
        client = client_of(server, kind, http_session=http, connection_timeout=0.1)
        with pytest.raises(CometDError) as caught:
            await client.open()
        assert "closed" in f"{caught.value} {caught.value.__cause__}".lower()


async def test_our_own_session_is_closed() -> None:
    async with BayeuxServer() as server:
        for kind in ConnectionType:
            async with client_of(server, kind) as client:
                await client.publish("/a", 1)
        gc.collect()
        alive = [o for o in gc.get_objects() if isinstance(o, aiohttp.ClientSession)]
        assert all(session.closed for session in alive)


async def test_a_proxy() -> None:
    async with BayeuxServer() as server, recording(server) as (url, seen):
        proxy = url.replace("/cometd", "/")
        async with client_of(server, LONG_POLLING, proxy=proxy) as client:
            await client.publish("/a", 1)
        assert {str(r.url) for r in seen} == {server.url}


@pytest.mark.parametrize(
    "proxy", ["", "host:3128", "http://", "http://[", "socks5://u:secret@host"]
)
def test_a_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(ValueError, match="as http://host:3128") as caught:
        Client("http://127.0.0.1:1/cometd", proxy=proxy)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("compress", [False, True])
async def test_compression(compress: bool) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, compress=compress) as client,
    ):
        (session,) = server.sessions.values()
        upgrade: Any = session.link
        assert ("Sec-WebSocket-Extensions" in upgrade.headers) is compress
        assert (await client.publish("/a", "x" * 10_000))["successful"]


@BOTH
async def test_what_becomes_too_large_when_it_is_decompressed(kind: ConnectionType) -> None:
    """It costs the link, or the request, and not the session."""
    bomb = "[" + " " * 10_000_000 + "]"
    async with (
        BayeuxServer() as server,
        client_of(server, kind, compress=True, max_message_size=100_000) as client,
    ):
        states = Recorder(client.state_changes)
        await client.publish("/a", 1)
        if kind is WEBSOCKET:
            with suppress(ConnectionError):  # the client hangs up on it
                await server.faults.garbage(bomb)
            await states.until(lambda: states.items[-1].error is not None)
            assert isinstance(states.items[-1].error, ProtocolError)
            await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        else:
            await server.faults.garbage(bomb, channel="/b")
            with pytest.raises(ProtocolError, match="max_message_size"):
                await client.publish("/b", 2)
        assert (await client.publish("/a", 3))["successful"]


# Handshake fields


@BOTH
async def test_handshake_fields_are_asked_for_each_handshake(kind: ConnectionType) -> None:
    numbers = count(1)

    async def fields() -> Json:
        return {"ext": {"token": next(numbers)}, "version": "7", "channel": "/x", "id": "x"}

    async with BayeuxServer() as server:
        async with client_of(server, kind, handshake_fields=fields):
            await held(server)
            server.faults.forget()
            await server.until(lambda: len(server.sessions) == 1)
        shakes = requests(server, "/meta/handshake")
        assert [m["ext"]["token"] for m in shakes] == [1, 2]
        assert {m["version"] for m in shakes} == {"1.0"}
        assert all(m["id"] != "x" for m in shakes)


@BOTH
async def test_handshake_fields_as_a_mapping(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        async with client_of(server, kind, handshake_fields={"ext": {"a": 1}, "x": 2}):
            pass
        (message,) = requests(server, "/meta/handshake")
        assert (message["ext"], message["x"]) == ({"a": 1}, 2)


@BOTH
async def test_handshake_fields_that_are_no_mapping_are_asked_again(kind: ConnectionType) -> None:
    given: list[Any] = [None, {"x": 1}]
    async with (
        BayeuxServer() as server,
        client_of(server, kind, handshake_fields=lambda: given.pop(0)) as client,
    ):
        assert client.state is ClientState.CONNECTED
        (handshake,) = requests(server, "/meta/handshake")
        assert handshake["x"] == 1


@BOTH
async def test_handshake_fields_that_raise(kind: ConnectionType) -> None:
    calls = count(1)

    def fields() -> Json:
        if next(calls) < 3:
            raise LookupError("mine")
        return {}

    async with BayeuxServer() as server, client_of(server, kind, handshake_fields=fields):
        assert len(requests(server, "/meta/handshake")) == 1

    def never() -> Json:
        raise LookupError("mine")

    client = client_of("http://127.0.0.1:9/", kind, handshake_fields=never, connection_timeout=0.1)
    with pytest.raises(TransportTimeoutError) as caught:
        await client.open()
    assert isinstance(caught.value.__cause__, LookupError)


# JSON


def dump_text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


FUNCTIONS: dict[str, Any] = {
    "json": (json.dumps, json.loads),
    "ujson": (ujson.dumps, ujson.loads),
    "orjson": (orjson.dumps, orjson.loads),
    "msgspec": (msgspec.json.encode, msgspec.json.decode),
    "not ASCII": (dump_text, json.loads),
}


@BOTH
@pytest.mark.parametrize(("dumps", "loads"), FUNCTIONS.values(), ids=list(FUNCTIONS))
async def test_json_functions(
    kind: ConnectionType, dumps: Callable[[Any], str | bytes], loads: Callable[[Any], Any]
) -> None:
    data: Json = {"text": 'ü€𝄞"\\\n', "list": [1, 2.5, None, True], "empty": {}}
    async with (
        BayeuxServer() as server,
        client_of(server, kind, json_dumps=dumps, json_loads=loads) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await client.publish("/a", data)
        await server.publish("/a", data)
        await seen.count(2)
        assert seen.data == [data, data]
        if kind is WEBSOCKET:
            await server.faults.garbage("no json")
        await client.publish("/a", 1)


@BOTH
async def test_json_loads_is_given_what_the_socket_holds(kind: ConnectionType) -> None:
    given: list[type[Any]] = []

    def loads(data: Any) -> Any:
        given.append(data.__class__)
        return json.loads(data)

    async with BayeuxServer() as server, client_of(server, kind, json_loads=loads):
        pass
    assert set(given) == {bytes}


# Secrets


SECRET = "s3cr3t"


def told(thing: object) -> str:
    """Give all that a thing tells: an error, with all its causes."""
    text = f"{thing} {thing!r}"
    if isinstance(thing, BaseException):
        # The lines of code hold the names of variables, never their values.
        text += "".join(traceback.format_exception(thing))
    return text


@BOTH
async def test_no_error_shows_a_credential(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "rx_cometd")
    shown: list[object] = []
    async with BayeuxServer() as server:
        url = server.url.replace("http://", f"http://user:{SECRET}@") + f"?token={SECRET}"
        settings: Json = {
            "headers": {"X-Token": SECRET},
            "handshake_fields": {"ext": {"token": SECRET}},
            "connection_timeout": 0.2,
        }
        client = client_of(url, kind, **settings)
        changes = Recorder(client.state_changes)
        await client.open()
        server.faults.refuse("/a", "403::denied")
        with pytest.raises(ServerError) as refused:
            await client.publish("/a", {"password": SECRET}, fields={"ext": {"token": SECRET}})
        server.faults.refuse_subscribe("/no")
        seen = Recorder(client.channel("/no", fields={"ext": {"token": SECRET}}))
        shown += [refused.value, await seen.fails(), client, seen]
        if kind is LONG_POLLING:
            for status in (500, 302):
                server.faults.respond_with(status, channel="/a")
                with pytest.raises(TransportError) as failed:
                    await client.publish("/a", SECRET)
                shown.append(failed.value)
        lost = Recorder(client.channel("/a"))
        await server.stop()
        shown.append(await lost.fails())
        shown += [c.error for c in changes.items]
        for status in (404, 503):
            await server.start()
            server.faults.respond_with(status, count=None)
            with pytest.raises((TransportError, ClientError)) as unopened:
                await client.open()
            shown.append(unopened.value)
            server.faults.clear()
            await server.stop()
        await client.close()
    for thing in shown:
        assert SECRET not in told(thing)
    assert SECRET not in caplog.text


async def test_a_redirect_loop_shows_no_credential() -> None:
    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": str(request.url)})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", redirect)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/?token={SECRET}"
    for kind in ConnectionType:
        client = client_of(url, kind, connection_timeout=0.2)
        with pytest.raises(CometDError) as caught:
            await client.open()
        assert SECRET not in told(caught.value)
    await runner.cleanup()


async def test_an_unknown_host_shows_no_credential() -> None:
    client = Client(
        f"http://user:{SECRET}@nowhere.invalid/?token={SECRET}",
        LONG_POLLING,
        connection_timeout=0.1,
        backoff=quickly,
    )
    with pytest.raises(TransportTimeoutError) as caught:
        await client.open()
    assert SECRET not in told(caught.value)


# Sizes


@BOTH
async def test_max_message_size_of_what_comes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.rewrite("/meta/handshake", {"ext": "x" * 5000}, count=1)
        client = client_of(server, kind, max_message_size=4000)
        changes = Recorder(client.state_changes)
        async with client:
            errors = [c.error for c in changes.items if c.error]
            assert isinstance(errors[0], ProtocolError)
            assert re.search("4000", str(errors[0]))
