"""Servers in bad moods: what passes is told in the state changes, and observers go on."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from rx_cometd import ClientState, ServerError
from rx_cometd.extensions import MemoryStore, ReplayOption, replay
from rx_cometd.testing import BayeuxServer, FaultProxy, ReplayLog
from tests.integration.client_driver import (
    BOTH,
    COME_BACK,
    LONG_POLLING,
    WEBSOCKET,
    Recorder,
    client_of,
    held,
    names,
    requests,
    subscribed,
)
from tests.unit.transports.echo import serving

if TYPE_CHECKING:
    from rx_cometd import Client, ConnectionType, StateChange

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(900)]

#: Events, disconnects, 503s and unknown clients: the size of issue 9 where FULL_SIZE is set.
FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
EVENTS, DISCONNECTS, BUSY, UNKNOWN = (10_000, 100, 100, 50) if FULL_SIZE else (400, 6, 6, 4)


def causes(changes: Recorder) -> list[str]:
    """Give the errors that the server sent, as the state changes told them."""
    errors = [change.error for change in changes.items if isinstance(change.error, ServerError)]
    return [error.error or error.message for error in errors]


@BOTH
async def test_a_disconnect_leads_to_a_new_session(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        changes, seen = Recorder(client.state_changes), Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        first = client.client_id
        await server.disconnect(first or "", advice=COME_BACK)
        await changes.until(lambda: changes.items[-1].state is ClientState.REHANDSHAKING)
        assert changes.items[-1].attempt == 1
        await subscribed(server, "/a")
        assert client.client_id != first
        await server.publish("/a", 1)
        await seen.count(1)
        assert causes(changes) == ["the server ended the session"]


@BOTH
async def test_a_server_that_sends_the_client_away_is_obeyed(kind: ConnectionType) -> None:
    """As the servers of CometD do it: ``none`` comes with the reply to the connect."""
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        await server.disconnect(client.client_id or "")
        error = await seen.fails()
        assert isinstance(error, ServerError)
        assert error.advice["reconnect"] == "none"
        assert len(requests(server, "/meta/handshake")) == 1


def comes_back(error: ServerError) -> bool | None:
    return True if error.response["channel"] == "/meta/disconnect" else None


@BOTH
async def test_the_user_may_come_back_though_the_server_sends_the_client_away(
    kind: ConnectionType,
) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, kind, is_transient=comes_back) as client,
    ):
        changes, seen = Recorder(client.state_changes), Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        await server.disconnect(client.client_id or "")
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)
        assert causes(changes) == ["the server ended the session"]


@BOTH
async def test_a_subscribe_that_a_busy_server_refuses_is_tried_again(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        changes = Recorder(client.state_changes)
        server.faults.refuse_subscribe("/a", "503::too busy", count=3)
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        assert causes(changes) == ["503::too busy"] * 3
        assert {change.state for change in changes.items} == {ClientState.CONNECTED}
        assert [c.attempt for c in changes.items if c.error] == [1, 2, 3]
        assert client.statistics().reconnects == 0
        assert not seen.ended


@BOTH
async def test_the_user_may_call_a_busy_server_final(kind: ConnectionType) -> None:
    def is_transient(error: ServerError) -> bool | None:
        return False if error.error_code == 503 else None

    async with BayeuxServer() as server, client_of(server, kind, is_transient=is_transient) as it:
        server.faults.refuse_subscribe("/a", "503::too busy")
        assert isinstance(await Recorder(it.channel("/a")).fails(), ServerError)


@BOTH
async def test_moods_lose_no_replayed_event(kind: ConnectionType) -> None:
    """The measurement of issue 9; ``FULL_SIZE=1`` makes it one of 10,000 events."""
    log = ReplayLog(max_events=EVENTS)
    async with BayeuxServer(replay=log, timeout=1) as server:
        extension = replay(MemoryStore(), initial=ReplayOption.ALL_EVENTS)
        async with client_of(server, kind, extensions=[extension]) as client:
            changes, seen = Recorder(client.state_changes), Recorder(client.channel("/a"))
            await subscribed(server, "/a")
            await _publish_in_bad_moods(server, client)
            await seen.until(lambda: seen.data and seen.data[-1]["payload"] == EVENTS - 1, 300)
            assert not seen.ended
            assert [data["payload"] for data in seen.data] == list(range(EVENTS))
            told = causes(changes)
            assert told.count("503::too busy") == BUSY
            assert told.count("the server ended the session") == DISCONNECTS
            assert told.count("402::session_unknown") == UNKNOWN


async def _publish_in_bad_moods(server: BayeuxServer, client: Client) -> None:
    """Publish, and have the server refuse and disconnect at even distances."""
    moods = ["disconnect"] * DISCONNECTS + ["unknown"] * UNKNOWN
    each = EVENTS // (len(moods) + 1)
    busy = [BUSY // len(moods) + (n < BUSY % len(moods)) for n in range(len(moods))]
    published = 0
    for mood, refusals in zip(moods, busy, strict=True):
        for _ in range(each):
            await server.publish("/a", {"payload": published})
            published += 1
        await subscribed(server, "/a")
        await held(server)
        if refusals:
            server.faults.refuse_subscribe("/a", "503::too busy", count=refusals)
        session = client.client_id or ""
        if mood == "disconnect":
            await server.disconnect(session, advice=COME_BACK)
        else:
            server.faults.forget()
            if client.connection_type is WEBSOCKET:
                server.faults.drop_link()
        await server.until(partial(_is_renewed, server, session), 30)
    while published < EVENTS:
        await server.publish("/a", {"payload": published})
        published += 1


def _is_renewed(server: BayeuxServer, session: str) -> bool:
    return session not in server.sessions and bool(server.subscribers("/a"))


async def fails_what_it_is_to_hold(request: web.Request) -> web.StreamResponse:
    """Answer handshakes, and connects that ask not to be held; fail all others."""
    (message,) = await request.json()
    if message["channel"] == "/meta/connect" and "advice" not in message:
        return web.Response(status=500)
    reply = {"id": message["id"], "channel": message["channel"], "successful": True}
    return web.json_response([{**reply, "clientId": "1", "advice": {"timeout": 5000}}])


async def test_a_server_that_fails_every_connect_it_is_to_hold_is_not_pressed() -> None:
    delays = [0.01 * 2**n for n in range(8)]
    async with serving(fails_what_it_is_to_hold) as url:
        async with client_of(url, LONG_POLLING, backoff=lambda: iter(delays)) as client:
            changes = Recorder(client.state_changes)
            await changes.until(lambda: len(failed(changes)) == 6)
        assert [change.delay for change in failed(changes)][-5:] == delays[1:6]


def failed(changes: Recorder) -> list[StateChange]:
    return [change for change in changes.items if change.state is ClientState.UNCONNECTED]


async def test_events_that_nobody_wants_do_not_have_the_client_spin() -> None:
    """A server that has one for every connect: it is asked a few times a second, not thousands."""
    async with BayeuxServer() as server, client_of(server, LONG_POLLING) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        session = client.client_id or ""
        loop = asyncio.get_running_loop()

        async def asked(channel: str, seconds: float, count: int) -> float:
            """Have one for every connect, for a while and until so many came; give the rate."""
            began, before = loop.time(), len(requests(server, "/meta/connect"))
            while (
                loop.time() - began < seconds
                or len(requests(server, "/meta/connect")) - before < count
            ):
                server.deliver(session, channel, 1)
                await asyncio.sleep(0.002)  # always one more
            return (len(requests(server, "/meta/connect")) - before) / (loop.time() - began)

        async with asyncio.timeout(60):
            unwanted = await asked("/service/nobody", 0.5, 1)
            assert unwanted < 16
            # These wait for nothing but the machine, which may stall.
            while await asked("/a", 0.2, 20) < 2 * unwanted:
                pass
        assert seen.items


@BOTH
@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_server_is_left_alone_as_long_as_it_asks(
    kind: ConnectionType, status: int
) -> None:
    """At the opening, and when the link is lost; the backoff alone would be back at once."""
    loop = asyncio.get_running_loop()
    async with BayeuxServer() as server, FaultProxy(server.url) as proxy:
        client = client_of(proxy.url, kind)
        changes = Recorder(client.state_changes)
        proxy.respond(status, retry_after=1)
        began = loop.time()
        async with client:
            assert loop.time() - began >= 1
            await held(server)
            proxy.respond(status, retry_after=1)
            began = loop.time()
            proxy.cut()
            await changes.until(lambda: changes.items[-1].resumed)
            assert loop.time() - began >= 1
        asked = [c for c in changes.items if getattr(c.error, "http_status", None) == status]
        assert [(c.delay, getattr(c.error, "retry_after", None)) for c in asked] == [(1, 1)] * 2


@BOTH
async def test_the_last_attempt_is_made_though_the_server_asks_for_more_time(
    kind: ConnectionType,
) -> None:
    # A tenth of the time is left for the attempt.
    async with BayeuxServer() as server, FaultProxy(server.url) as proxy:
        proxy.respond(503, retry_after=3600)
        async with client_of(proxy.url, kind, connection_timeout=5.0) as client:
            assert client.state is ClientState.CONNECTED


async def test_a_websocket_that_is_no_longer_let_through_gives_way_to_long_polling() -> None:
    """A proxy that strips the upgrade, all of a sudden: the session goes on over long-polling."""
    async with BayeuxServer(timeout=5) as server, client_of(server) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        session = client.client_id
        assert client.connection_type is WEBSOCKET
        server.faults.refuse_websocket(400)
        server.faults.drop_link()
        changes = Recorder(client.state_changes)
        await changes.until(lambda: changes.items[-1].connection_type is LONG_POLLING)
        await held(server)
        await server.publish("/a", 1)
        await seen.count(1)
        assert client.client_id == session
        # Once it is let through again, the next new session uses it.
        server.faults.clear()
        await server.disconnect(session or "", advice=COME_BACK)
        await changes.until(
            lambda: changes.items[-1].connection_type is WEBSOCKET and client.client_id != session
        )
        assert names(server) == ["/a", "/a"]


@BOTH
async def test_reconnecting_now(kind: ConnectionType) -> None:
    """The backoff is left, whatever it waits for; and a link that seems to be up is replaced."""
    async with BayeuxServer(timeout=5) as server:
        client = client_of(server, kind, backoff=lambda: iter([40.0]), connection_timeout=90.0)
        async with client:
            changes = Recorder(client.state_changes)
            await held(server)
            server.faults.drop_link()
            await changes.until(lambda: changes.items[-1].error)
            assert (changes.items[-1].attempt, changes.items[-1].delay) == (1, 40.0)
            began = asyncio.get_running_loop().time()
            client.reconnect_now()
            await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
            assert changes.items[-1].resumed
            await held(server)
            count = len(changes.items)
            client.reconnect_now()
            await changes.until(lambda: len(changes.items) >= count + 2)
            assert changes.items[-1].resumed
            assert asyncio.get_running_loop().time() - began < 20
            assert (await client.publish("/a", 1))["successful"]


@BOTH
async def test_an_attempt_that_hangs_is_given_up_for_another(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=5) as server:
        client = client_of(server, kind, max_network_delay=10.0, connection_timeout=20.0)
        async with client:
            changes = Recorder(client.state_changes)
            await held(server)
            server.faults.stall()
            server.faults.drop_link()
            await changes.until(lambda: changes.items[-1].error)
            await asyncio.sleep(0.1)  # the attempt is under way by now
            connects = len(requests(server, "/meta/connect"))
            server.faults.lose_replies("/meta/connect")
            server.faults.resume()
            client.reconnect_now()
            began = asyncio.get_running_loop().time()
            await server.until(lambda: len(requests(server, "/meta/connect")) > connects)
            client.reconnect_now()
            await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
            assert asyncio.get_running_loop().time() - began < 8


async def test_the_outbox_is_bounded() -> None:
    async with BayeuxServer() as server, client_of(server, max_outbox=3) as client:
        results: list[Any] = await asyncio.gather(
            *(client.publish("/a", number) for number in range(4)), return_exceptions=True
        )
        assert [type(result).__name__ for result in results] == ["dict"] * 3 + [
            "BufferOverflowError"
        ]
        assert "max_outbox, 3 requests" in str(results[3])
        assert (await client.publish("/a", 4))["successful"]
