"""Handshakes: refused, repeated, late, and over which transport."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from rx_cometd import (
    Client,
    ClientError,
    ClientInvalidOperation,
    ConnectionType,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState
from rx_cometd.testing import FaultProxy
from tests.conformance.embedded import faults_of
from tests.conformance.observing import Seen, States, confirmed, data_of, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.conftest import MakeClient, StartProxy, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

LONG_POLLING, WEBSOCKET = ConnectionType.LONG_POLLING, ConnectionType.WEBSOCKET
BOTH = [WEBSOCKET, LONG_POLLING]


@pytest.mark.needs("denies_for_good")
async def test_denied(server: Server, make_client: MakeClient) -> None:
    """Scenario 3 (starred): denied with `reconnect: none`, the client asks once and no more."""
    client = make_client(server)
    await server.control("deny", operation="handshake")
    try:
        with pytest.raises(ServerError) as caught:
            await client.open()
        assert caught.value.error_code == 403
        assert caught.value.advice.get("reconnect") == "none"
        assert client.closed
        assert client.state is ClientState.DISCONNECTED
        counters = await server.counters()
        assert (counters["handshakes"], counters["connects"]) == (1, 0)
    finally:
        await server.control("allow", operation="handshake")


@pytest.mark.needs("advises_denied")
async def test_denied_but_advised_to_retry(
    target: Target, server: Server, make_client: MakeClient
) -> None:
    """Scenario 3 where the advice is to try again (Faye's always is): with delays, in the end
    with success."""
    advice = {"advice": {"reconnect": "handshake", "interval": 0}}
    arguments = advice if target.differences.denial_advice else {}
    await server.control("deny", operation="handshake", **arguments)
    client = make_client(server)
    try:
        opening = asyncio.create_task(client.open())
        await eventually(lambda: handshakes(server, 3))
    finally:
        await server.control("allow", operation="handshake")
    await opening
    assert client.state is ClientState.CONNECTED


async def handshakes(server: Server, count: int) -> bool:
    return (await server.counters())["handshakes"] >= count


async def test_denied_until_time_is_up(server: Server, make_client: MakeClient) -> None:
    """Scenario 3 under Faye's advice: the time for opening bounds the attempts, and backoff
    their number."""
    await server.control("deny", operation="handshake")
    client = make_client(server, connection_timeout=0.5)
    began = time.monotonic()
    try:
        with pytest.raises((ServerError, TransportTimeoutError)) as caught:
            await client.open()
    finally:
        await server.control("allow", operation="handshake")
    assert time.monotonic() - began < 8.0
    refused = caught.value.__cause__ or caught.value
    assert isinstance(refused, ServerError)
    assert refused.error_code == 403
    assert (await server.counters())["handshakes"] <= 25


@pytest.mark.needs("faulty")
async def test_nothing_in_common(server: Server, make_client: MakeClient) -> None:
    """Scenario 4 (starred): a successful reply that lists none of our transports; no connect
    goes out."""
    listed = {"supportedConnectionTypes": ["callback-polling", "eventsource"]}
    faults_of(server).rewrite("/meta/handshake", listed)
    with pytest.raises(ClientError, match="the server lists callback-polling"):
        await make_client(server).open()
    counters = await server.counters()
    assert (counters["handshakes"], counters["connects"]) == (1, 0)


async def test_retries(server: Server, make_client: MakeClient, start_proxy: StartProxy) -> None:
    """Scenario 5 (starred): 503 three times, each attempt after the backoff's next delay."""
    proxy = await start_proxy(server)
    proxy.respond(503, count=3)
    drawn: list[float] = []

    def delays() -> Iterator[float]:
        for delay in itertools.count(1):
            drawn.append(delay * 0.05)
            yield drawn[-1]

    client = make_client(proxy, backoff=delays)
    states = States(client)
    began = time.monotonic()
    await client.open()
    assert drawn == pytest.approx([0.05, 0.10, 0.15])
    assert time.monotonic() - began >= 0.3
    assert states.names.count("REHANDSHAKING") == 3
    errors = [c.error for c in states.items if c.state is ClientState.REHANDSHAKING]
    assert [getattr(error, "http_status", None) for error in errors] == [503] * 3


async def test_late_reply(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """Scenarios 10 (starred), 7 and 32: a handshake reply later than `max_network_delay` counts for
    nothing; a new handshake succeeds, and there is one session, not two."""
    proxy = await start_proxy(server)
    proxy.replies.stall()
    client = make_client(proxy, max_network_delay=0.4)
    states = States(client)
    opening = asyncio.create_task(client.open())
    change = await states.reach(ClientState.REHANDSHAKING)
    assert isinstance(change.error, TransportTimeoutError)
    proxy.resume()
    await opening
    assert client.client_id in await server.sessions()
    seen: Seen[Any] = Seen(client.channel(channel))
    await confirmed(client, channel)
    await client.publish(channel, "once")
    await client.publish(channel, "end")
    await seen.until(lambda: data_of(seen.items)[-1:] == ["end"])
    assert data_of(seen.items) == ["once", "end"]
    assert states.names.count("CONNECTED") == 1


async def test_cannot_be_sent(
    server: Server, make_client: MakeClient, start_proxy: StartProxy
) -> None:
    """Scenarios 1 and 2: handshakes that find nobody, or whose connection breaks, are told as
    failures of the transport, and tried again until one arrives."""
    proxy = await start_proxy(server)
    await proxy.refuse()
    client = make_client(proxy)
    states = States(client)
    opening = asyncio.create_task(client.open())
    change = await states.reach(ClientState.REHANDSHAKING)
    assert isinstance(change.error, TransportError)
    await proxy.restore()
    proxy.replies.stall()
    before = len(proxy.requested)
    await eventually(lambda: len(proxy.requested) > before and proxy.requested[-1])
    proxy.cut()
    proxy.resume()
    await opening
    assert states.names.count("CONNECTED") == 1
    assert client.client_id in await server.sessions()


async def test_address_with_a_query(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 25: what stands in the address beside host and path is kept, and works."""
    async with (
        FaultProxy(f"{server.url}?tenant=a%20b") as proxy,
        make_client(proxy) as client,
    ):
        await client.publish(channel, 1)
        requested = b"".join(map(bytes, proxy.requested))
        lines = [line for line in requested.splitlines() if line.endswith(b"HTTP/1.1")]
        assert lines
        assert all(b"/cometd?tenant=a" in line for line in lines), lines


@pytest.mark.needs("only_long_polling", "long_polling")
async def test_falls_back(
    target: Target, start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """Scenario 13 (starred): WebSocket preferred, but the server has only long-polling."""
    server = await start_server(**target.differences.only_long_polling or {})
    async with make_client(server, connection_types=BOTH) as client:
        assert client.connection_type is LONG_POLLING
        await client.subscribe(channel)
        await client.publish(channel, 1)
        assert (await client.receive())["data"] == 1
        assert (await server.counters())["handshakes"] == 1


@pytest.mark.needs("only_long_polling", "long_polling")
async def test_no_fallback_wanted(
    target: Target, start_server: StartServer, make_client: MakeClient
) -> None:
    """Scenarios 14 and 9: a client that speaks only WebSocket is told, with the HTTP status."""
    server = await start_server(**target.differences.only_long_polling or {})
    client = make_client(server, connection_types=WEBSOCKET)
    with pytest.raises(ClientError, match=r"may use \(websocket\)") as caught:
        await client.open()
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.__cause__.http_status in range(400, 500)
    assert client.closed


@pytest.mark.needs("only_websocket", "websocket")
async def test_only_websocket(
    target: Target, start_server: StartServer, make_client: MakeClient
) -> None:
    """Scenarios 15 and 21: a server without long-polling serves who speaks WebSocket, and only
    them."""
    server = await start_server(**target.differences.only_websocket or {})
    async with make_client(server, connection_types=[LONG_POLLING, WEBSOCKET]) as client:
        assert client.connection_type is WEBSOCKET
    with pytest.raises(ClientError, match=r"may use \(long-polling\)") as caught:
        await make_client(server, connection_types=LONG_POLLING).open()
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.__cause__.http_status is not None


@pytest.mark.needs("several_types")
async def test_preference(server: Server, make_client: MakeClient) -> None:
    """Scenario 13 without trouble: the first preference that the server has is used."""
    async with make_client(server, connection_types=None) as client:
        assert client.connection_type is WEBSOCKET
    async with make_client(server, connection_types=[LONG_POLLING, WEBSOCKET]) as client:
        assert client.connection_type is LONG_POLLING


@pytest.mark.needs("several_types")
async def test_subprotocol(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 23: a subprotocol that the server does not speak keeps nobody out, whether the
    server opens the WebSocket without it or the client falls back."""
    headers = {"Sec-WebSocket-Protocol": "no-such-protocol"}
    async with make_client(server, connection_types=BOTH, headers=headers) as client:
        assert client.connection_type in BOTH
        await client.subscribe(channel)
        await client.publish(channel, 1)
        assert (await client.receive())["data"] == 1


@pytest.mark.needs("several_types")
async def test_upgrade_stripped(
    server: Server, make_client: MakeClient, start_proxy: StartProxy
) -> None:
    """Scenario 12: a proxy on the way passes upgrades on as if they were plain requests."""
    proxy = await start_proxy(server)
    proxy.strip_upgrade()
    async with make_client(proxy, connection_types=BOTH) as client:
        assert client.connection_type is LONG_POLLING


@pytest.mark.needs("one_path", "long_polling")
async def test_no_such_path(server: Server) -> None:
    """Scenario 8: where no Bayeux server answers, the HTTP status says so."""
    client = Client(f"http://127.0.0.1:{server.port}/nowhere", LONG_POLLING)
    with pytest.raises(ClientError) as caught:
        await client.open()
    assert isinstance(caught.value.__cause__, TransportError)
    assert caught.value.__cause__.http_status in (404, 405)


@pytest.mark.needs("websocket")
async def test_server_comes_later(own_server: Server, make_client: MakeClient) -> None:
    """Scenario 11: a server that is down when the client opens disables no transport."""
    await own_server.kill()
    client = make_client(own_server, connection_types=BOTH)
    states = States(client)
    opening = asyncio.create_task(client.open())
    await states.until(lambda: states.names.count("REHANDSHAKING") >= 3)
    await own_server.start()
    await opening
    assert client.connection_type is WEBSOCKET


async def test_handshake_fields_asked_anew(server: Server, make_client: MakeClient) -> None:
    """Scenarios 18 (starred) and 6: every handshake asks for the user's fields again."""
    asked: list[int] = []

    async def fields() -> dict[str, Any]:
        asked.append(len(asked))
        return {"ext": {"attempt": len(asked)}}

    async with make_client(server, handshake_fields=fields) as client:
        states = States(client)
        first = client.client_id
        await server.control("forget", client_id=first)
        await states.reach(ClientState.CONNECTED)
        assert client.client_id not in (None, first)
        assert asked == [0, 1]
        assert (await server.counters())["handshakes"] == 2


async def test_opened_twice(server: Server, make_client: MakeClient) -> None:
    """Scenario 20: a second `open` is refused, and does no harm."""
    async with make_client(server) as client:
        session = client.client_id
        with pytest.raises(ClientInvalidOperation):
            await client.open()
        assert client.client_id == session
        assert (await server.counters())["handshakes"] == 1


async def test_closed_and_opened_again(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 29 (starred): the same client has another session after `close`."""
    client = make_client(server)
    sessions: list[str | None] = []
    for number in range(3):
        await client.open()
        sessions.append(client.client_id)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await client.publish(channel, number)
        assert data_of(await seen.count(1)) == [number]
        await client.close()
        assert seen.completed
    assert len(set(sessions)) == 3
    assert not set(sessions) & set(await server.sessions())


async def test_closed_while_opening(
    server: Server, make_client: MakeClient, start_proxy: StartProxy
) -> None:
    """Scenario 19: `close` straight after `open` began; nothing is left behind."""
    proxy = await start_proxy(server)
    proxy.replies.stall()
    client = make_client(proxy)
    opening = asyncio.create_task(client.open())
    await eventually(lambda: proxy.accepted)
    await client.close()
    with pytest.raises(ClientInvalidOperation):
        await opening
    assert client.closed


async def test_unanswered_opening(own_server: Server, make_client: MakeClient) -> None:
    """Scenario 22: a server that accepts connections and says nothing: `connection_timeout`."""
    own_server.pause()
    client = make_client(own_server, connection_timeout=0.6, max_network_delay=0.25)
    began = time.monotonic()
    with pytest.raises(TransportTimeoutError):
        await client.open()
    assert 0.5 < time.monotonic() - began < 8.0
    own_server.unpause()


@pytest.mark.needs("long_polling", "cookies")
async def test_cookies(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenarios 24 and 42: the cookie that binds a session is kept, for an IP host too; without
    it the session is a stranger's."""
    async with make_client(server) as client:
        await client.publish(channel, "with the cookie")
        async with aiohttp.ClientSession() as stranger:
            stolen = {"channel": channel, "data": 1, "id": "1", "clientId": client.client_id}
            async with stranger.post(server.url, json=[stolen]) as response:
                (reply,) = await response.json()
        assert reply["successful"] is False
        assert reply["error"].startswith("402")
        await client.publish(channel, "still there")
