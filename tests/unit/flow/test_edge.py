"""The loop's scheduler: immediate work at once, timed work on the loop, from any thread."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import reactivex as rx
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler import ThreadPoolScheduler
from reactivex.subject import Subject

from rx_cometd._flow.edge import LoopScheduler
from rx_cometd.operators import (
    ack_after,
    bounded_buffer,
    buffer_bounded,
    map_async,
    rate_limit,
    retry_with_backoff,
    switch_map_async,
    to_async_iterable,
)
from tests.integration.client_driver import Recorder
from tests.unit.operators.flows import LocalFlow, with_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import ThreadPoolExecutor

pytestmark = pytest.mark.usefixtures("nothing_left")


def note(done: list[str], what: str, *_: object) -> None:
    done.append(what)


def call(function: Callable[[], None], *_: object) -> None:
    function()


def forever(_: object) -> bool:
    return True


def test_immediate_work_is_done_at_once_and_in_turn() -> None:
    async def main() -> list[str]:
        done: list[str] = []
        scheduler: Any = LoopScheduler(asyncio.get_running_loop())

        def outer(inner: Any, _: object = None) -> None:
            assert inner is scheduler
            inner.schedule(partial(note, done, "inner"))
            done.append("outer")

        scheduler.schedule(outer)
        return done

    assert asyncio.run(main()) == ["outer", "inner"]


async def test_timed_work_is_done_by_the_loop_even_without_a_delay() -> None:
    scheduler: Any = LoopScheduler(asyncio.get_running_loop())
    done: list[str] = []
    scheduler.schedule_relative(0, partial(note, done, "soon"))
    scheduler.schedule_absolute(scheduler.now - timedelta(1), partial(note, done, "past"))
    disposed = scheduler.schedule_relative(0.001, partial(note, done, "never"))
    disposed.dispose()
    late = asyncio.Event()
    scheduler.schedule_relative(0.002, partial(call, late.set))
    assert done == []
    await late.wait()
    assert done == ["soon", "past"]


# What a payload brings: its messages are emitted one after the other, without a turn between.
bursts = st.lists(st.lists(st.integers(0, 3), max_size=8), max_size=4)
TAKE_ONE = cast("Any", ops.take(1))
DO_AGAIN = cast("Any", ops.do_while(forever))
OPERATORS: list[Any] = [
    ops.retry(),
    ops.retry(3),
    rx.compose(ops.take(1), ops.repeat()),
    rx.compose(ops.take(2), ops.repeat(3)),
    rx.compose(ops.take(2), ops.concat(rx.of(-1)), ops.repeat(2)),
    ops.catch(rx.of(-1)),
    rx.compose(TAKE_ONE, DO_AGAIN),
    ops.start_with(-1),
]


def _parse(number: int) -> int:
    if number == 2:
        raise ValueError(number)
    return number


@given(bursts=bursts, operator=st.sampled_from(OPERATORS))
def test_resubscribing_loses_nothing_of_a_payload(bursts: list[list[int]], operator: Any) -> None:
    def play(make: Callable[[Subject[int]], Observable[int]]) -> list[Any]:
        source = Subject[int]()
        seen: list[Any] = []
        piped: Any = make(source).pipe(ops.map(_parse), operator)

        def fail(error: Exception) -> None:
            seen.append(repr(error))

        piped.subscribe(seen.append, fail, partial(seen.append, "|"))
        for burst in bursts:
            for number in burst:
                source.on_next(number)
        return seen

    async def as_channel() -> list[Any]:
        return play(lambda source: with_flow(source, LocalFlow()))

    assert asyncio.run(as_channel()) == play(lambda source: source)


async def test_retry_gets_the_rest_of_the_payload_when_awaited_too() -> None:
    source = Subject[int]()
    channel = with_flow(source, LocalFlow())

    async def collect() -> list[int]:
        return await channel.pipe(ops.map(_parse), ops.retry(), ops.take(4), ops.to_list())

    collecting = asyncio.ensure_future(collect())
    await asyncio.sleep(0)
    for number in (0, 1, 2, 3, 2, 0):
        source.on_next(number)
    assert await collecting == [0, 1, 3, 0]


async def test_a_buffer_decouples_from_what_is_subscribed_on_the_loop() -> None:
    source = Subject[int]()
    seen = Recorder(with_flow(source, LocalFlow()).pipe(bounded_buffer()))
    source.on_next(1)
    assert seen.items == []  # not within the source's own delivery
    await seen.count(1)


@pytest.fixture
def pool() -> Generator[ThreadPoolScheduler]:
    scheduler = ThreadPoolScheduler(1)
    yield scheduler
    executor: ThreadPoolExecutor = scheduler.executor
    executor.shutdown()


async def test_timed_work_from_another_thread_is_handed_over(pool: ThreadPoolScheduler) -> None:
    asyncio.get_running_loop().set_debug(True)
    source = Subject[int]()
    threads: list[int] = []
    channel = with_flow(source, LocalFlow()).pipe(
        ops.observe_on(pool),
        ops.debounce(0.01),
        ops.do_action(lambda _: threads.append(threading.get_ident())),
    )
    seen = Recorder(channel)
    source.on_next(1)
    async with asyncio.timeout(30):  # unnoticed by the loop, it would take as long as its sleep
        await seen.count(1)
    assert threads == [threading.get_ident()]
    seen.subscription.dispose()


@pytest.mark.parametrize("kind", ["iterable", "map_async", "bounded_buffer"])
async def test_a_buffer_fed_by_a_thread_wakes_at_once(kind: str, pool: ThreadPoolScheduler) -> None:
    asyncio.get_running_loop().set_debug(True)
    source = Subject[int]()
    channel = with_flow(source, LocalFlow()).pipe(ops.observe_on(pool))

    async def same(number: int) -> int:
        return number

    piped: Any = channel
    if kind == "map_async":
        piped = channel.pipe(map_async(same))
    elif kind == "bounded_buffer":
        piped = channel.pipe(bounded_buffer())
    items = aiter(piped.pipe(to_async_iterable()))
    async with asyncio.timeout(30):
        for number in range(3):
            source.on_next(number)
            assert await anext(items) == number
        source.on_completed()
        with pytest.raises(StopAsyncIteration):
            await anext(items)


async def test_what_is_handed_over_may_be_taken_back() -> None:
    loop = asyncio.get_running_loop()
    scheduler: Any = LoopScheduler(loop)
    done: list[str] = []

    def elsewhere() -> None:
        scheduler.schedule_relative(0.1, partial(note, done, "disposed")).dispose()
        scheduler.schedule(partial(note, done, "kept"))

    await asyncio.to_thread(elsewhere)
    late = asyncio.Event()
    scheduler.schedule_relative(0.15, partial(call, late.set))
    await late.wait()
    assert done == ["kept"]


# Delivering


async def same(item: int) -> int:
    await asyncio.sleep(0)
    return item


EDGES: dict[str, Callable[[], Callable[[Observable[int]], Observable[Any]]]] = {
    "ack_after": lambda: ack_after(same),
    "bounded_buffer": bounded_buffer,
    "buffer_bounded": lambda: buffer_bounded(1),
    "map_async": lambda: map_async(same),
    "rate_limit": lambda: rate_limit(10, 60.0),
    "retry_with_backoff": retry_with_backoff,
    "switch_map_async": lambda: switch_map_async(same),
}


@pytest.mark.parametrize("name", EDGES)
async def test_an_observer_that_meets_a_cancellation_is_told_and_left(name: str) -> None:
    """As with ``task.result()`` of a task that was cancelled: nobody cancels the operator."""
    source, calls = Subject[int](), list[Any]()
    errors: list[BaseException] = []
    told = asyncio.Event()

    def on_next(item: Any) -> None:
        calls.append(item)
        raise asyncio.CancelledError

    def on_error(error: BaseException) -> None:
        errors.append(error)
        told.set()

    source.pipe(EDGES[name]()).subscribe(on_next, on_error)
    source.on_next(1)
    async with asyncio.timeout(30):
        await told.wait()
    source.on_next(2)
    await asyncio.sleep(0)
    assert [type(error) for error in errors] == [asyncio.CancelledError]
    assert len(calls) == 1
    assert not source.observers
