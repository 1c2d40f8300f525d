"""The acknowledged messages extension: nothing is lost with a link."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.extensions import ack
from rx_cometd.states import ClientState
from tests.conformance.embedded import faults_of
from tests.conformance.observing import Seen, States, confirmed, eventually, numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conformance.conftest import MakeClient, StartProxy, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

pytestmark = pytest.mark.needs("ack")


def assert_delivered(target: Target, numbers: list[int], expected: Iterable[int]) -> None:
    """Once each over long-polling, where a response comes whole or not at all; at least once
    over WebSocket, where messages and the reply that acknowledges them are frames of their own.
    In order, either way."""
    if target.websocket:
        numbers = list(dict.fromkeys(numbers))
    assert numbers == list(expected)


async def test_while_cut(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
) -> None:
    """Scenarios 80 (starred) and 86: what is published while the link is cut arrives after
    reconnection, the message that the server wrote to the dead link included."""
    proxy = await start_proxy(server)
    async with make_client(proxy, extensions=[ack()]) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("publish", channel=channel, count=3)
        await seen.count(3)
        await proxy.refuse()
        await states.reach(ClientState.UNCONNECTED)
        await server.control("publish", channel=channel, count=10, first=3)
        await proxy.restore()
        assert (await states.reach(ClientState.CONNECTED)).resumed
        await server.control("publish", channel=channel, count=3, first=13)
        await seen.until(lambda: 15 in numbers_of(seen.items))
        assert_delivered(target, numbers_of(seen.items), range(16))


async def test_reply_lost(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
) -> None:
    """Scenario 81 (starred): the connect fails after the server sent its messages; the next one
    carries the same acknowledgement, and they come again."""
    proxy = await start_proxy(server)
    async with make_client(proxy, extensions=[ack()]) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        proxy.replies.stall()
        await server.control("publish", channel=channel, count=5)
        assert seen.items == []
        proxy.cut()
        await states.reach(ClientState.UNCONNECTED)
        proxy.resume()
        assert (await states.reach(ClientState.CONNECTED)).resumed
        await seen.until(lambda: 4 in numbers_of(seen.items))
        assert_delivered(target, numbers_of(seen.items), range(5))


async def test_stalled(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
) -> None:
    """Scenario 82: the connect is given up while its reply is on its way; the one that overtakes
    it brings the messages, and the late reply neither adds nor takes anything."""
    proxy = await start_proxy(server)
    async with make_client(proxy, extensions=[ack()], max_network_delay=0.3) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        proxy.replies.stall()
        await server.control("publish", channel=channel, count=5)
        await states.reach(ClientState.UNCONNECTED)
        proxy.resume()
        await seen.until(lambda: 4 in numbers_of(seen.items))
        await server.control("publish", channel=channel, count=5, first=5)
        await seen.until(lambda: 9 in numbers_of(seen.items))
        assert_delivered(target, numbers_of(seen.items), range(10))


@pytest.mark.needs("websocket")
async def test_second_connection(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 83: the first connection is silent, though open at the server's end, when the
    connect goes out over a second one; what was published to the first comes over the second."""
    proxy = await start_proxy(server)
    client = make_client(proxy, extensions=[ack(deduplicate=True)], max_network_delay=0.3)
    async with client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        proxy.stall()
        await server.control("publish", channel=channel, count=5)
        await states.reach(ClientState.UNCONNECTED)
        connections = proxy.accepted
        await eventually(lambda: proxy.accepted > connections)
        proxy.resume()
        assert (await states.reach(ClientState.CONNECTED)).resumed
        await server.control("publish", channel=channel, count=5, first=5)
        await seen.until(lambda: 9 in numbers_of(seen.items))
        assert numbers_of(seen.items) == list(range(10))


@pytest.mark.needs("greets")
@pytest.mark.parametrize("extensions", [[], [ack]], ids=["plain", "ack"])
async def test_delivered_during_handshake(
    target: Target,
    start_server: StartServer,
    make_client: MakeClient,
    extensions: list[Any],
) -> None:
    """Scenario 84 (starred), without and with acknowledgements: what the server delivers while
    the session is made arrives, once, in order; where it says so (`x-messages`), before the
    first connect is answered."""
    early = target.differences.greets_early
    server = await start_server(**(early or {}))
    await server.control("greet", channel="/service/welcome", count=3)
    client = make_client(server, extensions=[extension() for extension in extensions])
    welcome: Seen[Any] = Seen(client.channel("/service/welcome"))
    order: list[str] = []
    client.messages.subscribe(lambda _: order.append("message"))
    client.meta("/meta/connect").subscribe(lambda _: order.append("connect"))
    await welcome.count(3)
    await client.publish("/test/anything", 1)
    assert numbers_of(welcome.items) == [0, 1, 2]
    if early is not None:
        assert order[:3] == ["message"] * 3
    await server.control(
        "deliver", client_id=client.client_id, channel="/service/welcome", data={"n": 3}
    )
    await welcome.count(4)
    assert numbers_of(welcome.items) == [0, 1, 2, 3]
    await client.close()


@pytest.mark.needs("deliver_only")
async def test_deliver_only(
    target: Target, start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """Scenario 85: a server that sends data with connect replies only."""
    server = await start_server(**(target.differences.deliver_only or {}))
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        for number in range(5):
            await client.publish(channel, {"n": number})
        assert numbers_of(await seen.count(5)) == list(range(5))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("deduplicate", [False, True], ids=["repeating", "deduplicating"])
async def test_ten_thousand_messages_fifty_cuts(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
    *,
    deduplicate: bool,
) -> None:
    """Scenario 86: 10,000 messages while the link is cut 50 times at random, none is lost, and
    with ``deduplicate`` none comes twice either."""
    count, cuts = 10_000, 50
    dice = random.Random(2)
    proxy = await start_proxy(server)
    client = make_client(
        proxy,
        extensions=[ack(deduplicate=deduplicate)],
        backoff=lambda: itertools.repeat(0.01),
        max_network_delay=5.0,
    )

    async def reconnected(times: int) -> None:
        await eventually(lambda: client.statistics().reconnects >= times)

    async with client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        session = client.client_id
        chunks = sorted(dice.sample(range(count // 50), cuts))
        done = 0
        for chunk in range(count // 50):
            await server.control("publish", channel=channel, count=50, first=chunk * 50)
            if chunk in chunks:
                # However slow the machine is, every other one cuts a link that was regained.
                await reconnected(done // 2)
                await eventually(lambda: proxy.open_connections)
                await asyncio.sleep(dice.uniform(0, 0.03))  # cuts come at any moment
                proxy.cut()
                done += 1
        await seen.until(lambda: count - 1 in numbers_of(seen.items[-200:]), timeout=60)
        assert client.client_id == session
        await reconnected(cuts // 2)
        if deduplicate:
            assert numbers_of(seen.items) == list(range(count))
        else:
            assert_delivered(target, numbers_of(seen.items), range(count))


@pytest.mark.needs("faulty")
async def test_connect_refused(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 81 (starred), where the server itself refuses: a failed connect acknowledges
    nothing."""
    async with make_client(server, extensions=[ack()]) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        faults_of(server).refuse_connect("500::broken", count=2)
        await server.control("publish", channel=channel, count=5)
        await seen.until(lambda: 4 in numbers_of(seen.items))
        await eventually(lambda: client.state is ClientState.CONNECTED)
        await server.control("publish", channel=channel, count=5, first=5)
        await seen.until(lambda: 9 in numbers_of(seen.items))
        assert numbers_of(seen.items) == list(range(10))
