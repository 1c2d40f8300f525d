"""`window_stats`, in virtual time."""

from __future__ import annotations

import asyncio
import math
import statistics
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import WindowStats, window_stats
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def price(quote: Any) -> Any:
    return quote["price"]


EMPTY = WindowStats(0, 0.0, None, None, None, None)


def run(*messages: Any, value: Any = None, disposed: float = 1000) -> list[tuple[float, Any]]:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*messages)
    return seen(scheduler.start(lambda: source.pipe(window_stats(10, value)), disposed=disposed))


def test_windows_follow_each_other_whatever_comes() -> None:
    assert run(on_next(201, 4), on_next(205, 2), on_next(225, 7), disposed=235) == [
        (210, WindowStats(2, 0.2, 2, 4, 3, 2)),
        (220, EMPTY),
        (230, WindowStats(1, 0.1, 7, 7, 7, 7)),
    ]


def test_end_tells_of_the_window_that_it_cuts_short() -> None:
    cut = WindowStats(2, 0.4, 1, 3, 2, 3)
    assert run(on_next(212, 1), on_next(213, 3), on_completed(215)) == [
        (210, EMPTY),
        (215, cut),
        (215, "|"),
    ]
    assert run(on_next(212, 1), on_next(213, 3), on_error(215, OSError()))[1:] == [
        (215, cut),
        (215, OSError),
    ]
    assert run(on_completed(205)) == [(205, "|")]
    assert run(on_error(205, OSError())) == [(205, OSError)]


def test_value_gives_the_number() -> None:
    told = run(on_next(201, {"price": 5}), value=price, disposed=215)
    assert told == [(210, WindowStats(1, 0.1, 5, 5, 5, 5))]


@pytest.mark.parametrize(("item", "error"), [({}, KeyError), ({"price": "x"}, TypeError)])
def test_value_that_raises_or_is_no_number_is_an_error(item: Any, error: type[Exception]) -> None:
    assert run(on_next(201, item), value=price) == [(201, error)]


@given(items=st.lists(st.tuples(st.integers(0, 9), st.integers(-99, 99)), max_size=60))
def test_against_lists_of_what_came(items: list[tuple[int, int]]) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[WindowStats] = []
    source.pipe(window_stats(10)).subscribe(received.append, scheduler=scheduler)
    windows: dict[int, list[int]] = {}
    for pause, item in items:
        scheduler.advance_to(scheduler.clock + pause)
        windows.setdefault(int(scheduler.clock // 10), []).append(item)
        source.on_next(item)
    last = int(scheduler.clock // 10)
    scheduler.advance_to(last * 10 + 10)
    assert len(received) == last + 1
    for index, stats in enumerate(received):
        came = windows.get(index, [])
        assert stats.count == len(came)
        assert stats.rate == len(came) / 10
        if came:
            assert (stats.min, stats.max, stats.last) == (min(came), max(came), came[-1])
            assert stats.mean is not None
            assert math.isclose(stats.mean, statistics.fmean(came))


def test_a_late_timer_makes_one_long_window_and_no_drift() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[tuple[float, float]] = []
    source.pipe(window_stats(10)).subscribe(
        lambda stats: received.append((scheduler.clock, stats.rate)), scheduler=scheduler
    )

    def emit(*_: Any) -> None:
        source.on_next(1)

    def block(*_: Any) -> None:
        scheduler.sleep(26)

    scheduler.schedule_absolute(8, emit)
    scheduler.schedule_absolute(9, block)
    scheduler.advance_to(41)
    assert received == [(35, 1 / 35), (40, 0)]


def test_memory_does_not_grow_with_the_number_of_items() -> None:
    source = Subject[int]()
    source.pipe(window_stats(10)).subscribe(scheduler=TestScheduler())
    source.on_next(1)
    tracemalloc.start()
    try:
        for item in range(10_000):
            source.on_next(item)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 10_000


async def test_disposal_and_the_flow_of_its_source() -> None:
    scheduler = TestScheduler()
    flow = LocalFlow()
    source = Subject[int]()
    received: list[WindowStats] = []
    stats = with_flow(source, flow).pipe(window_stats(10, scheduler=scheduler))
    assert flow_of(stats) is flow
    stats.pipe(ops.take(1)).subscribe(received.append)
    subscription = stats.subscribe(received.append)
    scheduler.advance_to(15)
    await asyncio.to_thread(subscription.dispose)
    await asyncio.sleep(0)
    scheduler.advance_to(55)
    assert received == [EMPTY, EMPTY]
    assert source.observers == []


async def test_observer_that_raises_gets_its_error_once() -> None:
    scheduler = TestScheduler()
    errors: list[Exception] = []

    def fail(_: WindowStats) -> None:
        raise ZeroDivisionError

    Subject[int]().pipe(window_stats(10)).subscribe(fail, errors.append, scheduler=scheduler)
    scheduler.advance_to(50)
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="seconds"):
        window_stats(0)
    with pytest.raises(TypeError, match="value"):
        window_stats(1, "price")  # type: ignore[arg-type]
