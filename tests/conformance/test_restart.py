"""Servers that die, come back, stay away, or fall silent."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import ConnectionType, TransportError, TransportTimeoutError
from rx_cometd.states import ClientState
from tests.conformance.observing import Seen, States, confirmed, data_of, eventually, warmed
from tests.conformance.serving import HASTY_MAX_INTERVAL, HASTY_TIMEOUT

if TYPE_CHECKING:
    from rx_cometd import Client
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

#: Seconds that the loop, the server and the machine may need beside what is measured.
SLACK = 30.0


async def test_killed_and_restarted(
    own_server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenarios 28 (starred) and 49: SIGKILL, and a new server on the same port. Messages flow
    again, on every channel, and nobody did anything."""
    async with make_client(own_server, backoff=None) as client:
        names = [channel, f"{channel}/*"]
        seen: Seen[Any] = Seen(rx.merge(*map(client.channel, names)))
        await confirmed(client, *names)
        states = States(client)
        first = client.client_id
        await client.publish(channel, 1)
        await seen.count(1)
        await own_server.restart()
        change = await states.reach(ClientState.CONNECTED, timeout=60)
        assert not change.resumed
        assert change.client_id != first
        await confirmed(client, *names)
        await client.publish(channel, 2)
        await own_server.control("publish", channel=f"{channel}/a", data=3)
        await seen.until(lambda: 3 in data_of(seen.items))
        assert data_of(seen.items) == [1, 2, 3]
        assert client.statistics().reconnects == 1


@pytest.mark.needs("several_types")
async def test_restart_keeps_the_transport(
    target: Target, own_server: Server, make_client: MakeClient
) -> None:
    """Scenario 30: a transport that worked is used again after a restart, though another one is
    allowed too and connections were refused meanwhile."""
    kinds = target.differences.connection_types
    async with make_client(own_server, connection_types=kinds) as client:
        states = States(client)
        preferred = client.connection_type
        await own_server.kill()
        await states.reach(ClientState.UNCONNECTED, timeout=60)
        await own_server.start()
        await states.reach(ClientState.CONNECTED, timeout=60)
        assert client.connection_type is preferred is kinds[0]


