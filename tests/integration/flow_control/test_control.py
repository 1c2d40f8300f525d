"""Control never queues behind data: what goes on while a buffer is full."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from rx_cometd import Client, ClientState, ConnectionType, Overflow, ProtocolError
from rx_cometd.extensions import ack
from rx_cometd.operators import to_async_iterable
from tests.conformance.embedded import EmbeddedServer
from tests.conformance.observing import Seen, confirmed, eventually
from tests.integration.flow_control.feeding import (
    ALL,
    EMBEDDED,
    LONG_POLLING,
    WEBSOCKETS,
    Feed,
    Payloads,
    Watch,
    number_of,
    only,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rx_cometd.operators.to_async_iterable import ObservableIterator
    from rx_cometd.testing import ServiceRequest
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server
    from tests.integration.flow_control.conftest import MakeClient, StartServer

BOUND: Final = 20
#: Seconds that a server takes to answer, at the very most; what is held back waits longer.
AT_ONCE: Final = 4.0
#: Seconds that a session outlives its last connect, where that is what a test is about.
LIFETIME: Final = 2.0


@asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


async def filled(
    client: Client, server: Server, channel: str, overflow: Overflow | None
) -> ObservableIterator[Any]:
    """Give an iterator that has as much pending as it takes, or more."""
    operator = to_async_iterable(BOUND, overflow, key=number_of)
    messages = aiter(client.channel(channel).pipe(operator))
    watch = Watch(client, channel)
    await confirmed(client, channel)
    feed = Feed(server, channel, burst=2 * BOUND)
    await feed.publish(2 * BOUND)
    await eventually(lambda: messages.pending_count >= BOUND)
    if overflow is not Overflow.SUSPEND:
        await watch.until_delivered(2 * BOUND)
    return messages


@only(ALL)
@pytest.mark.parametrize("overflow", list(Overflow))
async def test_requests_are_answered(
    server: Server, make_client: MakeClient, channel: str, overflow: Overflow
) -> None:
    # What is held back would be held back for this long, and nothing here waits for it.
    client = make_client(server, max_suspension=4.5, max_pending_count=BOUND)
    await client.open()
    messages = await filled(client, server, channel, overflow)
    async with within(AT_ONCE):
        assert (await client.publish(f"{channel}/other", {"n": 0}))["successful"] is True
    async with within(AT_ONCE):
        answer = await client.call("/service/echo", {"n": 1})
        assert answer["data"] == {"n": 1}
    async with within(AT_ONCE):
        await client.subscribe(f"{channel}/pulled")
    async with within(AT_ONCE):
        await client.unsubscribe(f"{channel}/pulled")
    assert messages.pending_count >= BOUND
    async with within(AT_ONCE):
        await client.close()
    assert client.pending_count == messages.pending_count


@only(EMBEDDED)
async def test_late_answers_of_services_come(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """An answer that misses the reply comes with a connect, so that is not held back then."""
    assert isinstance(server, EmbeddedServer)

    @server.bayeux.service("/service/late")
    async def answer(request: ServiceRequest) -> Any:
        await asyncio.sleep(0.1)  # the reply is out by then
        return request.data

    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        suspensions = client.statistics().suspensions
        async with within(AT_ONCE):
            assert (await client.call("/service/late", {"n": 1}))["data"] == {"n": 1}
        # The connect that was let go brought what was queued, and the next one is held back.
        assert messages.pending_count == 2 * BOUND
        connects = (await server.counters())["connects"]
        await server.control("publish", channel=channel, count=BOUND, first=2 * BOUND)
        await client.subscribe(f"{channel}/pulled")
        assert (await server.counters())["connects"] == connects
        assert client.statistics().suspensions == suspensions
        await messages.aclose()


@only(ALL)
async def test_resumes_at_half(server: Server, make_client: MakeClient, channel: str) -> None:
    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        numbers: list[int] = []
        async with within(AT_ONCE):
            while len(numbers) < 2 * BOUND:
                numbers.append(number_of(await anext(messages)))
        assert numbers == list(range(2 * BOUND))


@only(ALL)
async def test_leaving_lets_the_connect_go(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        await messages.aclose()
        assert client.pending_count == 0
        seen = Seen(client.channel(channel))
        async with within(AT_ONCE):
            await server.control("publish", channel=channel, data={"n": -1})
            await seen.until(lambda: seen.items and number_of(seen.items[-1]) == -1)


@only(WEBSOCKETS)  # and long-polling, at the same time
@pytest.mark.parametrize("told", [True, False])
async def test_sessions_outlive_stuck_consumers(
    target: Target, start_server: StartServer, channel: str, *, told: bool
) -> None:
    """Heartbeats go on: in the time that the server's advice allows, or the client's parameter."""
    option = "handshake_reconnect" if target.name == "embedded" else "handshakeReconnect"
    server = await start_server(timeout=0.3, max_interval=LIFETIME, **{option: told})
    # Where the server tells, that is what counts.
    max_suspension = 60.0 if told else LIFETIME / 2
    clients = {
        kind.value: Client(server.url, kind, extensions=[ack()], max_suspension=max_suspension)
        for kind in ConnectionType
    }
    await asyncio.gather(
        *(_outlive(client, server, f"{channel}/{kind}") for kind, client in clients.items())
    )


async def _outlive(client: Client, server: Server, channel: str) -> None:
    connects = Seen(client.meta("/meta/connect"))
    async with client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        client_id, begun = client.client_id, time.monotonic()
        await connects.count(len(connects.items) + 3)
        assert time.monotonic() - begun > LIFETIME
        assert client_id in await server.sessions()
        assert client.client_id == client_id
        assert messages.pending_count == client.pending_count == 2 * BOUND
        received = [number_of(await anext(messages)) for _ in range(2 * BOUND)]
        assert received == list(range(2 * BOUND))
        assert client.statistics().handshakes == 1


@only(WEBSOCKETS)
async def test_a_batch_that_takes_long_does_not_shorten_life(
    start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """The server counts from when it answered, not from when the client has read it all."""
    server = await start_server(timeout=0.3, max_interval=LIFETIME)
    client = make_client(server, max_suspension=0.7 * LIFETIME, json_loads=_loads_slowly)
    async with client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        client_id = client.client_id
        await server.control("publish", channel=channel, count=4 * BOUND, first=2 * BOUND)
        received = [number_of(await anext(messages)) for _ in range(BOUND)]
        await eventually(lambda: client.pending_count == 5 * BOUND)
        connects = Seen(client.meta("/meta/connect"))
        await connects.count(2)
        received += [number_of(await anext(messages)) for _ in range(5 * BOUND)]
        assert received == list(range(6 * BOUND))
        assert client.client_id == client_id


@only(WEBSOCKETS)
async def test_a_batch_that_takes_longer_than_a_session_lives(
    target: Target, start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """The server counts from when all was written, and a socket takes no more than is read."""
    server = await start_server(timeout=0.3, max_interval=LIFETIME)
    client = make_client(server, json_loads=_loads_slowly)
    async with client:
        seen = Seen(client.channel(channel))
        await confirmed(client, channel)
        client_id, count, size = client.client_id, 400, 100_000
        for first in range(0, count, 50):
            if target.name == "embedded":
                for n in range(first, first + 50):
                    data = {"n": n, "padding": "x" * size}
                    await server.control("publish", channel=channel, data=data)
            else:
                await server.control("publish", channel=channel, count=50, first=first, size=size)
        await seen.count(count)
        assert [number_of(message) for message in seen.items] == list(range(count))
        assert seen.times[-1] - seen.times[0] > LIFETIME
        connects = Seen(client.meta("/meta/connect"))
        await connects.count(2)
        assert client.client_id == client_id


def _loads_slowly(text: str | bytes) -> Any:
    """Decode as a slow machine does, or over a slow link: half a lifetime for 100 frames."""
    time.sleep(LIFETIME / 200)
    return json.loads(text)


@only(ALL)
async def test_link_lost_while_held_back(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        client_id = client.client_id
        await server.control("drop")
        received = [number_of(await anext(messages)) for _ in range(2 * BOUND)]
        assert received == list(range(2 * BOUND))
        assert client.client_id == client_id


@only(ALL)
@pytest.mark.parametrize("during_handshake", [True, False])
async def test_messages_of_the_handshake_are_kept(
    target: Target,
    start_server: StartServer,
    make_client: MakeClient,
    channel: str,
    *,
    during_handshake: bool,
) -> None:
    """The default policy knows whether the server keeps messages before the first one comes."""
    embedded = target.name == "embedded"
    option = "deliver_during_handshake" if embedded else "allowMessageDeliveryDuringHandshake"
    server = await start_server(**{option: during_handshake})
    await server.control("greet", channel=channel, count=3 * BOUND)
    client = make_client(server, max_pending_count=BOUND)
    messages = aiter(client.channel(channel).pipe(to_async_iterable()))
    received = [number_of(await anext(messages)) for _ in range(3 * BOUND)]
    assert received == list(range(3 * BOUND))


@only(LONG_POLLING)
@pytest.mark.parametrize("connect_only", [True, False])
async def test_publish_replies_bring_what_is_queued(
    target: Target,
    start_server: StartServer,
    make_client: MakeClient,
    channel: str,
    payloads: Payloads,
    *,
    connect_only: bool,
) -> None:
    """A server adds its queue to any response, unless it delivers with connects only."""
    embedded = target.name == "embedded"
    option = "meta_connect_deliver_only" if embedded else "metaConnectDeliverOnly"
    server = await start_server(**{option: connect_only})
    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        await server.control("publish", channel=channel, count=BOUND, first=2 * BOUND)
        held, received = messages.pending_count, payloads.received
        assert received < 3 * BOUND
        await client.publish(f"{channel}/other", {"n": 0})
        if connect_only:
            assert (messages.pending_count, payloads.received) == (held, received)
        else:
            assert messages.pending_count == payloads.received == 3 * BOUND


@only(WEBSOCKETS)
async def test_a_queue_stays_where_connects_deliver(
    server: Server, make_client: MakeClient, channel: str, payloads: Payloads
) -> None:
    """With the ack extension no other reply brings messages."""
    async with make_client(server, max_suspension=4.5) as client:
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        await server.control("publish", channel=channel, count=BOUND, first=2 * BOUND)
        held = messages.pending_count
        await client.publish(f"{channel}/other", {"n": 0})
        await client.publish(f"{channel}/other", {"n": 0})
        assert messages.pending_count == payloads.received == held < 3 * BOUND


@only(LONG_POLLING)
async def test_a_payload_that_is_too_large_is_told(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """The one way to lose messages with SUSPEND: the state says so, and the session goes on."""
    client = make_client(server, max_suspension=4.5, max_message_size=20_000)
    async with client:
        states = Seen(client.state_changes)
        messages = await filled(client, server, channel, Overflow.SUSPEND)
        await Feed(server, channel, burst=500).publish(500)  # queued: 35 kB and more
        async with asyncio.timeout(30):
            await _take_until_empty(messages)
            await states.until(lambda: states.items[-1].error is not None)
        assert isinstance(states.items[-1].error, ProtocolError)
        await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        assert states.items[-1].resumed
        await server.control("publish", channel=channel, data={"n": -1})
        assert number_of(await anext(messages)) == -1


async def _take_until_empty(messages: ObservableIterator[Any]) -> None:
    while messages.pending_count:
        await anext(messages)
