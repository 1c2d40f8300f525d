"""Redirects: within the origin they are followed, and nothing is sent to another one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from rx_cometd import TransportError
from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd._transports.redirects import redirect_target
from tests.integration.client_driver import BOTH, LONG_POLLING

from .echo import http_session, options, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")

STATUSES = pytest.mark.parametrize("status", [301, 302, 307, 308])


class Site:
    """A server that redirects what is not sent to the right path."""

    def __init__(
        self, status: int, location: Callable[[str], str], header: str = "Location"
    ) -> None:
        self.status = status
        self.location = location
        self.header = header
        self.requests: list[tuple[str, str, bytes]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, await request.read()))
        if request.path != "/right":
            location = self.location(str(request.url.origin()))
            return web.Response(status=self.status, headers={self.header: location})
        if request.headers.get("Upgrade"):
            socket = web.WebSocketResponse(timeout=0.1)
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        return web.Response(body=b"[1]")


async def attempt(kind: ConnectionType, url: str, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": "Bearer secret", "X-Api-Key": "secret"}
    if kind is LONG_POLLING:
        received = await LongPollingTransport(http, options(url)).exchange("[0]", headers, 30.0)
        assert received.data == b"[1]"
    else:
        transport = WebSocketTransport(http, options(url))
        await transport.open(headers, 30.0)
        await transport.close()


@BOTH
@STATUSES
@pytest.mark.parametrize("absolute", [False, True])
async def test_within_the_origin(kind: ConnectionType, status: int, absolute: bool) -> None:
    site = Site(status, lambda origin: (origin if absolute else "") + "/right")
    async with serving(site.handle) as url, http_session() as http:
        await attempt(kind, url, http)
    method, body = ("POST", b"[0]") if kind is LONG_POLLING else ("GET", b"")
    assert site.requests == [(method, "/cometd", body), (method, "/right", body)]


@asynccontextmanager
async def elsewhere() -> AsyncGenerator[tuple[str, list[Any]]]:
    """Serve another origin; gives its address, and what was sent to it."""
    came: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        came.append(request)
        return web.Response(body=b"[1]")

    async with serving(handle) as url:
        yield url, came


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("header", ["Location", "URI"])
async def test_another_origin(kind: ConnectionType, status: int, header: str) -> None:
    async with elsewhere() as (other, came):
        site = Site(status, lambda _: other + "?token=theirs", header)
        async with serving(site.handle) as url, http_session() as http:
            with pytest.raises(TransportError) as caught:
                await attempt(kind, url + "?token=secret", http)
    assert not came
    assert caught.value.http_status == status
    assert "secret" not in str(caught.value)
    if status != 303 or kind is not LONG_POLLING:
        assert str(caught.value).startswith(f"{url} redirects to {URL(other).origin()}, which is")
        assert "theirs" not in str(caught.value)
        assert caught.value.final


@BOTH
async def test_in_a_circle(kind: ConnectionType) -> None:
    site = Site(302, lambda _: "/cometd")
    async with serving(site.handle) as url, http_session() as http:
        with pytest.raises(TransportError, match="redirects again and again"):
            await attempt(kind, url, http)
    assert len(site.requests) == 6


@BOTH
@pytest.mark.parametrize("location", ["http://[", "mailto:me"])
async def test_no_address(kind: ConnectionType, location: str) -> None:
    site = Site(302, lambda _: location)
    async with serving(site.handle) as url, http_session() as http:
        with pytest.raises(TransportError, match="redirects to something that is no address"):
            await attempt(kind, url, http)


async def test_a_session_of_the_users_still_follows_its_own() -> None:
    """What is done to stop aiohttp concerns our own upgrades alone."""
    async with elsewhere() as (other, came):
        site = Site(302, lambda _: other)
        async with serving(site.handle) as url, http_session() as http:
            for _ in range(2):
                with pytest.raises(TransportError):
                    await WebSocketTransport(http, options(url)).open({}, 30.0)
            assert len(http.trace_configs) == 1
            async with http.get(url) as response:
                assert await response.read() == b"[1]"
    assert len(came) == 1


@pytest.mark.parametrize(
    ("sent_to", "location"),
    [
        ("https://h/a", "http://h/a"),
        ("https://h/a", "http://h:443/a"),
        ("http://h/a", "https://h/a"),
        ("https://h/a", "https://h:8443/a"),
        ("https://h/a", "//other/a"),
        ("wss://h/a", "ws://h/a"),
        ("https://h/a", "https://h@other/a"),
        ("https://h/a", "https://h.other/a"),
    ],
)
def test_other_origins(sent_to: str, location: str) -> None:
    with pytest.raises(TransportError, match="another origin"):
        redirect_target(307, {"Location": location}, URL(sent_to))


@pytest.mark.parametrize(
    ("sent_to", "location", "target"),
    [
        ("https://h/a", "b", "https://h/b"),
        ("https://h/a", "https://h:443/b", "https://h:443/b"),
        ("wss://h/a", "https://h/b", "https://h/b"),
        ("https://h/a", "wss://h/b", "https://h/b"),
        ("http://h/a?q=1", "/a/", "http://h/a/"),
        ("http://me:pw@h/a", "http://h/b", "http://me:pw@h/b"),
        ("http://h/a", "http://you:pw@h/b", "http://h/b"),
    ],
)
def test_same_origins(sent_to: str, location: str, target: str) -> None:
    assert redirect_target(307, {"Location": location}, URL(sent_to)) == URL(target)
