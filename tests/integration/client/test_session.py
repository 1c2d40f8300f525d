"""A session on bad days: silence, outages, errors, and servers that would have it spin."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import count, pairwise, repeat
from typing import TYPE_CHECKING

import pytest

from rx_cometd import (
    ClientState,
    ConnectionType,
    Extension,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer, InFlight, ServerExtension
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    WEBSOCKET,
    Json,
    Recorder,
    client_of,
    held,
    names,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rx_cometd.testing import ServerSession

pytestmark = pytest.mark.usefixtures("nothing_left")


# Silence


@BOTH
async def test_a_silent_server_is_found_and_given_up(kind: ConnectionType) -> None:
    """Found within advice.timeout + max_network_delay, given up connection_timeout later."""
    async with BayeuxServer(timeout=0.2) as server:
        client = client_of(server, kind, max_network_delay=0.2, connection_timeout=0.3)
        await client.open()
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await client.subscribe("/b")
        await held(server)
        started = time.monotonic()
        server.faults.stall()
        receiving = asyncio.create_task(client.receive())
        await changes.until(lambda: changes.items[-1].error)
        # How soon to the millisecond virtual time tells; here the machine has its say.
        assert time.monotonic() - started < 0.4 + 5
        assert changes.items[-1].state is ClientState.UNCONNECTED
        error = await seen.fails()
        assert time.monotonic() - started < 0.7 + 5
        assert isinstance(error, TransportTimeoutError)
        assert isinstance(error.__cause__, TransportTimeoutError)
        with pytest.raises(TransportTimeoutError):
            await receiving
        with pytest.raises(TransportTimeoutError):
            await client.receive()
        await client.close()


@BOTH
async def test_a_server_that_speaks_again_goes_on_with_the_session(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(timeout=0.1) as server,
        client_of(server, kind, max_network_delay=0.1) as client,
    ):
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        server.faults.stall()
        await changes.until(lambda: changes.items[-1].error)
        server.faults.resume()
        await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.until(lambda: seen.items)
        assert seen.data == [1]


@BOTH
async def test_without_connection_timeout_it_is_tried_for_ever(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=None)
        await client.open()
        changes = Recorder(client.state_changes)
        await server.stop()
        await changes.until(lambda: sum(bool(c.error) for c in changes.items) > 20)
        assert not client.closed
        await server.start()
        await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
        await client.close()


async def test_a_busy_link_is_not_silent() -> None:
    """A publish whose reply is late fails by itself while other messages come."""
    async with (
        BayeuxServer(timeout=0.05) as server,
        client_of(server, WEBSOCKET, max_network_delay=0.2) as client,
    ):
        server.faults.lose_replies("/a")
        with pytest.raises(TransportTimeoutError):
            await client.publish("/a", 1)
        assert client.statistics().reconnects == 0
        assert len(server.sessions) == 1


async def test_a_connect_whose_reply_is_lost_is_found_on_a_busy_link() -> None:
    async with (
        BayeuxServer(timeout=0.1) as server,
        client_of(server, WEBSOCKET, max_network_delay=0.15) as client,
    ):
        changes = Recorder(client.state_changes)
        server.faults.lose_replies("/meta/connect", count=1)
        started = time.monotonic()
        while not any(change.error for change in changes.items):
            with suppress(TransportTimeoutError):  # one may be under way when the link is left
                await client.publish("/a", 1)
            await asyncio.sleep(0.02)  # between two tries: only a failed one tells
            assert time.monotonic() - started < 30
        await changes.until(lambda: changes.items[-1].resumed)
        assert len(server.sessions) == 1


@BOTH
async def test_what_waits_in_its_lane_when_the_session_is_lost_travels_in_the_next(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_network_delay=0.3) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        server.faults.delay_replies(5.0, "/slow", count=1)
        slow = asyncio.create_task(client.publish("/slow", 1))
        await server.until(lambda: requests(server, "/slow"))
        server.faults.forget()
        waiting = [asyncio.create_task(client.publish("/a", i)) for i in range(3)]
        await asyncio.wait([slow])
        assert isinstance(slow.exception(), TransportError)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        # Over a WebSocket they left with the lost session; over long-polling they had not.
        if kind is LONG_POLLING:
            assert [isinstance(o, dict) for o in outcomes] == [True] * 3
            await seen.count(3)
        assert [m["data"] for m in requests(server, "/a")] == [0, 1, 2]


async def test_heartbeats_find_a_silent_socket() -> None:
    async with (
        BayeuxServer(timeout=30.0) as server,
        # aiohttp waits for a pong half as long, and does not know of machines that stall.
        client_of(server, WEBSOCKET, heartbeat=1.0, max_network_delay=60.0) as client,
    ):
        changes = Recorder(client.state_changes)
        await held(server)
        await asyncio.sleep(2.5)  # several pongs come back meanwhile, and change nothing
        assert len(changes.items) == 1
        server.faults.stall()
        await changes.until(lambda: changes.items[-1].error)
        server.faults.resume()
        await changes.until(lambda: changes.items[-1].resumed)


# Errors of the server's HTTP


@pytest.mark.parametrize("status", [500, 502, 503, 404, 400, 429])
async def test_a_connect_that_fails_by_http_is_tried_again(status: int) -> None:
    async with BayeuxServer(timeout=0.1) as server, client_of(server, LONG_POLLING) as client:
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        server.faults.respond_with(status, channel="/meta/connect", count=3)
        await changes.until(lambda: changes.items[-1].resumed)
        errors = [c.error for c in changes.items if c.error]
        assert {e.http_status for e in errors if isinstance(e, TransportError)} == {status}
        await server.publish("/a", 1)
        await seen.count(1)
        assert names(server) == ["/a"]


@pytest.mark.parametrize("status", [500, 413, 204, 302])
async def test_a_publish_that_fails_by_http(status: int) -> None:
    async with BayeuxServer() as server, client_of(server, LONG_POLLING) as client:
        server.faults.respond_with(status, channel="/a")
        with pytest.raises(TransportError) as caught:
            await client.publish("/a", 1)
        assert caught.value.http_status == status
        await client.publish("/a", 1)


async def test_a_subscribe_that_fails_by_http_is_asked_again() -> None:
    async with BayeuxServer() as server, client_of(server, LONG_POLLING) as client:
        server.faults.respond_with(500, channel="/meta/subscribe", count=2)
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        assert names(server) == ["/a"] * 3
        assert not seen.ended


@BOTH
async def test_a_subscribe_without_a_reply_is_asked_again_and_told(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_network_delay=0.3) as client:
        await held(server)
        changes = Recorder(client.state_changes)
        server.faults.lose_replies("/meta/subscribe", count=2)
        seen = Recorder(client.channel("/a"))
        await server.until(lambda: len(names(server)) == 3)
        await client.publish("/a", 1)
        await seen.count(1)
        told = [c for c in changes.items if c.error is not None]
        if kind is LONG_POLLING:  # a WebSocket that says nothing at all is given up with it
            assert [c.state for c in told] == [ClientState.CONNECTED] * 2
        assert [c.attempt for c in told][:1] == [1]
        assert client.subscriptions == {"/a"}


@BOTH
async def test_a_subscribe_whose_reply_is_lost_is_asked_again(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_network_delay=0.1) as client:
        if kind is WEBSOCKET:
            server.faults.lose_replies("/meta/subscribe")
        else:
            server.faults.lose_responses("/meta/subscribe")
        seen = Recorder(client.channel("/a"))
        await server.until(lambda: len(names(server)) == 2)
        await client.publish("/a", 1)
        await seen.until(lambda: seen.items)
        assert client.subscriptions == {"/a"}


@pytest.mark.parametrize("status", [500, 503])
async def test_a_handshake_that_fails_by_http_is_tried_again(status: int) -> None:
    async with BayeuxServer() as server:
        server.faults.respond_with(status, count=3)
        async with client_of(server, LONG_POLLING) as client:
            await client.publish("/a", 1)


# Unknown clients


@BOTH
@pytest.mark.parametrize(
    "error", ["402::session_unknown", "401:x:Unknown client", "403::Unknown client"]
)
@pytest.mark.parametrize("advice", [None, {"reconnect": "handshake", "interval": 0}])
async def test_an_unknown_client_shakes_hands_again(
    kind: ConnectionType, error: str, advice: Json | None
) -> None:
    async with BayeuxServer(timeout=0.05) as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        first = client.client_id
        server.faults.refuse_connect(error, advice)
        await server.until(lambda: len(requests(server, "/meta/handshake")) == 2)
        await subscribed(server, "/a", 2 if kind is LONG_POLLING else 1)
        assert client.client_id != first
        assert not seen.ended


@BOTH
async def test_a_refused_connect_with_advice_retry(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=0.05) as server, client_of(server, kind) as client:
        changes = Recorder(client.state_changes)
        server.faults.refuse_connect("500::x", {"reconnect": "retry", "interval": 0}, count=3)
        await changes.until(lambda: changes.items[-1].resumed)
        assert len(requests(server, "/meta/handshake")) == 1


# Publishes to a session that is unknown


async def test_a_publish_to_a_forgotten_session_is_refused_and_the_session_renewed() -> None:
    async with BayeuxServer(timeout=0.2) as server, client_of(server, LONG_POLLING) as client:
        await held(server)
        server.sessions[client.client_id or ""].client_id = "renamed"
        server.sessions["renamed"] = server.sessions.pop(client.client_id or "")
        with pytest.raises((ServerError, TransportError)):
            await client.publish("/a", 1)
        server.faults.forget()
        await server.until(lambda: len(requests(server, "/meta/handshake")) == 2)
        await client.publish("/a", 1)


# Hot loops


async def _rate(server: BayeuxServer, seconds: float = 0.5) -> int:
    """Count the messages that come in a while."""
    before = sum(len(payload) for _, payload in server.received)
    await asyncio.sleep(seconds)  # a rate is measured over time
    return sum(len(payload) for _, payload in server.received) - before


@BOTH
async def test_handshake_advice_on_every_reply_does_not_spin(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.advise({"reconnect": "handshake", "interval": 0})
        client = client_of(server, kind, backoff=None)
        opening = asyncio.create_task(client.open())
        await server.until(lambda: requests(server, "/meta/handshake"))
        assert await _rate(server) < 30
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await client.close()


@BOTH
@pytest.mark.parametrize("advice", [None, {"reconnect": "retry", "interval": 0}])
async def test_a_refused_connect_does_not_spin(kind: ConnectionType, advice: Json | None) -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_connect("500::no", advice, count=None)
        client = client_of(server, kind, backoff=None)
        opening = asyncio.create_task(client.open())
        await server.until(lambda: requests(server, "/meta/connect"))
        assert await _rate(server) < 30
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


@BOTH
async def test_an_unknown_client_for_ever_does_not_spin(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_connect("402::x", {"reconnect": "handshake"}, count=None)
        client = client_of(server, kind, backoff=None)
        opening = asyncio.create_task(client.open())
        await server.until(lambda: requests(server, "/meta/connect"))
        assert await _rate(server) < 30
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


@BOTH
async def test_a_server_that_holds_nothing_does_not_spin(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=0.0) as server, client_of(server, kind):
        assert await _rate(server) < 30


async def test_http_errors_do_not_spin() -> None:
    async with BayeuxServer() as server:
        server.faults.respond_with(503, count=None)
        client = client_of(server, backoff=None)
        opening = asyncio.create_task(client.open())
        await server.until(lambda: server.received)
        assert await _rate(server) < 30
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)


async def test_an_upgrade_that_fails_for_ever_does_not_spin() -> None:
    async with BayeuxServer() as server:
        upgrades = count()

        def backoff() -> Iterator[float]:
            next(upgrades)
            return repeat(0.05)

        server.faults.refuse_websocket(503)
        client = client_of(server, WEBSOCKET, backoff=backoff, connection_timeout=0.3)
        with pytest.raises(TransportTimeoutError) as caught:
            await client.open()
        assert isinstance(caught.value.__cause__, TransportError)
        assert caught.value.__cause__.http_status == 503
        assert next(upgrades) == 1


async def test_the_backoff_begins_anew_after_a_connect_that_was_held() -> None:
    runs: list[int] = []

    def backoff() -> Iterator[float]:
        runs.append(0)
        for _ in repeat(None):
            runs[-1] += 1
            yield 0.01

    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, LONG_POLLING, backoff=backoff) as client,
    ):
        changes = Recorder(client.state_changes)
        for _ in range(2):
            await held(server)
            count = len(requests(server, "/meta/connect"))
            await server.until(lambda: len(requests(server, "/meta/connect")) > count)  # noqa: B023
            server.faults.respond_with(500, channel="/meta/connect", count=2)
            changes.items.clear()
            server.faults.drop_link()
            await changes.until(lambda: changes.items and changes.items[-1].resumed)
        assert [n for n in runs if n] == [3, 3]


# Advice


@BOTH
async def test_the_interval_is_milliseconds(kind: ConnectionType) -> None:
    came: list[float] = []

    class Clock(ServerExtension):
        async def incoming(self, in_flight: InFlight) -> Json | None:
            if in_flight.message["channel"] == "/meta/connect":
                came.append(time.monotonic())
            return None

    options: Json = {"timeout": 0.05, "interval": 0.1, "extensions": [Clock()]}
    async with BayeuxServer(**options) as server, client_of(server, kind):
        await server.until(lambda: len(came) >= 5, 30.0)
    pauses = [later - earlier for earlier, later in pairwise(came)]
    # Each begins with the reply, which is never before the connect came.
    assert min(pauses[1:]) > 0.09
    assert sum(pauses) < 30


@BOTH
async def test_the_first_connect_asks_not_to_be_held(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await held(server)
        first, second = requests(server, "/meta/connect")
        assert first["advice"] == {"timeout": 0}
        assert "advice" not in second
        assert {m["connectionType"] for m in (first, second)} == {kind.value}
        assert {m["clientId"] for m in (first, second)} == {client.client_id}


@BOTH
async def test_one_connect_is_outstanding_at_any_time(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=0.05) as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for i in range(20):
            await client.publish("/a", i)
        server.faults.drop_link()
        server.faults.forget()
        await subscribed(server, "/a")
        for i in range(20):
            await client.publish("/a", i)
        await seen.until(lambda: len(seen.items) == 40)
        held_now = [s for s in server.sessions.values() if s.held]
        assert len(held_now) <= 1


@BOTH
async def test_messages_of_the_handshake_come_first(kind: ConnectionType) -> None:
    async def greet(session: ServerSession) -> None:
        server.deliver(session.client_id, "/service/hello", 1)
        server.deliver(session.client_id, "/service/hello", 2)

    server = BayeuxServer(deliver_during_handshake=True, on_handshake=greet)
    async with server:
        client = client_of(server, kind)
        seen = Recorder(client.channel("/service/hello"))
        await seen.count(2)
        await client.close()
        assert seen.data == [1, 2]


@BOTH
async def test_a_server_side_disconnect_tells_why(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        changes = Recorder(client.state_changes)
        await held(server)
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        await changes.until(lambda: changes.items[-1].state is ClientState.DISCONNECTED)
        error = changes.items[-1].error
        assert isinstance(error, ServerError)
        assert "ended" in str(error)
        assert len(requests(server, "/meta/disconnect")) == 0
        await client.close()


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
async def test_a_closed_socket_is_opened_again(code: int) -> None:
    async with BayeuxServer() as server, client_of(server, WEBSOCKET) as client:
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        if code == 1006:
            server.faults.drop_link()
        else:
            await server.faults.close_websockets(code, "because")
        await changes.until(lambda: changes.items[-1].resumed)
        error = changes.items[-2].error
        assert isinstance(error, TransportConnectionClosed | TransportError)
        if code != 1006:
            assert error.close_code == code
            assert "because" in str(error)
        await server.publish("/a", 1)
        await seen.count(1)


async def test_an_expired_session_is_renewed() -> None:
    async with (
        BayeuxServer(timeout=0.1, max_interval=0.1) as server,
        client_of(server, WEBSOCKET) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        first = client.client_id
        await server.stop(forget=False)
        await asyncio.sleep(0.15)  # longer than the server remembers a session
        await server.start()
        await server.until(lambda: bool(server.sessions) and first not in server.sessions)
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)


async def test_maxinterval_tells_when_to_shake_hands_instead() -> None:
    async with (
        BayeuxServer(timeout=0.1, max_interval=0.2, handshake_reconnect=True) as server,
        client_of(server, WEBSOCKET) as client,
    ):
        await held(server)
        await server.stop(forget=True)
        changes = Recorder(client.state_changes)
        await changes.until(lambda: changes.items[-1].state is ClientState.REHANDSHAKING)
        server.received.clear()
        await server.start()
        await server.until(lambda: len(server.sessions) == 1)
        first, *_ = (payload for _, payload in server.received)
        assert [m["channel"] for m in first] == ["/meta/handshake"]


async def test_an_extension_that_cannot_finish_does_not_keep_the_client_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    finished: list[str] = []

    class Failing(Extension):
        async def finish(self) -> None:
            raise LookupError("mine")

    class Last(Extension):
        async def finish(self) -> None:
            finished.append("last")

    async with BayeuxServer() as server:
        client = client_of(server, extensions=[Failing(), Last()])
        async with client:
            await client.publish("/a", 1)
        assert client.closed
        assert not server.sessions
    assert finished == ["last"]
    assert "could not finish" in caplog.text


@BOTH
async def test_an_extension_that_meets_a_cancellation_when_it_finishes(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    class Unfinished(Extension):
        async def finish(self) -> None:
            raise asyncio.CancelledError

    async with BayeuxServer() as server:
        client = client_of(server, kind, extensions=[Unfinished()])
        await client.open()
        await client.close()
    assert "could not finish" in caplog.text
