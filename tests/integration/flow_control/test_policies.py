"""What each policy promises, through the whole client, to a consumer 100 times too slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex.testing import TestScheduler

from rx_cometd import BufferOverflowError, Overflow
from rx_cometd.operators import bounded_buffer, map_async, to_async_iterable
from tests.conformance.observing import Seen, confirmed, eventually, numbers_of
from tests.integration.flow_control.feeding import ALL, Feed, Payloads, Watch, number_of, only

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

    from rx_cometd.messages import Event
    from tests.conformance.serving import Server
    from tests.integration.flow_control.conftest import MakeClient

BOUND = 40
COUNT = 3000


@only(ALL)
async def test_suspend_loses_none(
    server: Server, make_client: MakeClient, channel: str, payloads: Payloads
) -> None:
    async with make_client(server) as client:
        messages = aiter(client.channel(channel).pipe(to_async_iterable(BOUND, Overflow.SUSPEND)))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        feed = Feed(server, channel)
        feeding = asyncio.create_task(feed.run(COUNT))
        received: list[int] = []
        async for message in messages:
            received.append(number_of(message))
            assert client.pending_count == messages.pending_count == watch.delivered - len(received)
            if len(received) == COUNT:
                break
            await feed.work(len(received))
        await feeding
        statistics = client.statistics()

    assert received == list(range(COUNT))
    assert len(watch.client_ids) == 1
    assert statistics.handshakes == 1
    assert statistics.drops == 0
    assert statistics.suspensions >= 1
    # The connect that was under way when the buffer filled brought the last payload before.
    assert BOUND <= watch.peak <= BOUND + payloads.largest
    assert payloads.received == COUNT


@only(ALL)
async def test_suspend_bounds_what_is_pending_by_one_payload(
    server: Server, make_client: MakeClient, channel: str, payloads: Payloads
) -> None:
    """Fed no faster than it is read in the long run, the client never holds much."""
    rounds, burst = 12, 60
    async with make_client(server) as client:
        messages = aiter(client.channel(channel).pipe(to_async_iterable(BOUND, Overflow.SUSPEND)))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        feed = Feed(server, channel, burst=burst)
        received: list[int] = []
        for _ in range(rounds):
            suspensions = client.statistics().suspensions
            await feed.publish(burst)
            await eventually(lambda: client.statistics().suspensions > suspensions)  # noqa: B023
            received += numbers_of(await _take(messages, burst))

        assert received == list(range(rounds * burst))
        assert client.statistics().suspensions == rounds
        assert len(watch.client_ids) == 1
        assert payloads.largest <= burst
        assert watch.peak <= BOUND + payloads.largest


@only(ALL)
async def test_error_delivers_the_bound_and_fails(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    async with make_client(server, acknowledged=False) as client:
        messages = aiter(client.channel(channel).pipe(to_async_iterable(BOUND, Overflow.ERROR)))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        feed = Feed(server, channel)
        await feed.publish(1)
        first = await anext(messages)
        await feed.publish(COUNT - 1)  # and nobody takes any
        await watch.until_delivered(COUNT)
        assert client.pending_count == messages.pending_count == BOUND
        assert number_of(first) == 0
        assert await _take_all(messages) == list(range(1, BOUND + 1))
        assert client.pending_count == 0
        assert client.statistics().drops == 1  # the message that did not fit ended the stream
        await client.publish(channel, {"n": -1})  # the session goes on
        await watch.until_delivered(COUNT + 1)


async def _take_all(messages: AsyncIterable[Event]) -> list[int]:
    """Take what comes until the overflow."""
    taken: list[int] = []

    async def take() -> None:
        async for message in messages:
            taken.append(number_of(message))  # noqa: PERF401 - kept when it raises

    with pytest.raises(BufferOverflowError) as overflow:
        await take()
    assert overflow.value.max_pending_count == BOUND
    return taken


@only(ALL)
async def test_receive_delivers_the_bound_and_fails(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    options: dict[str, Any] = {"max_pending_count": BOUND, "overflow": Overflow.ERROR}
    async with make_client(server, acknowledged=False, **options) as client:
        await client.subscribe(channel)
        watch = Watch(client, channel)
        feed = Feed(server, channel)
        await feed.publish(COUNT)
        await watch.until_delivered(COUNT)
        assert client.pending_count == BOUND
        assert await _take_all(client) == list(range(BOUND))
        assert client.pending_count == 0


@only(ALL)
@pytest.mark.parametrize("overflow", [Overflow.DROP_OLDEST, Overflow.DROP_NEWEST])
async def test_drops_are_counted(
    server: Server, make_client: MakeClient, channel: str, overflow: Overflow
) -> None:
    told: list[tuple[int, int]] = []

    def on_overflow(message: Event, dropped: int) -> None:
        told.append((number_of(message), dropped))

    async with make_client(server, acknowledged=False) as client:
        operator = to_async_iterable(BOUND, overflow, on_overflow=on_overflow)
        messages = aiter(client.channel(channel).pipe(operator))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        feed = Feed(server, channel)
        feeding = asyncio.create_task(feed.run(COUNT))
        received: list[int] = []
        while watch.delivered < COUNT or messages.pending_count:
            received.append(number_of(await anext(messages)))
            assert client.pending_count == messages.pending_count
            assert watch.delivered == len(received) + len(told) + client.pending_count
            await feed.work(len(received))
            if not messages.pending_count:
                await watch.until_delivered(feed.published)
        await feeding
        drops = client.statistics().drops

    assert drops == len(told) == COUNT - len(received) > COUNT / 2
    assert [dropped for _, dropped in told] == list(range(1, drops + 1))
    assert sorted(received + [n for n, _ in told]) == list(range(COUNT))
    assert received == sorted(received)
    assert watch.peak == BOUND
    # What the consumer found at the end of the feed: the newest, or not even close.
    assert (received[-BOUND:] == list(range(COUNT - BOUND, COUNT))) is (
        overflow is Overflow.DROP_OLDEST
    )


@only(ALL)
async def test_conflate_gives_the_latest(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    symbols = [f"{channel}/{letter}" for letter in "abcde"]
    async with make_client(server, acknowledged=False) as client:
        operator = to_async_iterable(len(symbols), Overflow.CONFLATE)
        messages = aiter(client.channel(f"{channel}/*").pipe(operator))
        watch = Watch(client, f"{channel}/*")
        await confirmed(client, f"{channel}/*")
        feeds = {symbol: Feed(server, symbol, burst=20) for symbol in symbols}
        received: dict[str, list[int]] = {symbol: [] for symbol in symbols}

        async def take() -> None:
            message: Any = await anext(messages)
            received[message["channel"]].append(number_of(message))

        count = COUNT // len(symbols)
        for _ in range(count // 20):
            for feed in feeds.values():
                await feed.publish(20)
            await take()
        await watch.until_delivered(COUNT)
        while messages.pending_count:
            await take()
        taken = sum(map(len, received.values()))

        assert client.statistics().drops == COUNT - taken
    assert watch.peak <= len(symbols)
    for numbers in received.values():
        assert numbers[-1] == count - 1
        assert numbers == sorted(set(numbers))
    # In turns: no symbol starves while another one is busier.
    assert max(map(len, received.values())) - min(map(len, received.values())) <= 2


@only(ALL)
@pytest.mark.parametrize("acknowledged", [True, False])
async def test_default_is_never_lossy(
    target: Any, server: Server, make_client: MakeClient, channel: str, *, acknowledged: bool
) -> None:
    """Left out, the policy is SUSPEND where the server keeps the messages, ERROR elsewhere."""
    lossless = acknowledged or not target.websocket
    async with make_client(server, acknowledged=acknowledged, max_pending_count=BOUND) as client:
        await client.subscribe(channel)
        watch = Watch(client, channel)
        feed = Feed(server, channel)
        if not lossless:  # what comes in the turn in which the buffer becomes full is accepted
            await feed.publish(BOUND)
            await watch.until_delivered(BOUND)
        feeding = asyncio.create_task(feed.run(COUNT - feed.published))
        if not lossless:
            await watch.until_delivered(COUNT)
            assert await _take_all(client) == list(range(BOUND))
            assert client.statistics().suspensions == 0
        else:
            received: list[int] = []
            async for message in client:
                received.append(number_of(message))
                assert client.pending_count == watch.delivered - len(received)
                if len(received) == COUNT:
                    break
                await feed.work(len(received))
            assert received == list(range(COUNT))
            assert client.statistics().suspensions >= 1
            assert client.statistics().drops == 0
        await feeding


@only(ALL)
async def test_all_operators_suspend(
    server: Server, make_client: MakeClient, channel: str, payloads: Payloads
) -> None:
    """One client, every kind of buffer at once: none loses any, and the counts add up."""
    count = 400
    scheduler = TestScheduler()
    gate = asyncio.Event()

    async def work(message: Event) -> Event:
        await gate.wait()
        return message

    options: dict[str, Any] = {"max_pending_count": BOUND, "overflow": Overflow.SUSPEND}
    async with make_client(server, **options) as client:
        source = client.channel(channel)
        buffered = source.pipe(bounded_buffer(scheduler=scheduler))
        drained = Seen(buffered)
        worked = Seen(source.pipe(map_async(work, max_concurrency=2)))
        iterator = aiter(source.pipe(to_async_iterable()))
        await client.subscribe(channel)
        watch = Watch(client, channel)
        await Feed(server, channel).publish(count)
        await eventually(lambda: client.statistics().suspensions == 4)
        # Two messages are in work, and no longer wait.
        assert buffered.pending_count == iterator.pending_count == watch.delivered
        assert client.pending_count == 4 * watch.delivered - 2

        async def drain() -> None:
            while len(drained.items) < count:
                scheduler.advance_by(1)
                await asyncio.sleep(0)

        gate.set()
        iterated, received, *_ = await asyncio.gather(
            _take(iterator, count), _take(client, count), drain(), worked.count(count)
        )
        for messages in (iterated, received, drained.items, worked.items):
            assert numbers_of(messages) == list(range(count))
        assert client.pending_count == 0
    assert payloads.received == count


async def _take(messages: AsyncIterable[Event], count: int) -> list[Event]:
    iterator = aiter(messages)
    return [await anext(iterator) for _ in range(count)]
