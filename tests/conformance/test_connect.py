"""The connect loop: one at a time, held, failing, recovering."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from rx_cometd import ServerError, TransportError
from rx_cometd.states import ClientState
from tests.conformance.embedded import EmbeddedServer, faults_of
from tests.conformance.observing import Seen, States, confirmed, data_of, eventually
from tests.conformance.serving import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import MakeClient, StartProxy, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server


async def connects(server: Server, count: int) -> bool:
    return (await server.counters())["connects"] >= count


async def test_held_and_renewed(server: Server, make_client: MakeClient) -> None:
    """Scenario 37: the first connect is answered at once, the next one after the server's
    timeout, and a third one follows."""
    client = make_client(server)
    states = States(client)
    replies: Seen[Any] = Seen(client.meta("/meta/connect"))
    await client.open()
    await server.control("reset_counters")
    await replies.count(2)
    assert 0.9 * TIMEOUT < replies.times[1] - replies.times[0] < TIMEOUT + 20
    await eventually(lambda: connects(server, 1))
    assert (await server.counters())["connects"] <= 2
    assert states.names.count("CONNECTED") == 1
    replies.dispose()


async def test_one_connect_at_a_time(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenarios 35 and 49: however much goes on beside it, connects come one after the other.

    Every message that comes over long-polling ends a connect, over WebSocket none does.
    """
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("reset_counters")
        for number in range(10):
            await asyncio.gather(*(client.publish(channel, number) for _ in range(5)))
        await seen.count(50)
        # A bounded number: at most one that each response ended, and the one that is held.
        assert (await server.counters())["connects"] <= 52


@pytest.mark.needs("faulty", "long_polling")
async def test_retries(server: Server, make_client: MakeClient) -> None:
    """Scenario 26 (starred): connects fail from the second on; the delays are the backoff's."""
    drawn: list[float] = []

    def delays() -> Iterator[float]:
        for number in itertools.count(1):
            drawn.append(number * 0.04)
            yield drawn[-1]

    faults = faults_of(server)
    client = make_client(server, backoff=delays)
    await client.open()
    states = States(client)
    session = client.client_id
    await held(server)
    faults.respond_with(404, channel="/meta/connect", count=3)
    faults.drop_link(session)
    began = time.monotonic()
    change = await states.reach(ClientState.CONNECTED)
    assert change.resumed
    assert client.client_id == session
    assert drawn == pytest.approx([0.04, 0.08, 0.12, 0.16])
    assert time.monotonic() - began >= 0.39


