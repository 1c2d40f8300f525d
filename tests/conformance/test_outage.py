"""Networks that fail: the link to a server that lives on is cut, refused, silenced."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import ServerError, TransportError, TransportTimeoutError
from rx_cometd.states import ClientState
from tests.conformance.observing import (
    Seen,
    States,
    confirmed,
    data_of,
    eventually,
    numbers_of,
)
from tests.conformance.serving import HASTY_MAX_INTERVAL, HASTY_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import MakeClient, StartProxy, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server


async def test_short(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
) -> None:
    """Scenario 40 (starred), short: the same session goes on, nothing is subscribed again, and
    what was published while the server knew the link to be down is delivered."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        session = client.client_id
        await server.control("reset_counters")
        await proxy.refuse()
        await states.reach(ClientState.UNCONNECTED)
        if target.connection_type not in target.differences.notices_cuts:
            await server.control("publish", channel=channel, data={"n": "into the void"})
        for _ in range(3):
            await server.control("ping")  # a turn of the server's, to see what has become of it
        await server.control("publish", channel=channel, count=20)
        await proxy.restore()
        change = await states.reach(ClientState.CONNECTED)
        assert change.resumed
        assert change.client_id == session
        assert numbers_of(await seen.count(20)) == list(range(20))
        counters = await server.counters()
        assert (counters["handshakes"], counters["subscribes"]) == (0, 0)


async def test_long(
    hasty_server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenarios 40 (starred), long, 39 and 53: the server gives the session up, and the client
    makes another one, with its subscriptions."""
    proxy = await start_proxy(hasty_server)
    async with make_client(proxy) as client:
        states = States(client)
        names = [channel, f"{channel}/*"]
        seen = [Seen(client.channel(name)) for name in names]
        await confirmed(client, *names)
        session = client.client_id
        await proxy.refuse()
        await states.reach(ClientState.UNCONNECTED)
        await eventually(lambda: forgotten(hasty_server, session))
        await hasty_server.control("reset_counters")
        await proxy.restore()
        change = await states.reach(ClientState.CONNECTED)
        assert not change.resumed
        assert change.client_id not in (None, session)
        await confirmed(client, *names)
        await client.publish(channel, "back")
        assert data_of(await seen[0].count(1)) == ["back"]
        counters = await hasty_server.counters()
        assert (counters["handshakes"], counters["subscribe_payloads"]) == (1, 1)


async def forgotten(server: Server, session: str | None) -> bool:
    return session not in await server.sessions()


@pytest.mark.needs("handshake_reconnect")
async def test_too_long_to_resume(
    target: Target,
    start_server: StartServer,
    make_client: MakeClient,
    start_proxy: StartProxy,
) -> None:
    """Scenario 38 (starred): the server told its `maxInterval`; offline for longer, the client
    knows without asking that it needs a new session."""
    options = target.differences.handshake_reconnect or {}
    server = await start_server(timeout=HASTY_TIMEOUT, max_interval=HASTY_MAX_INTERVAL, **options)
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        states = States(client)
        await proxy.refuse()
        await states.reach(ClientState.UNCONNECTED)
        began = time.monotonic()
        change = await states.reach(ClientState.REHANDSHAKING)
        assert isinstance(change.error, TransportError)
        assert time.monotonic() - began < HASTY_TIMEOUT + HASTY_MAX_INTERVAL + 8
        await proxy.restore()
        await states.reach(ClientState.CONNECTED)


async def test_backoff(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenarios 26 (starred) and 27: refused connections, one delay after the other; a success
    begins the delays anew: a connect that was held, or brought something."""
    drawn: list[float] = []

    def delays() -> Iterator[float]:
        for number in itertools.count(1):
            drawn.append(number * 0.02)
            moments.append(time.monotonic())
            yield drawn[-1]

    moments: list[float] = []
    proxy = await start_proxy(server)
    async with make_client(proxy, backoff=delays) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        for turn in range(2):
            await confirmed(client, channel)
            await client.publish(channel, turn)
            await seen.until(lambda: turn in data_of(seen.items))  # noqa: B023
            drawn.clear()
            moments.clear()
            await proxy.refuse()
            await states.until(lambda: len(drawn) >= 6)
            pauses = [later - earlier for earlier, later in itertools.pairwise(moments)]
            # Each is as long as the delay that was drawn before it, or longer.
            assert all(pause > 0.9 * delay for pause, delay in zip(pauses, drawn, strict=False))
            await proxy.restore()
            await states.reach(ClientState.CONNECTED)
            assert drawn == pytest.approx([0.02 * n for n in range(1, len(drawn) + 1)])


async def test_late_replies(
    hasty_server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenarios 36 (starred) and 34: replies that come when their connects were given up are
    dropped with their connections; one loop goes on, not two."""
    proxy = await start_proxy(hasty_server)
    async with make_client(proxy, max_network_delay=0.3) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        proxy.replies.stall()
        change = await states.reach(ClientState.UNCONNECTED)
        assert isinstance(change.error, TransportTimeoutError)
        proxy.resume()
        await states.reach(ClientState.CONNECTED)
        await confirmed(client, channel)
        await client.publish(channel, "on")
        await seen.until(lambda: "on" in data_of(seen.items))
        replies: Seen[Any] = Seen(client.meta("/meta/connect"))
        await asyncio.sleep(0.4)  # two loops would not stop answering each other
        assert len(replies.items) <= 1
        replies.dispose()


async def test_cut_again_and_again(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 58: whatever is under way when the link breaks, everything has an end: each
    publish succeeds or fails, and the session recovers."""
    proxy = await start_proxy(server)
    async with make_client(proxy, backoff=lambda: itertools.repeat(0.01)) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        outcomes: list[object] = []
        for number in range(60):
            publishing = asyncio.create_task(client.publish(channel, {"n": number}))
            publishing.add_done_callback(lambda task: outcomes.append(task.exception()))
            if number % 6 == 5:
                proxy.cut()
            await asyncio.sleep(0.002)  # publishes come at any moment of a cut
        await eventually(lambda: len(outcomes) == 60)
        failures = [failure for failure in outcomes if failure is not None]
        assert all(isinstance(f, TransportError | ServerError) for f in failures)
        await eventually(lambda: client.state is ClientState.CONNECTED)
        await confirmed(client, channel)
        await client.publish(channel, {"n": -1})
        await seen.until(lambda: -1 in numbers_of(seen.items))
        # Never sent twice behind the user's back.
        assert len(set(numbers_of(seen.items))) == len(seen.items)


async def test_subscribed_while_down(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenarios 63 (starred) and 71: what is wished for while the link is down is asked for
    when it is back; what is given up meanwhile is not."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        states = States(client)
        given_up: Seen[Any] = Seen(client.channel(f"{channel}/old"))
        await confirmed(client, f"{channel}/old")
        await proxy.refuse()
        await states.reach(ClientState.UNCONNECTED)
        new: Seen[Any] = Seen(client.channel(channel))
        brief: Seen[Any] = Seen(client.channel(f"{channel}/brief"))
        given_up.dispose()
        brief.dispose()
        publishing = asyncio.create_task(client.publish(channel, "held"))
        await asyncio.sleep(0)
        await proxy.restore()
        await publishing
        await eventually(lambda: client.subscriptions == frozenset({channel}))
        await client.publish(channel, "new")
        await new.until(lambda: "new" in data_of(new.items))
        assert await server.subscribers(f"{channel}/old") == []
        assert await server.subscribers(f"{channel}/brief") == []