@pytest.mark.needs("several_types")
async def test_a_transport_that_worked_is_refused(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 12, in the middle of a session: a proxy lets WebSockets through no longer. The next
    transport takes over, and the first one is tried again in the next new session."""
    proxy = await start_proxy(server)
    kinds = [ConnectionType.WEBSOCKET, ConnectionType.LONG_POLLING]
    async with make_client(proxy, connection_types=kinds, backoff=None) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        assert client.connection_type is ConnectionType.WEBSOCKET
        proxy.strip_upgrade()
        proxy.cut()
        change = await states.reach(ClientState.CONNECTED, timeout=60)
        assert change.connection_type is ConnectionType.LONG_POLLING
        await confirmed(client, channel)
        await client.publish(channel, "around")
        proxy.clear()
        await server.control("forget", client_id=client.client_id)
        change = await states.reach(ClientState.CONNECTED, timeout=60)
        assert change.connection_type is ConnectionType.WEBSOCKET
        await confirmed(client, channel)
        await client.publish(channel, "through")
        await seen.until(lambda: data_of(seen.items) == ["around", "through"])


async def test_killed_twice(own_server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 28 twice, the second time in the middle of recovering."""
    async with make_client(own_server) as client:
        await client.subscribe(channel)
        states = States(client)
        await own_server.restart()
        await states.reach(ClientState.REHANDSHAKING, timeout=60)
        await own_server.restart()
        await eventually(lambda: settled(own_server, client.client_id), timeout=60)
        await confirmed(client, channel)
        await client.publish(channel, "back")
        assert (await client.receive())["data"] == "back"


async def settled(server: Server, session: str | None) -> bool:
    return session is not None and session in await server.sessions()


async def test_gone_for_good(own_server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenarios 28 and 60 (starred): away for longer than `connection_timeout`. Every observer,
    every waiting publish and `receive` are told, once, in that time."""
    client = make_client(own_server, connection_timeout=0.8)
    await warmed(own_server, make_client)
    await client.open()
    await client.subscribe(f"{channel}/pull")
    seen: Seen[Any] = Seen(client.channel(channel))
    other: Seen[Any] = Seen(client.messages.pipe(ops.filter(lambda _: False)))
    await confirmed(client, channel)
    receiving = asyncio.create_task(client.receive())
    states = States(client)
    await own_server.kill()
    await states.until(lambda: client.state is not ClientState.CONNECTED)
    began = time.monotonic()
    publishing = asyncio.create_task(client.publish(channel, "in vain"))
    assert isinstance(await seen.end(), TransportTimeoutError)
    assert 0.5 < time.monotonic() - began < 0.8 + SLACK
    assert isinstance(await other.end(), TransportTimeoutError)
    for waiting in (receiving, publishing):
        with pytest.raises(TransportTimeoutError):
            await waiting
    assert client.closed
    assert client.state is ClientState.DISCONNECTED
    with pytest.raises(TransportTimeoutError):
        await client.receive()
    await client.close()
    # The same client is good for another session.
    await own_server.start()
    await warmed(own_server, make_client)
    await client.open()
    await client.publish(channel, "anew")


async def test_publish_in_flight(own_server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 60 (starred): a publish whose reply is lost with the server fails, once, and is
    not repeated after the restart."""
    async with make_client(own_server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        own_server.pause()
        publishing = asyncio.create_task(client.publish(channel, "lost"))
        await asyncio.sleep(0.05)  # it is in the socket's buffer, unread
        assert not publishing.done()
        await own_server.restart()
        with pytest.raises(TransportError):
            await publishing
        await client.publish(channel, "end")
        await seen.until(lambda: data_of(seen.items)[-1:] == ["end"])
        assert data_of(seen.items) == ["end"]


async def test_silent_outage(hasty_server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 31 (starred): SIGSTOP; no socket closes, nothing answers. It is found within
    `advice.timeout + max_network_delay`, and not before `max_network_delay`; what the client
    heard shortly before makes no difference."""
    delay = 0.8
    async with make_client(hasty_server, max_network_delay=delay) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        states = States(client)
        await client.publish(channel, "before")
        await seen.count(1)
        hasty_server.pause()
        began = time.monotonic()
        change = await states.reach(ClientState.UNCONNECTED)
        took = time.monotonic() - began
        assert isinstance(change.error, TransportTimeoutError)
        assert delay <= took <= HASTY_TIMEOUT + delay + SLACK
        hasty_server.unpause()
        await states.reach(ClientState.CONNECTED)
        await confirmed(client, channel)
        await client.publish(channel, "after")
        await seen.until(lambda: data_of(seen.items)[-1:] == ["after"])


async def test_silent_for_good(hasty_server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 31, and no end: `receive` tells after `connection_timeout` more."""
    client = make_client(hasty_server, max_network_delay=0.3, connection_timeout=0.6)
    await warmed(hasty_server, make_client)
    await client.open()
    await client.subscribe(channel)
    hasty_server.pause()
    began = time.monotonic()
    with pytest.raises(TransportTimeoutError):
        await client.receive()
    assert time.monotonic() - began <= HASTY_TIMEOUT + 0.3 + 0.6 + SLACK
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 2.2 + SLACK
    hasty_server.unpause()


async def test_silent_for_too_long(
    hasty_server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenarios 31 and 39: the server was stopped for longer than its sessions live; whichever
    of the two sides notices first, there is a session in the end, with the subscriptions."""
    async with make_client(hasty_server, max_network_delay=0.3) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        states = States(client)
        hasty_server.pause()
        await states.reach(ClientState.UNCONNECTED)
        await asyncio.sleep(HASTY_TIMEOUT + HASTY_MAX_INTERVAL)
        hasty_server.unpause()
        await states.reach(ClientState.CONNECTED)
        await eventually(lambda: subscribed(hasty_server, client, channel))
        await client.publish(channel, "here")
        await seen.until(lambda: data_of(seen.items) == ["here"])


async def subscribed(server: Server, client: Client, channel: str) -> bool:
    return client.client_id in await server.subscribers(channel)


async def test_publish_into_silence(
    own_server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 31 for other requests: a publish that is not answered fails after
    `max_network_delay`."""
    async with make_client(own_server, max_network_delay=0.4) as client:
        own_server.pause()
        began = time.monotonic()
        with pytest.raises(TransportError):
            await client.publish(channel, 1)
        assert 0.3 < time.monotonic() - began < 0.4 + SLACK
        own_server.unpause()
