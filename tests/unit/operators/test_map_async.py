"""`map_async`, in virtual time."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd.exceptions import BufferOverflowError, ClientError
from rx_cometd.operators import bounded_buffer, map_async
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import play, seen, ticks, turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


async def run(durations: list[int], until: int = 60, **options: Any) -> list[tuple[float, Any]]:
    """Map items that come at ticks 1, 2, ... and take so long each; a negative one fails."""
    scheduler = TestScheduler()
    observer = scheduler.create_observer()
    source = scheduler.create_hot_observable(
        *(on_next(at, at) for at in range(1, len(durations) + 1)),
        on_completed(len(durations) + 1),
    )

    async def work(item: int) -> int:
        duration = durations[item - 1]
        await ticks(scheduler, abs(duration))
        if duration < 0:
            raise ZeroDivisionError
        return item

    source.pipe(map_async(work, **options)).subscribe(observer, scheduler=scheduler)
    await play(scheduler, until)
    return seen(observer)


async def test_one_at_a_time() -> None:
    assert await run([10, 5, 1]) == [(11, 1), (16, 2), (17, 3), (17, "|")]


async def test_two_at_a_time_in_the_order_of_the_source() -> None:
    assert await run([10, 5, 1], max_concurrency=2) == [(11, 1), (11, 2), (12, 3), (12, "|")]


async def test_two_at_a_time_as_they_are_done() -> None:
    assert await run([10, 5, 1], max_concurrency=2, ordered=False) == [
        (7, 2),
        (8, 3),
        (11, 1),
        (11, "|"),
    ]


async def test_an_error_takes_its_turn() -> None:
    assert await run([10, -1, 20, 1], max_concurrency=4) == [(11, 1), (11, ZeroDivisionError)]


async def test_the_first_error_in_order_is_told() -> None:
    assert await run([-10, -1, 1], max_concurrency=3) == [(11, ZeroDivisionError)]


async def test_an_unordered_error_comes_at_once() -> None:
    assert await run([10, -1, 1], max_concurrency=3, ordered=False) == [(3, ZeroDivisionError)]


async def test_source_ends_before_the_works() -> None:
    assert await run([3], max_concurrency=3) == [(4, 1), (4, "|")]
    assert await run([]) == [(1, "|")]


async def test_overflow_comes_after_what_was_pending() -> None:
    assert await run([10, 1, 1, 1, 1], max_pending_count=2) == [
        (11, 1),
        (12, 2),
        (13, 3),
        (13, BufferOverflowError),
    ]


async def test_overflow_policies_apply() -> None:
    assert await run([10, 1, 1, 1, 1], max_pending_count=1, overflow=Overflow.DROP_OLDEST) == [
        (11, 1),
        (12, 5),
        (12, "|"),
    ]


async def test_error_of_the_source_waits_for_the_works() -> None:
    scheduler = TestScheduler()
    observer = scheduler.create_observer()
    source = scheduler.create_hot_observable(on_next(1, 1), on_error(2, ValueError()))

    async def work(item: int) -> int:
        await ticks(scheduler, 5)
        return item

    source.pipe(map_async(work)).subscribe(observer, scheduler=scheduler)
    await play(scheduler, 10)
    assert seen(observer) == [(6, 1), (6, ValueError)]


@given(
    durations=st.lists(st.integers(0, 6), max_size=12),
    concurrency=st.integers(1, 4),
    ordered=st.booleans(),
)
def test_every_item_once_and_never_more_than_allowed(
    durations: list[int], concurrency: int, ordered: bool
) -> None:
    async def main() -> None:
        scheduler = TestScheduler()
        received: list[int] = []
        ended: list[str] = []
        under_way = 0

        async def work(item: int) -> int:
            nonlocal under_way
            under_way += 1
            assert under_way <= concurrency
            if durations[item]:
                await ticks(scheduler, durations[item])
            under_way -= 1
            return item

        reactivex.from_iterable(range(len(durations))).pipe(
            map_async(work, max_concurrency=concurrency, ordered=ordered)
        ).subscribe(received.append, on_completed=lambda: ended.append("|"))
        await turns()
        await play(scheduler, sum(durations) + 1)
        expected = list(range(len(durations)))
        assert (received if ordered else sorted(received)) == expected
        assert ended == ["|"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


async def test_disposal_cancels_the_works() -> None:
    cancelled: list[int] = []
    source = Subject[int]()
    flow = LocalFlow()

    async def work(item: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    subscription = with_flow(source, flow).pipe(map_async(work, max_concurrency=2)).subscribe()
    for item in range(4):
        source.on_next(item)
    await turns()
    assert flow.pending_count == 2
    subscription.dispose()
    await turns()
    assert cancelled == [0, 1]
    assert flow.attached == []
    assert source.observers == []
    assert len(asyncio.all_tasks()) == 1


async def test_disposal_from_another_thread() -> None:
    source = Subject[int]()
    subscription = source.pipe(map_async(asyncio.sleep)).subscribe()
    source.on_next(1000)
    await turns()
    await asyncio.to_thread(subscription.dispose)
    await turns()
    assert len(asyncio.all_tasks()) == 1


async def test_disposal_within_on_next_and_within_the_work() -> None:
    source = Subject[int]()
    begun: list[int] = []
    received: list[int] = []

    async def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            subscription.dispose()
            await asyncio.sleep(0)
            begun.append(-item)  # not reached: it is cancelled like any other
        return item

    source.pipe(map_async(work), ops.take(2)).subscribe(received.append)
    for item in range(5):
        source.on_next(item)
    await turns()
    assert begun == received == [0, 1]
    subscription = source.pipe(map_async(work)).subscribe(received.append)
    for item in range(5):
        source.on_next(item)
    await turns()
    assert begun == [0, 1, 0, 1, 2, 3]
    assert source.observers == []
    assert len(asyncio.all_tasks()) == 1


async def test_cancellation_that_comes_out_of_the_work_is_its_error() -> None:
    source = Subject[int]()
    errors: list[BaseException] = []

    async def work(_: int) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    source.pipe(map_async(work)).subscribe(on_error=errors.append)
    source.on_next(1)
    await turns()
    assert [type(error) for error in errors] == [asyncio.CancelledError]
    assert source.observers == []


async def test_work_that_does_not_give_in_to_cancellation_changes_nothing() -> None:
    source = Subject[int]()
    events: list[Any] = []

    async def stubborn(item: int) -> int:
        if item == 0:
            await turns(2)
            raise ZeroDivisionError
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            events.append(f"cancelled {item}")
            if item == 1:
                raise ValueError from None
        return item

    source.pipe(map_async(stubborn, max_concurrency=3)).subscribe(
        events.append, lambda error: events.append(type(error))
    )
    for item in range(3):
        source.on_next(item)
    await turns()
    assert events == [ZeroDivisionError, "cancelled 1", "cancelled 2"]
    assert len(asyncio.all_tasks()) == 1


async def test_error_behind_an_error_is_not_told() -> None:
    source = Subject[int]()
    errors: list[Any] = []
    first = asyncio.get_running_loop().create_future()

    async def work(item: int) -> int:
        if item == 0:
            return await first  # type: ignore[no-any-return]
        if item == 1:
            raise ZeroDivisionError
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        except asyncio.CancelledError:
            raise ValueError from None

    source.pipe(map_async(work, max_concurrency=3)).subscribe(on_error=errors.append)
    for item in range(3):
        source.on_next(item)
    await turns()
    assert errors == []
    first.set_result(0)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_task_that_is_never_ended_is_collected_quietly() -> None:
    loop = asyncio.new_event_loop()

    async def subscribe() -> None:
        source = Subject[int]()
        source.pipe(map_async(lambda _: loop.create_future())).subscribe()
        source.on_next(1)
        await turns()

    unraisable: list[Any] = []
    loop.set_exception_handler(lambda _, context: None)  # "Task was destroyed but it is pending"
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        loop.run_until_complete(subscribe())
        loop.close()
        gc.collect()
    finally:
        sys.unraisablehook = hook
    assert unraisable == []


def test_loop_that_ends_tells_its_observers() -> None:
    errors: list[BaseException] = []

    async def main() -> None:
        source = Subject[int]()
        source.pipe(map_async(asyncio.sleep)).subscribe(on_error=errors.append)
        source.on_next(1000)
        await turns()

    asyncio.run(main())
    assert [type(error) for error in errors] == [asyncio.CancelledError]


async def test_observer_that_raises_gets_its_error() -> None:
    source = Subject[int]()
    errors: list[Exception] = []

    async def work(item: int) -> int:
        return item

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(map_async(work)).subscribe(fail, errors.append)
    source.on_next(1)
    source.on_next(2)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []


async def test_observer_that_raises_without_on_error_is_told_to_the_loop() -> None:
    source = Subject[int]()
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))

    async def work(item: int) -> int:
        return item

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(map_async(work)).subscribe(fail)
    source.on_next(1)
    await turns()
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]
    assert source.observers == []


async def test_source_that_completes_within_on_next() -> None:
    source = Subject[int]()
    received: list[Any] = []

    async def work(item: int) -> int:
        return item

    def observe(item: int) -> None:
        source.on_completed()
        received.append(item)

    source.pipe(map_async(work)).subscribe(observe, on_completed=lambda: received.append("|"))
    source.on_next(1)
    await turns()
    assert received == [1, "|"]


async def test_work_that_never_waits_leaves_turns_to_others() -> None:
    source = Subject[int]()
    received: list[int] = []
    progress: list[int] = []

    async def work(item: int) -> int:
        return item

    source.pipe(map_async(work, max_pending_count=0)).subscribe(received.append)
    for item in range(1000):
        source.on_next(item)
    while len(received) < 1000:
        await asyncio.sleep(0)
        progress.append(len(received))
    assert len(progress) > 10
    assert received == list(range(1000))


async def test_message_is_processed_once_its_work_succeeded_and_was_delivered() -> None:
    source = Subject[int]()
    progress: list[str] = []
    gates = [asyncio.get_running_loop().create_future() for _ in range(3)]

    async def work(item: int) -> int:
        await gates[item]
        progress.append(f"work {item}")
        return item

    source.pipe(map_async(work, max_concurrency=3, ordered=False), bounded_buffer()).subscribe(
        lambda item: progress.append(f"on_next {item}"), lambda _: None
    )
    for item in range(3):
        with Delivery(lambda item=item: progress.append(f"processed {item}")):  # type: ignore[misc]
            source.on_next(item)
    gates[1].set_result(None)
    await turns()
    assert progress == ["work 1", "on_next 1", "processed 1"]
    gates[2].set_exception(ZeroDivisionError())
    await turns()
    assert progress == ["work 1", "on_next 1", "processed 1"]


async def test_work_is_apart_from_the_delivery_it_began_in() -> None:
    source = Subject[int]()
    inner = Subject[int]()
    done: list[int] = []
    inner.pipe(bounded_buffer(scheduler=TestScheduler())).subscribe()

    async def work(item: int) -> None:
        inner.on_next(item)  # held there for ever, but that is another message

    source.pipe(map_async(work)).subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    await turns()
    assert done == [1]


async def test_suspends_its_client_and_hands_on_the_flow() -> None:
    flow = LocalFlow(2)
    source = Subject[int]()
    gate = asyncio.Event()

    async def work(item: int) -> None:
        await gate.wait()

    mapped = with_flow(source, flow).pipe(map_async(work))
    assert flow_of(mapped) is flow
    mapped.subscribe()
    for item in range(4):
        source.on_next(item)
    assert flow.suspended
    gate.set()
    await turns()
    assert not flow.suspended
    source.on_completed()
    assert flow.attached == []


async def test_suspend_is_refused_at_subscribe() -> None:
    errors: list[Exception] = []

    async def work(item: int) -> None: ...

    Subject[int]().pipe(map_async(work, overflow=Overflow.SUSPEND)).subscribe(
        on_error=errors.append
    )
    assert [type(error) for error in errors] == [ClientError]


async def test_function_that_gives_nothing_to_await() -> None:
    source = Subject[int]()
    errors: list[Exception] = []

    def plain(item: int) -> int:
        return item

    source.pipe(map_async(cast("Any", plain))).subscribe(on_error=errors.append)
    source.on_next(1)
    await turns()
    assert isinstance(errors[0], TypeError)
    assert "cannot be awaited" in str(errors[0])


async def test_what_may_be_given_as_work() -> None:
    class Work:
        async def __call__(self, item: int) -> int:
            return item + 10

        async def method(self, offset: int, item: int) -> int:
            return item + offset

    loop = asyncio.get_running_loop()

    def future(item: int) -> asyncio.Future[int]:
        result = loop.create_future()
        result.set_result(item + 30)
        return result

    received: list[int] = []
    for work in (Work(), functools.partial(Work().method, 20), future):
        reactivex.of(1).pipe(map_async(cast("Any", work))).subscribe(received.append)
    await turns()
    assert received == [11, 21, 31]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    async def work(item: int) -> None: ...

    async def generator(item: int) -> AsyncIterator[int]:
        yield item

    def plain_generator(item: int) -> Iterator[int]:
        yield item

    for wrong in (1, generator, plain_generator):
        with pytest.raises(TypeError, match="fn"):
            map_async(cast("Any", wrong))
    with pytest.raises(ValueError, match="max_concurrency"):
        map_async(work, max_concurrency=0)
    with pytest.raises(TypeError, match="max_concurrency"):
        map_async(work, max_concurrency=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="overflow"):
        map_async(work, overflow="ERROR")  # type: ignore[arg-type]


def test_without_a_loop_there_is_an_error() -> None:
    async def work(item: int) -> None: ...

    errors: list[Exception] = []
    Subject[int]().pipe(map_async(work)).subscribe(on_error=errors.append)
    assert isinstance(errors[0], RuntimeError)
