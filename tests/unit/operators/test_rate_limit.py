"""`rate_limit`, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd.exceptions import BufferOverflowError, ClientError
from rx_cometd.operators import bounded_buffer, rate_limit
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen, turns

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def run(*messages: Any, count: int = 2, **options: Any) -> list[tuple[float, Any]]:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*messages)
    return seen(scheduler.start(lambda: source.pipe(rate_limit(count, 10, **options))))


def burst(at: int, *items: Any) -> list[Any]:
    return [on_next(at, item) for item in items]


def test_what_the_rate_allows_passes_at_once_the_rest_in_time() -> None:
    assert run(*burst(210, 1, 2, 3, 4, 5), on_completed(211)) == [
        (210, 1),
        (210, 2),
        (220, 3),
        (220, 4),
        (230, 5),
        (230, "|"),
    ]


def test_any_window_counts() -> None:
    assert run(
        on_next(210, 1), on_next(218, 2), on_next(219, 3), on_next(221, 4), on_completed(240)
    ) == [(210, 1), (218, 2), (220, 3), (228, 4), (240, "|")]


def test_errors_come_after_what_waits() -> None:
    assert run(*burst(210, 1, 2), on_error(211, OSError()), count=1) == [
        (210, 1),
        (220, 2),
        (220, OSError),
    ]


def test_overflow_is_an_error_or_what_the_policy_says() -> None:
    assert run(*burst(210, 1, 2, 3), count=1, max_pending_count=1) == [
        (210, 1),
        (220, 2),
        (220, BufferOverflowError),
    ]
    assert run(
        *burst(210, 1, 2, 3),
        on_completed(215),
        count=1,
        max_pending_count=1,
        overflow=Overflow.DROP_OLDEST,
    ) == [(210, 1), (220, 3), (220, "|")]


@given(
    pauses=st.lists(st.integers(0, 8), max_size=40),
    count=st.integers(1, 4),
    seconds=st.integers(1, 12),
)
def test_every_item_as_early_as_the_rate_allows(
    pauses: list[int], count: int, seconds: int
) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[tuple[float, int]] = []
    source.pipe(rate_limit(count, seconds, max_pending_count=0)).subscribe(
        lambda item: received.append((scheduler.clock, item)), scheduler=scheduler
    )
    model: list[tuple[float, int]] = []
    for item, pause in enumerate(pauses):
        scheduler.advance_to(scheduler.clock + pause)
        source.on_next(item)
        earliest = model[-count][0] + seconds if len(model) >= count else 0
        model.append((max(scheduler.clock, earliest, model[-1][0] if model else 0), item))
    scheduler.advance_to(scheduler.clock + len(pauses) * seconds + 1)
    assert received == model


def test_waiting_items_go_on_a_chunk_at_a_time() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[int] = []
    chunks: list[int] = []
    source.pipe(rate_limit(200, 10, max_pending_count=0)).subscribe(
        received.append, scheduler=scheduler
    )
    for item in range(400):
        source.on_next(item)
    assert len(received) == 200

    def look(*_: Any) -> None:
        chunks.append(len(received))

    scheduler.schedule_absolute(10, look)
    scheduler.advance_to(11)
    assert received == list(range(400))
    assert 200 < chunks[0] < 400


def test_disposal_while_items_wait_and_within_on_next() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    flow = LocalFlow()
    received: list[int] = []

    async def use() -> None:
        limited = with_flow(source, flow).pipe(rate_limit(1, 10))
        subscription = limited.subscribe(received.append, scheduler=scheduler)
        limited.pipe(ops.take(2)).subscribe(received.append, scheduler=scheduler)
        for item in (1, 2, 3):
            source.on_next(item)
        subscription.dispose()
        scheduler.advance_to(50)

    asyncio.run(use())
    assert received == [1, 1, 2]
    assert source.observers == []
    assert flow.attached == []


async def test_suspends_its_client_and_hands_on_the_flow() -> None:
    scheduler = TestScheduler()
    flow = LocalFlow(2)
    source = Subject[int]()
    limited = with_flow(source, flow).pipe(rate_limit(1, 10, scheduler=scheduler))
    assert flow_of(limited) is flow
    limited.subscribe()
    for item in range(4):
        source.on_next(item)
    assert flow.suspended
    assert flow.pending_count == 3
    scheduler.advance_to(25)
    assert not flow.suspended
    with pytest.raises(ClientError):
        Subject[int]().pipe(rate_limit(1, 1, overflow=Overflow.SUSPEND)).subscribe(
            scheduler=scheduler
        )


async def test_message_that_waits_is_not_processed() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    done: list[int] = []
    source.pipe(rate_limit(1, 10, scheduler=scheduler), bounded_buffer()).subscribe()
    for item in (1, 2):
        with Delivery(lambda item=item: done.append(item)):  # type: ignore[misc]
            source.on_next(item)
    await turns()
    assert done == [1]
    scheduler.advance_to(10)
    await turns()
    assert done == [1, 2]


async def test_observer_that_raises_gets_its_error() -> None:
    source = Subject[int]()
    errors: list[Exception] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(rate_limit(1, 10)).subscribe(fail, errors.append)
    source.on_next(1)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="count"):
        rate_limit(0, 1)
    with pytest.raises(ValueError, match="seconds"):
        rate_limit(1, 0)
    with pytest.raises(TypeError, match="overflow"):
        rate_limit(1, 1, overflow="ERROR")  # type: ignore[arg-type]
