"""Cancelling whoever waits: no message is taken and lost, and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import pytest

from rx_cometd import Overflow
from rx_cometd.operators import map_async, to_async_iterable
from tests.conformance.observing import Seen, confirmed, eventually
from tests.integration.flow_control.feeding import ALL, Feed, number_of, only

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from rx_cometd import Client
    from rx_cometd.messages import Event
    from tests.conformance.serving import Server
    from tests.integration.flow_control.conftest import MakeClient

COUNT: Final = 600
BOUND: Final = 10


class Way(Protocol):
    """A way to wait for the next message, made for a client and a channel."""

    async def __call__(self, client: Client, channel: str, /) -> Callable[[], Awaitable[Event]]: ...


async def by_receive(client: Client, channel: str) -> Callable[[], Awaitable[Event]]:
    await client.subscribe(channel)
    return client.receive


async def by_async_for(client: Client, channel: str) -> Callable[[], Awaitable[Event]]:
    await client.subscribe(channel)

    async def take() -> Event:
        async for message in client:
            return message
        raise AssertionError

    return take


async def by_iterable(client: Client, channel: str) -> Callable[[], Awaitable[Event]]:
    iterator: AsyncIterator[Event] = aiter(client.channel(channel).pipe(to_async_iterable(0)))
    await confirmed(client, channel)
    return lambda: anext(iterator)


@only(ALL)
@pytest.mark.parametrize("way", [by_receive, by_async_for, by_iterable])
async def test_none_is_taken_and_lost(
    server: Server, make_client: MakeClient, channel: str, way: Way, nothing_left: None
) -> None:
    """Waits are cancelled over and over, most of them while messages come in."""
    received: list[int] = []
    cancelled = 0
    async with make_client(server, max_pending_count=0) as client:
        take = await way(client, channel)
        feed = Feed(server, channel, burst=7)

        async def consume() -> None:
            # Nothing awaited between taking and keeping: a loss would be the library's.
            while True:
                received.append(number_of(await take()))
                if len(received) % 10 == 0:
                    await asyncio.sleep(0)

        feeding = asyncio.create_task(feed.run(COUNT))
        while len(received) < COUNT:
            consumer = asyncio.create_task(consume())
            for _ in range(1 + cancelled % 5):  # turns of the loop
                await asyncio.sleep(0)
            consumer.cancel()
            await asyncio.wait([consumer])
            assert consumer.cancelled()
            cancelled += 1
        await feeding
        assert client.pending_count == 0
    assert received == list(range(COUNT))
    assert cancelled > 20


class Crew:
    """Three consumers of a channel in a task group, none of which ever gets done with anything.

    Attributes:
        started: What they began to work on.
        cancelled: What they were cancelled at.
    """

    def __init__(self, client: Client, channel: str) -> None:
        self.started: list[int] = []
        self.cancelled: list[int] = []
        self._client = client
        self._channel = channel
        self._source = client.channel(channel)

    async def iterate(self) -> None:
        async for message in self._source.pipe(to_async_iterable()):
            await self._work(message)

    async def map(self) -> None:
        await self._source.pipe(map_async(self._work, max_concurrency=2))

    async def receive(self) -> None:
        await self._client.subscribe(self._channel)
        async for message in self._client:
            await self._work(message)

    async def fail(self, server: Server) -> None:
        """Raise an error once everybody is at work, and all buffers are full."""
        await confirmed(self._client, self._channel)
        feed = Feed(server, self._channel)
        await feed.publish(2)
        await eventually(lambda: len(self.started) == 4)
        await feed.publish(98)
        # `map` has one more message at work than the others, and so one less that waits.
        await eventually(lambda: self._client.pending_count >= 3 * BOUND - 1)
        raise OSError

    async def _work(self, message: Event) -> None:
        self.started.append(number_of(message))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(number_of(message))
            raise


@only(ALL)
@pytest.mark.parametrize("overflow", [Overflow.SUSPEND, Overflow.DROP_OLDEST])
async def test_in_a_task_group(
    server: Server,
    make_client: MakeClient,
    channel: str,
    overflow: Overflow,
    nothing_left: None,
) -> None:
    """One task fails: the others are cancelled, and their buffers leave the client."""
    async with make_client(server, max_pending_count=BOUND, overflow=overflow) as client:
        crew = Crew(client, channel)

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(crew.iterate())
                group.create_task(crew.map())
                group.create_task(crew.receive())
                group.create_task(crew.fail(server))

        with pytest.raises(ExceptionGroup) as failures:
            await work()
        assert [type(error) for error in failures.value.exceptions] == [OSError]
        assert sorted(crew.cancelled) == sorted(crew.started) == [0, 0, 0, 1]

        # The pull view is the client's, and keeps what it has; the other buffers are gone.
        await client.unsubscribe(channel)
        assert client.client_id not in await server.subscribers(channel)
        pulled = client.pending_count
        received = [number_of(await client.receive()) for _ in range(pulled)]
        assert pulled >= BOUND
        assert received == sorted(set(received))
        if overflow is Overflow.SUSPEND:
            assert received == list(range(1, pulled + 1))
        # No connect is held back for what is gone.
        seen = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("publish", channel=channel, data={"n": -1})
        await seen.until(lambda: seen.items and number_of(seen.items[-1]) == -1)
