"""`switch_map_async` and `exhaust_map_async`, in virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import bounded_buffer, exhaust_map_async, switch_map_async
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import run_virtually, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactivex import Observable

BOTH: list[Callable[..., Any]] = [switch_map_async, exhaust_map_async]
both = pytest.mark.parametrize("operator", BOTH, ids=lambda operator: operator.__name__)


def run(operator: Any, arrivals: Sequence[tuple[float, float]], end: Any = None) -> list[Any]:
    """Emit items after these pauses, whose work takes so long; what is told, and when."""
    told: list[Any] = []

    async def work(item: tuple[int, float]) -> int:
        await asyncio.sleep(item[1])
        return item[0]

    async def main() -> None:
        now = asyncio.get_running_loop().time
        source = Subject[tuple[int, float]]()
        done = asyncio.Event()

        def on_error(error: Exception) -> None:
            told.append((now(), type(error)))
            done.set()

        def on_completed() -> None:
            told.append((now(), "|"))
            done.set()

        result: Observable[int] = source.pipe(operator(work))
        result.subscribe(lambda item: told.append((now(), item)), on_error, on_completed)
        for index, (pause, duration) in enumerate(arrivals):
            await asyncio.sleep(pause)
            source.on_next((index, duration))
        if end is None:
            source.on_completed()
        else:
            source.on_error(end)
        await done.wait()
        await turns()
        assert len(asyncio.all_tasks()) == 1

    run_virtually(main())
    return told


def test_switch_takes_the_latest() -> None:
    arrivals = [(1, 4), (6, 4), (2, 4)]
    assert run(switch_map_async, arrivals) == [(5, 0), (13, 2), (13, "|")]


def test_exhaust_takes_what_comes_when_nothing_is_done() -> None:
    arrivals = [(1, 4), (3, 4), (3, 4)]
    assert run(exhaust_map_async, arrivals) == [(5, 0), (11, 2), (11, "|")]


@both
def test_ends_wait_for_the_work_under_way(operator: Any) -> None:
    assert run(operator, []) == [(0, "|")]
    assert run(operator, [(1, 4)], OSError()) == [(5, 0), (5, OSError)]


@given(arrivals=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 8)), max_size=20))
def test_against_the_times_of_arrival(arrivals: list[tuple[int, int]]) -> None:
    # Halves, so that no work ends in the moment in which the next item comes.
    works = [(float(pause), duration + 0.5) for pause, duration in arrivals]
    at = 0.0
    came: list[tuple[float, float]] = []
    for pause, duration in works:
        at += pause
        came.append((at, at + duration))
    switched = [
        (end, index)
        for index, (_, end) in enumerate(came)
        if index + 1 == len(came) or end < came[index + 1][0]
    ]
    exhausted: list[tuple[float, int]] = []
    for index, (begin, end) in enumerate(came):
        if not exhausted or exhausted[-1][0] < begin:
            exhausted.append((end, index))
    assert run(switch_map_async, works)[:-1] == switched
    assert run(exhaust_map_async, works)[:-1] == exhausted


@both
async def test_disposal_cancels_the_work(operator: Any) -> None:
    cancelled: list[int] = []
    source = Subject[int]()

    async def work(item: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    subscription = source.pipe(operator(work)).subscribe()
    source.on_next(1)
    await turns()
    await asyncio.to_thread(subscription.dispose)
    await turns()
    assert cancelled == [1]
    assert source.observers == []
    assert len(asyncio.all_tasks()) == 1


@both
async def test_disposal_within_on_next_and_within_the_work(operator: Any) -> None:
    source = Subject[int]()
    received: list[int] = []

    async def work(item: int) -> int:
        if item == 3:
            subscription.dispose()
            await asyncio.sleep(0)
            received.append(-item)  # not reached: it is cancelled like any other
        return item

    source.pipe(operator(work), ops.take(1)).subscribe(received.append)
    source.on_next(1)
    await turns()
    assert received == [1]
    assert source.observers == []
    subscription = source.pipe(operator(work)).subscribe(received.append)
    source.on_next(3)
    await turns()
    assert received == [1]
    assert len(asyncio.all_tasks()) == 1


async def test_work_that_does_not_give_in_to_cancellation_changes_nothing() -> None:
    source = Subject[int]()
    received: list[Any] = []

    async def stubborn(item: int) -> int:
        try:
            await asyncio.sleep(0 if item == 3 else 1000)
        except asyncio.CancelledError:
            if item == 1:
                raise ZeroDivisionError from None
        return item

    source.pipe(switch_map_async(stubborn)).subscribe(received.append, received.append)
    for item in (1, 2, 3):
        source.on_next(item)
        await turns()
    assert received == [3]


async def test_item_that_comes_within_on_next_is_taken() -> None:
    for operator in BOTH:
        source = Subject[int]()
        received: list[int] = []

        async def work(item: int) -> int:
            return item

        def receive(
            item: int, source: Subject[int] = source, received: list[int] = received
        ) -> None:
            received.append(item)
            if item < 3:
                source.on_next(item + 1)

        source.pipe(operator(work)).subscribe(receive)
        source.on_next(1)
        await turns()
        assert received == [1, 2, 3]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has it")
@both
def test_tasks_that_begin_at_once(operator: Any) -> None:
    async def main() -> list[int]:
        asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
        source = Subject[int]()
        received: list[int] = []

        async def work(item: int) -> int:
            if item == 1:
                source.on_next(2)
                await asyncio.sleep(0)
            return item

        source.pipe(operator(work)).subscribe(received.append)
        source.on_next(1)
        await turns()
        return received

    assert asyncio.run(main()) == ([2] if operator is switch_map_async else [1])


async def test_message_is_processed_with_its_work_or_when_another_takes_its_place() -> None:
    source = Subject[int]()
    done: list[int] = []
    gate = asyncio.Event()

    async def work(item: int) -> int:
        await gate.wait()
        return item

    def emit(item: int) -> None:
        with Delivery(lambda: done.append(item)):
            source.on_next(item)

    subscription = source.pipe(switch_map_async(work), bounded_buffer()).subscribe()
    emit(1)
    await turns()
    assert done == []
    emit(2)
    assert done == [1]
    gate.set()
    await turns()
    assert done == [1, 2]
    subscription.dispose()
    gate.clear()
    source.pipe(exhaust_map_async(work)).subscribe()
    emit(3)
    emit(4)
    assert done == [1, 2, 4]


@both
def test_hands_on_the_flow_and_needs_a_loop(operator: Any) -> None:
    async def work(item: int) -> int:
        return item

    flow = LocalFlow()
    assert flow_of(with_flow(Subject[int](), flow).pipe(operator(work))) is flow
    errors: list[Exception] = []
    Subject[int]().pipe(operator(work)).subscribe(on_error=errors.append)
    assert isinstance(errors[0], RuntimeError)


@both
async def test_observer_that_raises_gets_its_error(operator: Any) -> None:
    source = Subject[int]()
    errors: list[Exception] = []

    async def work(item: int) -> int:
        return item

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(operator(work)).subscribe(fail, errors.append)
    source.on_next(1)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []
