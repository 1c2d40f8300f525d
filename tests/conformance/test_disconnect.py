"""Goodbyes: ours, the server's, and those that nobody answers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import ClientInvalidOperation, CometDError, ServerError
from rx_cometd.states import ClientState
from tests.conformance.observing import Seen, States, confirmed, data_of, eventually

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server


async def test_close(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 51 (starred): one disconnect, the observers complete, the server has forgotten
    the session, and no task, connection or socket is left."""
    before = asyncio.all_tasks()
    proxy = await start_proxy(server)
    client = make_client(proxy)
    await client.open()
    seen: Seen[Any] = Seen(client.channel(channel))
    await confirmed(client, channel)
    session = client.client_id
    await server.control("reset_counters")
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 8.0
    assert seen.completed
    assert session not in await server.sessions()
    assert (await server.counters())["disconnects"] == 1
    await eventually(lambda: proxy.open_connections == 0)
    ours = {t for t in asyncio.all_tasks() - before if "rx_cometd" in t.get_name()}
    assert ours == set()


@pytest.mark.needs("websocket")
async def test_close_code(server: Server, make_client: MakeClient, start_proxy: StartProxy) -> None:
    """Scenario 51 (starred): the WebSocket is closed with 1000, after the disconnect."""
    proxy = await start_proxy(server)
    async with make_client(proxy):
        pass
    await eventually(lambda: proxy.open_connections == 0)
    assert len(proxy.requested) == 1
    sent = bytes(proxy.requested[0])
    # The last frame of a client: FIN and opcode 8, masked, two bytes of status (RFC 6455, 5.5.1).
    assert sent[-8:-6] == b"\x88\x82"
    mask, status = sent[-6:-2], sent[-2:]
    assert int.from_bytes(bytes(a ^ b for a, b in zip(status, mask, strict=False))) == 1000


async def test_close_unanswered(own_server: Server, make_client: MakeClient) -> None:
    """Scenario 52: the server answers neither the disconnect nor the pending connect; `close`
    waits `max_network_delay`, a second at most."""
    client = make_client(own_server, max_network_delay=10.0)
    seen: Seen[Any] = Seen(client.messages)
    await client.open()
    own_server.pause()
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 8.0
    assert client.state is ClientState.DISCONNECTED
    assert seen.completed
    own_server.unpause()


async def test_close_while_down(
    hasty_server: Server, make_client: MakeClient, start_proxy: StartProxy
) -> None:
    """Scenario 53: there is no way to disconnect; the client is closed at once, and the server
    sweeps the session by itself."""
    proxy = await start_proxy(hasty_server)
    client = make_client(proxy)
    states = States(client)
    await client.open()
    session = client.client_id
    await proxy.refuse()
    await states.reach(ClientState.UNCONNECTED)
    began = time.monotonic()
    await client.close()
    assert time.monotonic() - began < 8.0
    await eventually(lambda: swept(hasty_server, session))


async def swept(server: Server, session: str | None) -> bool:
    return session not in await server.sessions()


@pytest.mark.needs("disconnect")
async def test_disconnected_by_server(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 54 (starred): the server delivers a message and ends the session; the message
    arrives first, then the end, as an error that says whose doing it was. By default, where the
    server advises not to come back, as those of CometD in Java do over either transport.

    Over long-polling the end is only told to a connect that is held; the next one would learn
    that the session is unknown.
    """

    def final(_: Exception) -> bool:
        return False

    client = make_client(server, is_transient=None if target.differences.sends_away else final)
    await client.open()
    await client.subscribe(f"{channel}/pull")
    seen: Seen[Any] = Seen(client.channel(channel))
    states = States(client)
    await confirmed(client, channel)
    await server.control("reset_counters")
    await server.control("deliver", client_id=client.client_id, channel=channel, data="last")
    if not target.websocket:
        await eventually(lambda: connected_again(server))
    await server.control("disconnect", client_id=client.client_id)
    assert isinstance(await seen.end(), ServerError)
    assert data_of(seen.items) == ["last"]
    await states.reach(ClientState.DISCONNECTED)
    with pytest.raises(ServerError):
        await client.receive()
    with pytest.raises((ServerError, ClientInvalidOperation)):
        await client.publish(channel, 1)
    assert client.closed
    # Nobody comes back by himself after being sent away.
    assert (await server.counters())["handshakes"] == 0
    await client.close()


@pytest.mark.needs("disconnect")
async def test_disconnected_by_server_and_back(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Where the server does not advise against it, or the user says so, the client comes back:
    observers are not told of it but by what comes in the new session."""

    def comes_back(error: ServerError) -> bool | None:
        return True if error.response["channel"] == "/meta/disconnect" else None

    is_transient = comes_back if target.differences.sends_away else None
    async with make_client(server, is_transient=is_transient) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        states = States(client)
        await confirmed(client, channel)
        first = client.client_id
        await server.control("reset_counters")
        if not target.websocket:
            await server.control("deliver", client_id=first, channel=channel, data="last")
            await eventually(lambda: connected_again(server))
        await server.control("disconnect", client_id=first)
        await states.reach(ClientState.REHANDSHAKING)
        await states.reach(ClientState.CONNECTED)
        await confirmed(client, channel)
        assert client.client_id != first
        await client.publish(channel, "new")
        await eventually(lambda: data_of(seen.items)[-1:] == ["new"])


async def connected_again(server: Server) -> bool:
    return (await server.counters())["connects"] >= 1


async def test_close_in_observers(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 55: closing from within `on_next`, and on a change of state, stops the loop."""
    client = make_client(server)
    await client.open()
    closings: list[asyncio.Task[None]] = []
    later: list[object] = []

    def close(message: object) -> None:
        later.append(message)
        closings.append(asyncio.create_task(client.close()))

    client.channel(channel).subscribe(close)
    await confirmed(client, channel)
    publishing = asyncio.gather(
        *(client.publish(channel, n) for n in range(3)), return_exceptions=True
    )
    await eventually(lambda: closings)
    await asyncio.gather(*closings)
    for outcome in await publishing:
        assert isinstance(outcome, dict | CometDError)
    assert client.closed
    assert (await server.counters())["disconnects"] <= 1


async def test_pending_when_closed(
    own_server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 56: whoever waits for something is told when the client is closed."""
    client = make_client(own_server, max_network_delay=0.4)
    await client.open()
    await client.subscribe(f"{channel}/pull")
    own_server.pause()
    waiting: list[asyncio.Task[Any]] = [
        asyncio.create_task(client.publish(channel, 1)),
        asyncio.create_task(client.call("/service/echo", 1)),
        asyncio.create_task(client.subscribe(channel)),
        asyncio.create_task(client.receive()),
    ]
    await asyncio.sleep(0.05)  # all of them are under way, and nothing answers
    await client.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, CometDError) for outcome in outcomes), outcomes
    own_server.unpause()


async def test_nothing_crosses_sessions(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenario 57: what was waiting for the link when the client was closed is not sent in the
    next session."""
    proxy = await start_proxy(server)
    client = make_client(proxy)
    states = States(client)
    await client.open()
    await proxy.refuse()
    await states.reach(ClientState.UNCONNECTED)
    publishing = asyncio.create_task(client.publish(channel, "old"))
    await asyncio.sleep(0.02)  # the publish waits for the link: nothing happens
    await client.close()
    with pytest.raises(CometDError):
        await publishing
    await proxy.restore()
    async with make_client(server) as other:
        seen: Seen[Any] = Seen(other.channel(channel))
        await confirmed(other, channel)
        await client.open()
        await client.publish(channel, "new")
        assert data_of(await seen.count(1)) == ["new"]
        await client.close()


async def test_close_from_everywhere(server: Server, make_client: MakeClient) -> None:
    """Scenarios 58 and 59: closing twice, at once, and while others use the client."""
    client = make_client(server)
    await client.open()
    users = [asyncio.create_task(client.publish("/test/race", n)) for n in range(10)]
    await asyncio.sleep(0)
    await asyncio.gather(client.close(), client.close())
    outcomes = await asyncio.gather(*users, return_exceptions=True)
    assert all(isinstance(outcome, dict | CometDError) for outcome in outcomes), outcomes
    await client.close()
    assert client.closed
