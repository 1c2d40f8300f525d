"""Where SUSPEND cannot work it is refused, and where the default finds itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from rx_cometd import BufferOverflowError, Client, ClientError, ConnectionType, Overflow
from rx_cometd.extensions import ack
from rx_cometd.operators import bounded_buffer, map_async, to_async_iterable
from tests.conformance.embedded import EmbeddedServer
from tests.conformance.observing import Seen, confirmed
from tests.integration.flow_control.feeding import ALL, WEBSOCKETS, Feed, Watch, number_of, only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rx_cometd.messages import Event
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server
    from tests.integration.flow_control.conftest import MakeClient

BOUND: Final = 20
EXPLANATION: Final = r"SUSPEND needs a server that keeps messages back: .* ack\(\)"


async def work(message: Event) -> Event:
    return message


async def _drain(messages: AsyncIterator[Event], into: list[int]) -> None:
    async for message in messages:
        into.append(number_of(message))  # noqa: PERF401 - kept when it raises


@only(WEBSOCKETS)
async def test_refused_at_subscribe(server: Server, make_client: MakeClient, channel: str) -> None:
    async with make_client(server, acknowledged=False) as client:
        source = client.channel(channel)
        with pytest.raises(ClientError, match=EXPLANATION):
            aiter(source.pipe(to_async_iterable(overflow=Overflow.SUSPEND)))
        for operator in (
            bounded_buffer(overflow=Overflow.SUSPEND),
            map_async(work, overflow=Overflow.SUSPEND),
        ):
            seen = Seen[Any](source.pipe(operator))
            assert isinstance(seen.error, ClientError)
        # Nothing was subscribed to, and nothing is left behind.
        await client.publish(f"{channel}/other", {})
        assert client.subscriptions == frozenset()
        assert client.pending_count == 0


@only(WEBSOCKETS)
async def test_pull_view_refused_at_subscribe(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    async with make_client(server, acknowledged=False, overflow=Overflow.SUSPEND) as client:
        with pytest.raises(ClientError, match=EXPLANATION):
            await client.subscribe(channel)


@only(ALL)
async def test_accepted_where_the_server_keeps_messages(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    async with make_client(server) as client:
        source = client.channel(channel)
        messages = aiter(source.pipe(to_async_iterable(overflow=Overflow.SUSPEND)))
        buffered = Seen(source.pipe(bounded_buffer(overflow=Overflow.SUSPEND)))
        await confirmed(client, channel)
        await Feed(server, channel).publish(1)
        assert number_of(await anext(messages)) == number_of((await buffered.count(1))[0]) == 0


@only(WEBSOCKETS)
async def test_refused_once_it_is_known(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Subscribed to before there is a session: what fits is delivered, then comes the error."""
    client = make_client(server, acknowledged=False)
    messages = aiter(client.channel(channel).pipe(to_async_iterable(BOUND, Overflow.SUSPEND)))
    watch = Watch(client, channel)
    await confirmed(client, channel)
    await Feed(server, channel).publish(2 * BOUND)
    await watch.until_delivered(2 * BOUND)
    received: list[int] = []
    with pytest.raises(ClientError, match=EXPLANATION):
        await _drain(messages, received)
    assert received == list(range(BOUND))
    assert client.statistics().suspensions == 0


async def test_refused_by_a_server_without_the_extension() -> None:
    async with (
        EmbeddedServer(ack=False) as server,
        Client(server.url, ConnectionType.WEBSOCKET, extensions=[ack()]) as client,
    ):
        with pytest.raises(ClientError, match=EXPLANATION):
            aiter(client.channel("/a").pipe(to_async_iterable(overflow=Overflow.SUSPEND)))


@only(ALL)
async def test_unbounded_is_never_refused(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Without a bound there is nothing to suspend for."""
    async with make_client(server, acknowledged=False) as client:
        messages = aiter(client.channel(channel).pipe(to_async_iterable(0, Overflow.SUSPEND)))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        await Feed(server, channel).publish(500)
        await watch.until_delivered(500)
        assert messages.pending_count == client.pending_count == 500
        assert client.statistics().suspensions == 0


async def test_default_follows_the_transport() -> None:
    """One pipe in two sessions of a client: ERROR over one transport, SUSPEND over the other."""
    async with EmbeddedServer() as server:
        kinds = [ConnectionType.WEBSOCKET, ConnectionType.LONG_POLLING]
        client = Client(server.url, kinds, max_pending_count=BOUND)
        pipe = client.channel("/a").pipe(to_async_iterable())

        async with client:
            messages = aiter(pipe)
            watch = Watch(client, "/a")
            await confirmed(client, "/a")
            feed = Feed(server, "/a")
            for filled in (BOUND, 2 * BOUND):  # what comes in one turn would be accepted
                await feed.publish(BOUND)
                await watch.until_delivered(filled)
            received: list[int] = []
            with pytest.raises(BufferOverflowError):
                await _drain(messages, received)
            assert received == list(range(BOUND))
            assert client.statistics().suspensions == 0

        server.bayeux.faults.refuse_websocket()
        async with client:
            assert client.connection_type is ConnectionType.LONG_POLLING
            messages = aiter(pipe)
            await confirmed(client, "/a")
            await Feed(server, "/a", burst=2 * BOUND).publish(2 * BOUND)
            received = [number_of(await anext(messages)) for _ in range(2 * BOUND)]
            assert received == list(range(2 * BOUND))
            assert client.statistics().suspensions >= 1
            assert client.statistics().drops == 1
