"""`buffer_bounded`, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import buffer_bounded, map_async
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen, turns

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def run(*messages: Any, count: int = 3, seconds: float | None = 10) -> list[tuple[float, Any]]:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*messages)
    return seen(scheduler.start(lambda: source.pipe(buffer_bounded(count, seconds))))


def test_a_list_when_there_are_enough_or_the_first_waited_long_enough() -> None:
    assert run(
        on_next(210, 1),
        on_next(211, 2),
        on_next(212, 3),
        on_next(225, 4),
        on_next(234, 5),
        on_next(250, 6),
        on_completed(251),
    ) == [(212, [1, 2, 3]), (235, [4, 5]), (251, [6]), (251, "|")]


def test_no_empty_lists() -> None:
    assert run(on_completed(300)) == [(300, "|")]


def test_error_comes_after_the_list_that_was_begun() -> None:
    assert run(on_next(210, 1), on_error(211, OSError())) == [(211, [1]), (211, OSError)]


def test_without_a_time_it_waits_for_enough() -> None:
    assert run(on_next(210, 1), on_next(600, 2), on_next(700, 3), seconds=None) == [
        (700, [1, 2, 3])
    ]


@given(
    pauses=st.lists(st.integers(0, 8), max_size=40),
    count=st.integers(1, 4),
    seconds=st.integers(1, 12),
)
def test_lists_are_the_source_cut_by_number_and_time(
    pauses: list[int], count: int, seconds: int
) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[tuple[float, list[int]]] = []
    source.pipe(buffer_bounded(count, seconds)).subscribe(
        lambda items: received.append((scheduler.clock, items)), scheduler=scheduler
    )
    model: list[tuple[float, list[int]]] = []
    begun, batch = 0.0, list[int]()
    for item, pause in enumerate(pauses):
        scheduler.advance_to(scheduler.clock + pause)
        if batch and scheduler.clock >= begun + seconds:
            model.append((begun + seconds, batch))
            batch = []
        if not batch:
            begun = scheduler.clock
        batch = [*batch, item]
        source.on_next(item)
        if len(batch) == count:
            model.append((scheduler.clock, batch))
            batch = []
    source.on_completed()
    if batch:
        model.append((scheduler.clock, batch))
    assert received == model


def test_no_timer_is_left_after_the_end() -> None:
    scheduler = TestScheduler()
    received: list[list[int]] = []
    reactivex.of(1).pipe(buffer_bounded(2, 10)).subscribe(received.append, scheduler=scheduler)
    scheduler.advance_to(20)
    assert received == [[1]]


async def test_disposal_while_a_list_is_begun_and_within_on_next() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    flow = LocalFlow()
    received: list[list[int]] = []
    batches = with_flow(source, flow).pipe(buffer_bounded(2, 10, scheduler=scheduler))
    subscription = batches.subscribe(received.append)
    source.on_next(1)
    assert flow.pending_count == 1
    subscription.dispose()
    scheduler.advance_to(20)
    assert received == []
    batches.pipe(ops.take(1)).subscribe(received.append)
    for item in (1, 2, 3):
        source.on_next(item)
    assert received == [[1, 2]]
    assert source.observers == []
    assert flow.attached == []


async def test_messages_are_processed_when_their_list_was() -> None:
    flow = LocalFlow()
    source = Subject[int]()
    done: list[int] = []
    written = asyncio.Event()

    async def write(items: list[int]) -> None:
        await written.wait()

    batches = with_flow(source, flow).pipe(buffer_bounded(2))
    assert flow_of(batches) is flow
    batches.pipe(map_async(write)).subscribe()
    for item in (1, 2, 3):
        with Delivery(lambda item=item: done.append(item)):  # type: ignore[misc]
            source.on_next(item)
    await turns()
    assert done == []
    written.set()
    await turns()
    assert done == [1, 2]
    source.on_completed()
    await turns()
    assert done == [1, 2, 3]


async def test_messages_of_a_list_whose_observer_raised_are_not_processed() -> None:
    source = Subject[int]()
    done: list[int] = []
    errors: list[Exception] = []

    def fail(_: list[int]) -> None:
        raise ZeroDivisionError

    source.pipe(buffer_bounded(1)).subscribe(fail, errors.append)
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []


async def test_observer_that_has_the_source_emit_more() -> None:
    source = Subject[int]()
    received: list[list[int]] = []

    def receive(items: list[int]) -> None:
        received.append(items)
        if items == [1, 2]:
            source.on_next(3)
            source.on_next(4)

    source.pipe(buffer_bounded(2)).subscribe(receive)
    source.on_next(1)
    source.on_next(2)
    assert received == [[1, 2], [3, 4]]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="count"):
        buffer_bounded(0)
    with pytest.raises(TypeError, match="count"):
        buffer_bounded(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seconds"):
        buffer_bounded(1, 0)