@pytest.mark.needs("long_polling")
async def test_http_500(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 41: connects that are answered with HTTP 500 are told with the status, and the
    session goes on."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        states, session = States(client), client.client_id
        proxy.respond(500, count=2)
        proxy.cut()
        change = await states.reach(ClientState.CONNECTED)
        assert change.resumed
        assert change.client_id == session
        assert 500 in [getattr(change.error, "http_status", None) for change in states.items]
        await client.publish(channel, "on")
        assert data_of(await seen.count(1)) == ["on"]


async def held(server: Server) -> None:
    """Wait until the one session's connect is held."""
    assert isinstance(server, EmbeddedServer)
    (session,) = server.bayeux.sessions.values()
    await server.bayeux.until(lambda: session.held)


@pytest.mark.needs("faulty", "long_polling")
async def test_backoff_begins_anew(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 27: a success ends a run of failures, the next one begins at the first delay. A
    success is a connect that was held, or brought something."""
    drawn: list[float] = []

    def delays() -> Iterator[float]:
        for number in itertools.count(1):
            drawn.append(number * 0.02)
            yield drawn[-1]

    faults = faults_of(server)
    async with make_client(server, backoff=delays) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        for turn in range(2):
            await confirmed(client, channel)
            await client.publish(channel, turn)
            await seen.until(lambda: turn in data_of(seen.items))  # noqa: B023
            await held(server)
            faults.respond_with(503, channel="/meta/connect", count=2)
            faults.drop_link(client.client_id)
            await states.reach(ClientState.CONNECTED)
    assert drawn == pytest.approx([0.02, 0.04, 0.06] * 2)


@pytest.mark.needs("faulty")
async def test_temporary_failure(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 47: one refused connect, and the next one asks not to be held (`timeout: 0`), so
    that it is known at once that the link is up."""
    async with make_client(server) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        session = client.client_id
        await server.control("reset_counters")
        began = time.monotonic()
        faults_of(server).refuse_connect("500::not now", {"reconnect": "retry", "interval": 10})
        await client.publish(channel, "ends the connect")  # over long-polling, at least
        await states.reach(ClientState.UNCONNECTED)
        change = await states.reach(ClientState.CONNECTED)
        assert change.resumed
        assert change.client_id == session
        assert time.monotonic() - began < TIMEOUT + 20
        await client.publish(channel, "still subscribed")
        assert data_of(await seen.count(2))[-1] == "still subscribed"
        counters = await server.counters()
        assert (counters["handshakes"], counters["subscribes"]) == (0, 0)


async def test_redeployment(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 48: 503 and 404 while the application is exchanged, then an unknown session."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        states = States(client)
        first = client.client_id
        proxy.respond(503, count=2)
        proxy.respond(404, count=2)
        proxy.cut()
        await server.control("forget", client_id=first)
        change = await states.reach(ClientState.CONNECTED)
        assert not change.resumed
        assert change.client_id not in (None, first)
        await confirmed(client, channel)
        await client.publish(channel, "back")
        assert data_of(await seen.count(1)) == ["back"]


@pytest.mark.needs("long_polling")
async def test_empty_response(
    server: Server, make_client: MakeClient, start_proxy: StartProxy
) -> None:
    """Scenario 50: an empty 200 is a failure like any other, with a delay before the next."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        states, session = States(client), client.client_id
        await server.control("reset_counters")
        proxy.respond(200, body="", count=3)
        proxy.cut()
        told = [(await states.reach(ClientState.UNCONNECTED)).error for _ in range(2)][-1]
        assert "empty response" in str(told)
        change = await states.reach(ClientState.CONNECTED)
        assert change.resumed
        assert change.client_id == session
        assert (await server.counters())["connects"] <= 4


async def test_session_forgotten(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenarios 39, 63 (starred) and 78: the server has forgotten the session; the client makes
    another one, resubscribes in one payload, and the observers never know."""
    async with make_client(server) as client:
        states = States(client)
        names = [channel, f"{channel}/a", f"{channel}/*"]
        seen: Seen[Any] = Seen(client.channel(names[0]))
        others = [Seen(client.channel(name)) for name in names[1:]]
        await confirmed(client, *names)
        first = client.client_id
        await server.control("reset_counters")
        await server.control("forget", client_id=first)
        told = (await states.reach(ClientState.REHANDSHAKING)).error
        assert isinstance(told, ServerError)
        assert told.error_code == target.differences.unknown_client
        change = await states.reach(ClientState.CONNECTED)
        assert not change.resumed
        assert change.client_id not in (None, first)
        await confirmed(client, *names)
        await client.publish(channel, "again")
        assert data_of(await seen.count(1)) == ["again"]
        assert not any(other.ended for other in others)
        counters = await server.counters()
        assert (counters["handshakes"], counters["subscribe_payloads"]) == (1, 1)
        assert counters["subscribes"] == 3


async def test_resubscribe_denied(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 78: a channel that the new session is denied ends for its observers, and for
    them alone."""
    async with make_client(server) as client:
        kept: Seen[Any] = Seen(client.channel(channel))
        lost: Seen[Any] = Seen(client.channel(f"{channel}/secret"))
        await confirmed(client, channel, f"{channel}/secret")
        await server.control("deny", operation="subscribe", channel=f"{channel}/secret")
        try:
            await server.control("forget", client_id=client.client_id)
            error = await lost.end()
        finally:
            await server.control("allow", operation="subscribe", channel=f"{channel}/secret")
        assert isinstance(error, ServerError)
        assert error.error_code == 403
        await confirmed(client, channel)
        await client.publish(channel, "on")
        assert data_of(await kept.count(1)) == ["on"]


async def test_publish_of_a_forgotten_session(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 46: publishes while the session is gone, without the client knowing yet. Each is
    refused (402, with no advice) or taken in the new session, and none is sent twice."""
    async with make_client(server) as client, make_client(server) as witness:
        states = States(client)
        seen: Seen[Any] = Seen(witness.channel(channel))
        await confirmed(witness, channel)
        publishing = [asyncio.create_task(client.publish(channel, "first"))]
        await server.control("forget", client_id=client.client_id)
        publishing += [asyncio.create_task(client.publish(channel, n)) for n in range(5)]
        await states.reach(ClientState.CONNECTED)
        outcomes = await asyncio.gather(*publishing, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(f, ServerError | TransportError) for f in failures), failures
        await client.publish(channel, "end")
        await seen.until(lambda: data_of(seen.items)[-1:] == ["end"])
        assert len(seen.items) <= 1 + len(outcomes)
        if all_refused(failures):
            assert len(seen.items) == 1 + len(outcomes) - len(failures)


def all_refused(failures: list[BaseException]) -> bool:
    """Whether all failures are refusals: what the server refused nobody gets to see."""
    return all(isinstance(failure, ServerError) for failure in failures)


@pytest.mark.needs("browsers", "long_polling")
async def test_several_clients_of_a_browser(
    start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """Scenario 43 (starred): two clients share their cookies; the server has one of them poll
    with an interval, which it keeps to."""
    server = await start_server(multiSessionInterval=400)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        first, second = (make_client(server, http_session=http) for _ in range(2))
        await first.open()
        replies: Seen[Any] = Seen(second.meta("/meta/connect"))
        await second.open()
        await replies.until(lambda: any("multiple-clients" in a for a in advices(replies)))
        seen: Seen[Any] = Seen(second.channel(channel))
        await confirmed(second, channel)
        await first.publish(channel, "polled")
        assert data_of(await seen.count(1)) == ["polled"]
        began, polled = time.monotonic(), len(replies.items)
        await replies.count(polled + 3)
        assert time.monotonic() - began > 2 * 0.4
        await second.close()
        await first.close()


@pytest.mark.needs("browsers", "long_polling")
async def test_one_client_of_a_browser(start_server: StartServer, make_client: MakeClient) -> None:
    """Scenario 44: where several clients of a browser are not allowed, the advice is `none`."""
    server = await start_server(multiSessionInterval=0)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        first, second = (make_client(server, http_session=http) for _ in range(2))
        await first.open()
        await eventually(lambda: connects(server, 2))  # the second one is held
        ended: Seen[Any] = Seen(second.messages)
        error = await ended.end()
        assert isinstance(error, ServerError)
        assert second.closed
        assert first.state is ClientState.CONNECTED
        await first.close()


def advices(replies: Seen[Any]) -> list[dict[str, Any]]:
    return [reply["advice"] for reply in replies.items if "advice" in reply]
