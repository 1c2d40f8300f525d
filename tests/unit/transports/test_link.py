"""The link: which transport carries a payload, and the life of the socket."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

import rx_cometd._transports.link as link_module
from rx_cometd import TransportConnectionClosed, TransportError, TransportTimeoutError
from rx_cometd._transports.link import Link
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import LONG_POLLING, WEBSOCKET, Json, client_of, settings_of

from .echo import options, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")

HANDSHAKE = json.dumps(
    [{"channel": "/meta/handshake", "id": "1", "supportedConnectionTypes": ["websocket"]}]
)


class Ears:
    """Who hears what comes over the socket."""

    def __init__(self) -> None:
        self.payloads: asyncio.Queue[list[Json]] = asyncio.Queue()
        self.errors: asyncio.Queue[TransportError] = asyncio.Queue()

    def received(self, data: bytes) -> None:
        self.payloads.put_nowait(json.loads(data))


@asynccontextmanager
async def linked(
    server: BayeuxServer,
    received: Callable[[bytes], None] | None = None,
    **settings: Any,
) -> AsyncGenerator[tuple[Link, Ears]]:
    ears = Ears()
    chosen = settings_of(client_of(server, **settings))
    link = Link(
        chosen.transport,
        chosen.http_session,
        received or ears.received,
        ears.errors.put_nowait,
    )
    try:
        yield link, ears
    finally:
        await link.close()
        await link.close()


async def test_long_polling_gives_the_response() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        for _ in range(2):
            assert link.wants_headers(LONG_POLLING)
            received = await link.send(LONG_POLLING, HANDSHAKE, {}, 30.0)
            assert received is not None
            assert json.loads(received.data)[0]["successful"] is True
        assert ears.payloads.empty()


async def test_the_socket_is_opened_by_the_first_payload_and_kept() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        assert link.wants_headers(WEBSOCKET)
        for _ in range(3):
            assert await link.send(WEBSOCKET, HANDSHAKE, {"X-Own": "1"}, 30.0) is None
            (reply,) = await ears.payloads.get()
            assert reply["successful"] is True
            assert not link.wants_headers(WEBSOCKET)
        (session,) = [s for s in server.sessions.values() if s.link is not None]
        upgrade: Any = session.link
        assert upgrade.headers["X-Own"] == "1"


async def test_payloads_at_once_open_one_socket() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        await asyncio.gather(*(link.send(WEBSOCKET, HANDSHAKE, {}, 30.0) for _ in range(5)))
        for _ in range(5):
            await ears.payloads.get()
        assert len([s for s in server.sessions.values() if s.link is not None]) == 1


@pytest.mark.parametrize("cut", [False, True])
async def test_a_lost_socket_is_told_once_and_opened_anew(cut: bool) -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        for _ in range(2):
            await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
            await ears.payloads.get()
            if cut:
                server.faults.drop_link()
            else:
                await server.faults.close_websockets(4001)
            error = await ears.errors.get()
            assert isinstance(error, TransportConnectionClosed)
            assert link.wants_headers(WEBSOCKET)
            assert ears.errors.empty()


async def test_what_a_dropped_socket_brings_is_not_heard() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        await ears.payloads.get()
        link.drop()
        link.drop()
        await server.faults.garbage("[]")
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        (reply,) = await ears.payloads.get()
        assert reply["channel"] == "/meta/handshake"
        assert ears.errors.empty()


async def test_an_upgrade_that_fails_is_the_senders() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        server.faults.refuse_websocket(503, count=1)
        with pytest.raises(TransportError) as caught:
            await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        assert caught.value.http_status == 503
        server.faults.stall()
        with pytest.raises(TransportTimeoutError):
            await link.send(WEBSOCKET, HANDSHAKE, {}, 0.05)
        server.faults.resume()
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        await ears.payloads.get()
        assert ears.errors.empty()


async def test_a_fault_of_whoever_hears_gives_the_link_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise LookupError("mine")

    async with BayeuxServer() as server, linked(server, fail) as (link, ears):
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        error = await ears.errors.get()
        assert "mine" in str(error)
        assert "could not be handled" in caplog.text


@pytest.mark.parametrize("kind", [LONG_POLLING, WEBSOCKET])
async def test_the_users_session_is_let_be(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, aiohttp.ClientSession() as http:
        async with linked(server, http_session=http) as (link, _):
            await link.send(kind, HANDSHAKE, {}, 30.0)
        assert not http.closed


async def test_closing_while_the_server_is_silent_closes_the_socket() -> None:
    async with BayeuxServer() as server:
        async with linked(server) as (link, ears):
            await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
            await ears.payloads.get()
            server.faults.stall()
        assert ears.errors.empty()


async def test_cancelling_the_first_payload_leaves_nothing() -> None:
    async with BayeuxServer() as server, linked(server) as (link, ears):
        for turns in range(12):
            sending = asyncio.create_task(link.send(WEBSOCKET, HANDSHAKE, {}, 30.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            link.drop()
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        await ears.payloads.get()


@pytest.mark.parametrize("kept", [True, False])
async def test_idle_connections_are_not_kept_for_long(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers close theirs after five seconds, and a request that crosses with that is lost."""
    assert link_module.KEEP_ALIVE < 5.0
    monkeypatch.setattr(link_module, "KEEP_ALIVE", 60.0 if kept else 0.05)
    peers: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.Response(body=b"[]")

    async with serving(answer) as url:
        link = Link(options(url), None, print, print)
        for _ in range(2):
            await link.send(LONG_POLLING, "[]", {}, 30.0)
            await asyncio.sleep(0.1)
        await link.close()
    assert (peers[0] == peers[1]) is kept


async def test_a_fault_of_whoever_hears_is_told_as_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: object) -> None:
        raise ValueError("mine")

    async with BayeuxServer() as server, linked(server, fail) as (link, ears):
        await link.send(WEBSOCKET, HANDSHAKE, {}, 30.0)
        error = await ears.errors.get()
        assert isinstance(error.__cause__, ValueError)
        (record,) = [r for r in caplog.records if r.exc_info]
        assert record.exc_info is not None
        assert record.exc_info[0] is ValueError
