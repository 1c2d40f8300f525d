"""What a client tells of its buffers: counts at all times, statistics, and the log."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import pytest
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rx_cometd import ClientInvalidOperation, Overflow
from rx_cometd.operators import bounded_buffer, conflate, map_async, to_async_iterable
from tests.conformance.observing import Seen, confirmed, eventually
from tests.integration.flow_control.feeding import ALL, EMBEDDED, Feed, Watch, number_of, only

if TYPE_CHECKING:
    from rx_cometd.messages import Event
    from tests.conformance.serving import Server
    from tests.integration.flow_control.conftest import MakeClient

BOUND: Final = 10


@only(ALL)
async def test_pending_count_is_the_sum_of_all_buffers(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    gate = asyncio.Event()
    scheduler = TestScheduler()

    async def work(message: Event) -> Event:
        await gate.wait()
        return message

    def check(_: object = None) -> None:
        count = watch.delivered
        assert buffered.pending_count == iterator.pending_count == count
        # Of the others, one has three at work, one only keeps the latest, one is the pull view's.
        assert client.pending_count == count + max(count - 3, 0) + 1 + count + count

    async with make_client(server, max_pending_count=0) as client:
        source = client.channel(channel)
        buffered = source.pipe(bounded_buffer(scheduler=scheduler))
        buffering = Seen(buffered)
        working = Seen(source.pipe(map_async(work, max_concurrency=3)))
        latest = Seen(source.pipe(conflate(scheduler=scheduler)))
        iterator = aiter(source.pipe(to_async_iterable()))
        await client.subscribe(channel)
        watch = Watch(client, channel)
        checked = Seen(client.channel(channel).pipe(ops.do_action(check)))
        assert client.pending_count == 0
        await Feed(server, channel).publish(100)
        await watch.until_delivered(100)
        assert checked.error is None
        assert client.pending_count == 100 + 97 + 1 + 100 + 100

        working.dispose()
        assert client.pending_count == 100 + 1 + 100 + 100
        latest.dispose()
        buffering.dispose()
        assert client.pending_count == 100 + 100
        await iterator.aclose()
        assert (client.pending_count, client.has_pending_messages) == (100, True)
    # The client is closed. The pull view is drained first.
    assert client.pending_count == 100
    received = [number_of(message) async for message in client]
    assert received == list(range(100))
    assert (client.pending_count, client.has_pending_messages) == (0, False)
    with pytest.raises(ClientInvalidOperation):
        await client.receive()


@only(ALL)
async def test_statistics_add_up(server: Server, make_client: MakeClient, channel: str) -> None:
    """Drops of every buffer of the client, since it was made, whatever became of the buffers."""
    told: list[int] = []

    def count(_: object, dropped: int) -> None:
        told.append(dropped)

    async with make_client(server, acknowledged=False) as client:
        source = client.channel(channel)
        iterators = [
            aiter(source.pipe(to_async_iterable(bound, policy, on_overflow=count)))
            for bound, policy in (
                (BOUND, Overflow.DROP_OLDEST),
                (2 * BOUND, Overflow.DROP_NEWEST),
                (BOUND, Overflow.CONFLATE),
                (BOUND, Overflow.ERROR),
            )
        ]
        watch = Watch(client, channel)
        await confirmed(client, channel)
        await Feed(server, channel).publish(100)
        await watch.until_delivered(100)
        # All are of one channel: from the 11th on only the latest is kept.
        expected = 90 + 80 + 99 + 1
        assert client.statistics().drops == len(told) == expected
        assert client.pending_count == 10 + 20 + 1 + 10
        for iterator in iterators:
            await iterator.aclose()
        assert client.statistics().drops == expected
    await client.open()
    assert client.statistics().drops == expected


@only(EMBEDDED)
async def test_first_drop_is_logged_and_then_one_each_second(
    server: Server, make_client: MakeClient, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "rx_cometd.operators")

    def lines() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.name == "rx_cometd.operators"]

    async with make_client(server, acknowledged=False) as client:
        operator = to_async_iterable(BOUND, Overflow.DROP_OLDEST)
        messages = aiter(client.channel(channel).pipe(operator))
        watch = Watch(client, channel)
        await confirmed(client, channel)
        feed = Feed(server, channel)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await feed.publish(BOUND)
        await watch.until_delivered(feed.published)
        assert lines() == []
        await feed.publish(1)
        await watch.until_delivered(feed.published)
        assert lines() == [_line(1)]

        counts: list[int] = []  # after each round

        async def drop_more() -> bool:
            await feed.publish(20)
            await watch.until_delivered(feed.published)
            counts.append(client.statistics().drops)
            return len(lines()) > 1

        await eventually(drop_more)
        assert 1.0 <= loop.time() - begun < 30.0
        before = counts[-2] if len(counts) > 1 else 1
        assert lines()[1:] in [[_line(count)] for count in range(before + 1, counts[-1] + 1)]
        assert messages.pending_count == BOUND


def _line(count: int) -> str:
    return (
        f"a consumer is too slow: {count} messages dropped so far "
        f"(max_pending_count={BOUND}, DROP_OLDEST)"
    )
