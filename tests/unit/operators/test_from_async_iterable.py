"""`from_async_iterable`: virtual time upstream, and the life of its task."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from reactivex import operators as ops
from reactivex.testing import TestScheduler

from rx_cometd._flow.flow import Overflow
from rx_cometd.operators import from_async_iterable, map_async, to_async_iterable
from tests.unit.operators.times import play, seen, ticks, turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from reactivex import Observable


class Numbers:
    """Generators of numbers that count how many were asked for, and remember their end."""

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self.asked = 0
        self.closed: list[str] = []

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                self.asked += 1
                yield number
        finally:
            await turns(2)  # a clean-up that takes its time must not be cut short
            self.closed.append("closed")


async def test_items_in_virtual_time() -> None:
    scheduler = TestScheduler()
    observer = scheduler.create_observer()

    async def numbers() -> AsyncIterator[int]:
        for number in (1, 2):
            await ticks(scheduler, 5)
            yield number

    from_async_iterable(numbers).subscribe(observer, scheduler=scheduler)
    await play(scheduler, 12)
    assert seen(observer) == [(5, 1), (10, 2), (10, "|")]


async def test_error_of_the_iterable() -> None:
    scheduler = TestScheduler()
    observer = scheduler.create_observer()

    async def numbers() -> AsyncIterator[int]:
        yield 1
        await ticks(scheduler, 3)
        raise ZeroDivisionError

    from_async_iterable(numbers()).subscribe(observer, scheduler=scheduler)
    await play(scheduler, 5)
    assert seen(observer) == [(0, 1), (3, ZeroDivisionError)]


async def test_each_subscription_calls_the_function_anew() -> None:
    numbers = from_async_iterable(Numbers())
    assert await numbers.pipe(ops.to_list()) == [0, 1, 2]
    assert await numbers.pipe(ops.to_list()) == [0, 1, 2]


async def test_disposal_cancels_and_awaits_the_clean_up() -> None:
    ends: list[str] = []

    async def waiting() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise
        finally:
            await turns(2)
            ends.append("closed")

    subscription = from_async_iterable(waiting).subscribe()
    await turns()
    subscription.dispose()
    await turns()
    assert ends == ["cancelled", "closed"]
    assert len(asyncio.all_tasks()) == 1


async def test_disposal_within_on_next_awaits_the_clean_up() -> None:
    numbers = Numbers()
    assert await from_async_iterable(numbers).pipe(ops.take(2), ops.to_list()) == [0, 1]
    await turns()
    assert numbers.closed == ["closed"]
    assert numbers.asked == 2
    assert len(asyncio.all_tasks()) == 1


async def test_disposal_before_the_task_ran() -> None:
    numbers = Numbers()
    from_async_iterable(numbers).subscribe().dispose()
    await turns()
    assert numbers.asked == 0
    assert len(asyncio.all_tasks()) == 1


async def test_clean_up_that_fails_after_disposal_is_told_to_the_loop() -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ZeroDivisionError

    from_async_iterable(numbers).pipe(ops.take(1)).subscribe()
    await turns()
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]


async def test_cancellation_out_of_the_iterable_is_its_error() -> None:
    errors: list[BaseException] = []

    async def numbers() -> AsyncIterator[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.cancel()
        yield await future

    from_async_iterable(numbers).subscribe(on_error=errors.append)
    await turns()
    assert [type(error) for error in errors] == [asyncio.CancelledError]


async def test_observer_that_raises_gets_its_error() -> None:
    numbers = Numbers()
    errors: list[Exception] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    from_async_iterable(numbers).subscribe(fail, errors.append)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert numbers.closed == ["closed"]


async def test_observer_that_raises_without_on_error_is_told_to_the_loop() -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))

    def fail(_: int) -> None:
        raise ZeroDivisionError

    from_async_iterable(Numbers()).subscribe(fail)
    await turns()
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]


async def test_items_without_waiting_leave_turns_to_others() -> None:
    received: list[int] = []
    progress: list[int] = []
    from_async_iterable(Numbers(1000)).subscribe(received.append)
    while len(received) < 1000:
        await asyncio.sleep(0)
        progress.append(len(received))
    assert len(progress) > 10


async def test_round_trip_of_what_is_no_generator() -> None:
    source = from_async_iterable(Numbers()).pipe(to_async_iterable())
    assert [number async for number in from_async_iterable(source).pipe(to_async_iterable())] == [
        0,
        1,
        2,
    ]


async def test_suspend_asks_for_no_more_than_the_buffer_holds() -> None:
    numbers = Numbers(10)
    gate = asyncio.Event()

    async def work(number: int) -> int:
        await gate.wait()
        return number

    received: list[int] = []
    from_async_iterable(numbers).pipe(
        map_async(work, max_pending_count=4, overflow=Overflow.SUSPEND)
    ).subscribe(received.append)
    await turns()
    assert numbers.asked == 5  # one is under way, four wait
    gate.set()
    await turns(50)
    assert received == list(range(10))


def test_a_suspended_observable_can_be_used_on_another_loop() -> None:
    numbers = Numbers(10)
    iterable = from_async_iterable(numbers).pipe(to_async_iterable(2, Overflow.SUSPEND))

    async def main() -> list[int]:
        received: list[int] = []
        async for number in iterable:
            await turns()
            received.append(number)
        return received

    assert asyncio.run(main()) == list(range(10))
    assert asyncio.run(main()) == list(range(10))


@pytest.mark.parametrize("wrong", [1, [1, 2]])
def test_what_is_no_asynchronous_iterable(wrong: Any) -> None:
    with pytest.raises(TypeError):
        from_async_iterable(wrong)


def test_coroutine_function_is_refused() -> None:
    async def numbers() -> list[int]:
        return []

    with pytest.raises(TypeError, match="coroutine function"):
        from_async_iterable(cast("Any", numbers))


def test_without_a_loop_there_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        from_async_iterable(Numbers()).subscribe()


async def test_a_full_buffer_holds_its_own_subscription_only() -> None:
    numbers = from_async_iterable(count_to(500))
    stuck = aiter(numbers.pipe(to_async_iterable(2, Overflow.SUSPEND)))
    assert await anext(stuck) == 0
    assert await numbers.pipe(ops.count()) == 500
    assert stuck.pending_count <= 2
    assert [number async for number in stuck] == list(range(1, 500))


async def test_a_buffer_behind_share_holds_the_iteration_that_it_joined() -> None:
    shared = from_async_iterable(count_to(50)).pipe(ops.share())
    counting = asyncio.ensure_future(_last(shared))
    stuck = aiter(shared.pipe(to_async_iterable(2, Overflow.SUSPEND)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not counting.done()
    assert [number async for number in stuck] == list(range(50))
    assert await counting == 49


async def test_who_subscribes_anew_at_once_keeps_its_buffer() -> None:
    failed = False

    async def numbers() -> AsyncGenerator[int]:
        nonlocal failed
        if not failed:
            failed = True
            raise OSError
        for number in range(50):
            yield number

    stuck = aiter(
        from_async_iterable(numbers).pipe(ops.retry(), to_async_iterable(2, Overflow.SUSPEND))
    )
    assert await anext(stuck) == 0
    for _ in range(20):
        await asyncio.sleep(0)
    assert stuck.pending_count == 2
    await stuck.aclose()


def count_to(end: int) -> Callable[[], AsyncGenerator[int]]:
    async def numbers() -> AsyncGenerator[int]:
        for number in range(end):
            yield number

    return numbers


async def _last(source: Observable[int]) -> int:
    return await source
