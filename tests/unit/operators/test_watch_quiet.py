"""`watch_quiet`, in virtual time and against the embedded server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.exceptions import TransportTimeoutError
from rx_cometd.operators import bounded_buffer, watch_quiet
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen, turns

if TYPE_CHECKING:
    from reactivex import Observable

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def run(
    *subscriptions: list[Any], fail: bool = False, disposed: float = 300
) -> tuple[list[tuple[float, Any]], list[float]]:
    """Watch a source whose subscriptions see these; silence from the last of them on."""
    scheduler = TestScheduler()
    begun: list[float] = []
    left = list(subscriptions)

    def begin(_: object) -> Observable[Any]:
        begun.append(scheduler.clock)
        return scheduler.create_cold_observable(*(left.pop(0) if left else []))

    watched = reactivex.defer(begin).pipe(watch_quiet(10, fail=fail))
    told = seen(scheduler.start(lambda: watched, disposed=disposed))
    assert watched.quiet_count == len(begun) - 1
    return told, begun


def test_silence_is_met_once() -> None:
    assert run([on_next(5, "a")]) == ([(205, "a")], [200, 215])


def test_then_with_an_error_if_so_asked() -> None:
    assert run([], fail=True) == ([(220, TransportTimeoutError)], [200, 210])


def test_an_item_ends_the_silence() -> None:
    told, begun = run([], [on_next(4, "a"), on_next(40, "b")], disposed=260)
    assert begun[:3] == [200, 210, 224]
    assert told == [(214, "a")]
    told, begun = run([], [on_next(40, "late")], disposed=259)
    assert told == [(250, "late")]
    assert begun == [200, 210]


def test_watches_again_after_it_had_given_up() -> None:
    _, begun = run([], [on_next(40, "late")], disposed=265)
    assert begun == [200, 210, 260]


def test_ends_of_the_source_pass() -> None:
    assert run([on_next(5, "a"), on_completed(12)]) == ([(205, "a"), (212, "|")], [200])
    assert run([on_error(5, OSError())]) == ([(205, OSError)], [200])


@given(pauses=st.lists(st.integers(1, 9), max_size=30))
def test_a_source_that_is_never_silent_is_left_alone(pauses: list[int]) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    watched = source.pipe(watch_quiet(10, fail=True))
    received: list[int] = []
    watched.subscribe(received.append, scheduler=scheduler)
    for item, pause in enumerate(pauses):
        scheduler.advance_to(scheduler.clock + pause)
        source.on_next(item)
    assert received == list(range(len(pauses)))
    assert watched.quiet_count == 0


def test_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    run([])
    assert [record.getMessage() for record in caplog.records] == [
        "silent for 10 s: subscribing again"
    ]


async def test_disposal_at_any_time() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    watched = source.pipe(watch_quiet(10, scheduler=scheduler))
    watched.pipe(ops.take(1)).subscribe()
    source.on_next(1)
    assert source.observers == []
    subscription = watched.subscribe()
    await asyncio.to_thread(subscription.dispose)
    await turns()
    assert source.observers == []
    scheduler.advance_to(50)
    assert watched.quiet_count == 0


async def test_keeps_the_flow_and_the_holds_of_its_source() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    done: list[int] = []
    watched = with_flow(source, flow).pipe(watch_quiet(10))
    assert flow_of(watched) is flow
    watched.pipe(bounded_buffer()).subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    await turns()
    assert done == [1]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="seconds"):
        watch_quiet(0)


@given(pauses=st.lists(st.integers(1, 40), max_size=20))
def test_each_silence_is_met_once(pauses: list[int]) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    watched = source.pipe(watch_quiet(10))
    received: list[int] = []
    watched.subscribe(received.append, scheduler=scheduler)
    # Halves, so that no item comes in the moment in which the source is subscribed to again.
    for item, pause in enumerate(pauses):
        scheduler.advance_to(scheduler.clock + pause + 0.5)
        source.on_next(item)
    assert received == list(range(len(pauses)))
    assert watched.quiet_count == sum(pause >= 10 for pause in pauses)
