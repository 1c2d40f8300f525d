"""`to_async_iterable`: virtual time upstream, the event loop downstream."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow
from rx_cometd.exceptions import BufferOverflowError, ClientError
from rx_cometd.operators import to_async_iterable
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import play, ticks, turns

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


async def test_items_in_virtual_time_and_the_end_of_the_subscription() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(5, 1), on_next(6, 2), on_next(7, 3), on_completed(20)
    )
    received: list[tuple[float, int]] = []

    async def consume() -> None:
        async for item in source.pipe(to_async_iterable()):
            received.append((scheduler.clock, item))
            await ticks(scheduler, 4)

    async with asyncio.TaskGroup() as group:
        group.create_task(consume())
        await turns()
        await play(scheduler, 25)
    assert received == [(5, 1), (9, 2), (13, 3)]
    assert source.subscriptions == [ReactiveTest.subscribe(0, 20)]


async def test_error_of_the_source_is_raised_after_what_is_pending() -> None:
    failing = reactivex.concat(reactivex.of(1, 2), reactivex.throw(ValueError("lost")))
    iterator = aiter(failing.pipe(to_async_iterable()))
    assert [await anext(iterator), await anext(iterator)] == [1, 2]
    with pytest.raises(ValueError, match="lost"):
        await anext(iterator)


async def test_iterator_is_exhausted_after_its_error() -> None:
    iterator = aiter(reactivex.throw(ValueError()).pipe(to_async_iterable()))
    with pytest.raises(ValueError):
        await anext(iterator)
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


async def test_overflow_policies_apply() -> None:
    source = reactivex.from_iterable(range(10))
    kept = [n async for n in source.pipe(to_async_iterable(3, Overflow.DROP_OLDEST))]
    assert kept == [7, 8, 9]
    iterator = aiter(source.pipe(to_async_iterable(2)))
    assert [await anext(iterator), await anext(iterator)] == [0, 1]
    with pytest.raises(BufferOverflowError):
        await anext(iterator)


async def test_conflation_by_key_tells_what_was_lost() -> None:
    lost: list[str] = []
    quotes = reactivex.of("a1", "b1", "a2", "a3").pipe(
        to_async_iterable(
            2,
            Overflow.CONFLATE,
            key=lambda quote: quote[0],
            on_overflow=lambda quote, _: lost.append(quote),
        )
    )
    assert [quote async for quote in quotes] == ["a3", "b1"]
    assert lost == ["a1", "a2"]


async def test_each_iteration_subscribes_anew() -> None:
    iterable = reactivex.of(1, 2).pipe(to_async_iterable())
    assert [item async for item in iterable] == [1, 2]
    assert [item async for item in iterable] == [1, 2]


async def test_suspends_its_client_until_half_empty() -> None:
    flow = LocalFlow(4)
    source = Subject[int]()
    iterator = aiter(with_flow(source, flow).pipe(to_async_iterable()))
    for item in range(5):
        source.on_next(item)
    assert flow.suspended
    assert iterator.pending_count == flow.pending_count == 5
    received = [await anext(iterator) for _ in range(3)]
    assert received == [0, 1, 2]
    assert not flow.suspended
    await iterator.aclose()
    assert flow.attached == []


async def test_suspend_is_refused_when_iteration_begins() -> None:
    iterable = Subject[int]().pipe(to_async_iterable(overflow=Overflow.SUSPEND))
    with pytest.raises(ClientError):
        aiter(iterable)


async def test_time_operators_upstream_start_no_threads() -> None:
    threads = set(threading.enumerate())
    ticking = reactivex.interval(0.001).pipe(ops.take(2), to_async_iterable())
    async for _ in ticking:
        assert not set(threading.enumerate()) - threads


# Leaving the loop


async def test_break_disposes_at_once() -> None:
    source = Subject[int]()
    asyncio.get_running_loop().call_soon(source.on_next, 1)
    async for _ in source.pipe(to_async_iterable()):
        assert len(source.observers) == 1
        break
    assert source.observers == []


async def test_exception_in_the_body_disposes_at_once() -> None:
    source = Subject[int]()
    asyncio.get_running_loop().call_soon(source.on_next, 1)
    try:
        async for _ in source.pipe(to_async_iterable()):
            raise ZeroDivisionError  # noqa: TRY301
    except ZeroDivisionError:
        # While the exception lives, with its traceback and the frames that it keeps.
        assert source.observers == []


@pytest.mark.parametrize("waiting", [True, False])
async def test_cancellation_disposes_at_once(waiting: bool) -> None:
    source = Subject[int]()
    cancellations: list[BaseException] = []

    async def consume() -> None:
        try:
            async for _ in source.pipe(to_async_iterable()):
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError as error:
            cancellations.append(error)  # keeps its traceback, and so its frames
            assert source.observers == []
            raise

    task = asyncio.create_task(consume())
    await turns()
    if not waiting:
        source.on_next(1)
        await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(cancellations) == 1
    assert source.observers == []


async def test_failing_sibling_in_a_task_group_ends_the_subscription() -> None:
    source = Subject[int]()

    async def consume() -> None:
        async for _ in source.pipe(to_async_iterable()):
            pass

    async def fail() -> None:
        await turns()
        raise ZeroDivisionError

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            group.create_task(fail())

    with pytest.raises(ExceptionGroup) as raised:
        await both()
    assert raised.group_contains(ZeroDivisionError)
    assert source.observers == []


async def test_aclose_and_async_with() -> None:
    source = Subject[int]()
    async with aiter(source.pipe(to_async_iterable())) as iterator:
        source.on_next(1)
        async for _ in iterator:
            break
        assert len(source.observers) == 1  # still held
    assert source.observers == []
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    await iterator.aclose()


async def test_aclosing() -> None:
    source = Subject[int]()
    async with contextlib.aclosing(aiter(source.pipe(to_async_iterable()))) as iterator:
        source.on_next(1)
        assert await anext(iterator) == 1
    assert source.observers == []


async def test_aclose_wakes_those_who_wait() -> None:
    source = Subject[int]()
    iterator = aiter(source.pipe(to_async_iterable()))
    waiting = asyncio.create_task(_next(iterator))
    await turns()
    await iterator.aclose()
    assert await waiting == "end"


async def _next(iterator: Any) -> Any:
    try:
        return await anext(iterator)
    except StopAsyncIteration:
        return "end"


async def test_anext_of_a_temporary_iterator() -> None:
    source = Subject[int]()
    asyncio.get_running_loop().call_soon(source.on_next, 1)
    assert await anext(aiter(source.pipe(to_async_iterable()))) == 1
    assert source.observers == []


async def test_iterator_collected_on_another_thread() -> None:
    source = Subject[int]()
    cycle: list[Any] = [aiter(source.pipe(to_async_iterable()))]
    cycle.append(cycle)
    del cycle
    await asyncio.to_thread(gc.collect)
    await turns()
    assert source.observers == []


def test_iterator_that_outlives_its_loop() -> None:
    source = Subject[int]()

    async def main() -> Any:
        return aiter(source.pipe(to_async_iterable()))

    iterator = asyncio.run(main())
    del iterator  # a RuntimeError of the closed loop would be unraisable, so an error here
    gc.collect()


# Cancellation loses nothing


@given(
    cancels=st.lists(st.booleans(), min_size=1, max_size=20),
    gaps=st.lists(st.integers(0, 3), min_size=20, max_size=20),
)
def test_no_item_is_lost_however_waiting_is_cancelled(cancels: list[bool], gaps: list[int]) -> None:
    async def main() -> None:
        source = Subject[int]()
        iterator = aiter(source.pipe(to_async_iterable()))
        received: list[int] = []
        for item, (cancel, gap) in enumerate(zip(cancels, gaps, strict=False)):
            receiving = asyncio.ensure_future(_next(iterator))
            await turns(gap)
            source.on_next(item)
            await turns(gap % 2)
            if cancel:
                receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                received.append(await receiving)
        while iterator.pending_count:
            received.append(await anext(iterator))
        assert received == list(range(min(len(cancels), len(gaps))))

    asyncio.run(main())


async def test_timeout_leaves_the_iterator_usable() -> None:
    source = Subject[int]()
    iterator = aiter(source.pipe(to_async_iterable()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(iterator)
    source.on_next(1)
    assert await anext(iterator) == 1


async def test_several_tasks_share_one_iterator() -> None:
    source = Subject[int]()
    iterator = aiter(source.pipe(to_async_iterable()))
    tasks = [asyncio.create_task(_next(iterator)) for _ in range(4)]
    await turns()
    source.on_next(1)
    source.on_next(2)
    tasks[0].cancel()  # woken and cancelled in one turn: another one gets the item
    await turns()
    assert sorted(task.result() for task in tasks[1:3]) == [1, 2]
    source.on_completed()
    assert await tasks[3] == "end"


# Tracking what was processed


async def test_item_is_processed_when_the_next_is_asked_for() -> None:
    source = Subject[int]()
    done: list[int] = []
    iterator = aiter(source.pipe(to_async_iterable()))
    for item in range(3):
        with Delivery(lambda item=item: done.append(item)):  # type: ignore[misc]
            source.on_next(item)
    source.on_completed()
    await anext(iterator)
    assert done == []
    await anext(iterator)
    assert done == [0]
    await anext(iterator)
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    assert done == [0, 1, 2]


async def test_item_is_not_processed_if_the_loop_was_left() -> None:
    source = Subject[int]()
    done: list[int] = []
    iterator = aiter(source.pipe(to_async_iterable()))
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    async for _ in iterator:
        break
    await iterator.aclose()
    assert done == []


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    async def coroutine_function(*_: object) -> None: ...

    with pytest.raises(TypeError, match="on_overflow"):
        to_async_iterable(on_overflow=coroutine_function)
    with pytest.raises(TypeError, match="key"):
        to_async_iterable(key=coroutine_function)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="overflow"):
        to_async_iterable(1, 2)  # type: ignore[arg-type]


def test_without_a_loop_there_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        aiter(reactivex.of(1).pipe(to_async_iterable()))
