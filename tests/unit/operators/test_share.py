"""`share`: one subscription, isolated observers, RxJS's configuration."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import bounded_buffer, share
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import turns


class Seen:
    """What an observer was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_next(self, item: Any) -> None:
        self.told.append(item)

    def on_error(self, error: Exception) -> None:
        self.told.append(type(error))

    def on_completed(self) -> None:
        self.told.append("|")


def observe(source: reactivex.Observable[Any]) -> tuple[list[Any], reactivex.abc.DisposableBase]:
    seen = Seen()
    return seen.told, source.subscribe(seen.on_next, seen.on_error, seen.on_completed)


def test_one_subscription_while_anybody_observes() -> None:
    source = Subject[int]()
    shared = source.pipe(share())
    assert source.observers == []
    first, leave = observe(shared)
    second, leave_too = observe(shared)
    source.on_next(1)
    leave.dispose()
    leave.dispose()
    source.on_next(2)
    assert len(source.observers) == 1
    leave_too.dispose()
    assert source.observers == []
    third, _ = observe(shared)
    source.on_next(3)
    assert (first, second, third) == ([1], [1, 2], [3])


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("join"), st.integers(0, 3)),
            st.tuples(st.just("leave"), st.integers(0, 3)),
            st.tuples(st.just("emit"), st.integers()),
            st.tuples(st.sampled_from(["fail", "complete"]), st.just(0)),
        ),
        max_size=30,
    )
)
def test_is_a_set_of_observers_and_one_connection(steps: list[tuple[str, int]]) -> None:
    subjects: list[Subject[int]] = []

    def begin(_: object) -> Subject[int]:
        subjects.append(Subject())
        return subjects[-1]

    shared = reactivex.defer(begin).pipe(share())
    connections = 0
    expected: dict[int, list[Any]] = {}
    observing: dict[int, tuple[list[Any], reactivex.abc.DisposableBase]] = {}
    for step, argument in steps:
        match step:
            case "join" if argument not in observing:
                connections += not observing
                observing[argument] = observe(shared)
                expected[argument] = []
            case "leave" if argument in observing:
                told, subscription = observing.pop(argument)
                subscription.dispose()
                assert told == expected[argument]
            case "emit" if subjects:
                subjects[-1].on_next(argument)
                for who in observing:
                    expected[who].append(argument)
            case "fail" | "complete" if observing:
                end: Any = ZeroDivisionError if step == "fail" else "|"
                if step == "fail":
                    subjects[-1].on_error(ZeroDivisionError())
                else:
                    subjects[-1].on_completed()
                for who, (told, _) in observing.items():
                    assert told == [*expected[who], end]
                observing.clear()
            case _:
                pass
        assert len(subjects) == connections
        assert sum(len(subject.observers) for subject in subjects) == bool(observing)


async def test_observer_that_raises_fails_alone() -> None:
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    source = Subject[int]()
    shared = source.pipe(share())
    errors: list[Exception] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    shared.subscribe(fail, errors.append)
    shared.subscribe(fail)
    told, _ = observe(shared)
    source.on_next(1)
    source.on_next(2)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]
    assert told == [1, 2]


def test_without_a_loop_the_log_is_told(caplog: pytest.LogCaptureFixture) -> None:
    source = Subject[int]()

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(share()).subscribe(fail)
    source.on_next(1)
    assert source.observers == []
    assert "unhandled exception of an observer" in caplog.text


@pytest.mark.parametrize("ending", ["error", "complete"])
@pytest.mark.parametrize("reset", [True, False])
def test_after_the_end_a_late_observer_begins_anew_or_gets_the_end(
    ending: str, reset: bool
) -> None:
    subscriptions = 0
    source = Subject[int]()

    def begin(_: object) -> Subject[int]:
        nonlocal subscriptions, source
        subscriptions += 1
        source = Subject[int]()
        return source

    option: Any = {f"reset_on_{ending}": reset}
    shared = reactivex.defer(begin).pipe(share(**option))
    early, _ = observe(shared)
    if ending == "error":
        source.on_error(ZeroDivisionError())
    else:
        source.on_completed()
    end: Any = ZeroDivisionError if ending == "error" else "|"
    assert early == [end]
    late, _ = observe(shared)
    assert subscriptions == 1 + reset
    assert late == ([] if reset else [end])


def test_retry_behind_it_works_for_all_who_retry() -> None:
    begun = 0
    source = Subject[int]()

    def begin(_: object) -> Subject[int]:
        nonlocal begun, source
        begun += 1
        source = Subject[int]()
        return source

    retried = reactivex.defer(begin).pipe(share(), ops.retry())
    first, _ = observe(retried)
    second, _ = observe(retried)
    source.on_error(OSError())
    source.on_next(1)
    assert (first, second, begun) == ([1], [1], 2)


def test_source_that_is_over_at_once() -> None:
    shared = reactivex.of(1, 2).pipe(share())
    for _ in range(2):
        assert observe(shared)[0] == [1, 2, "|"]


def test_linger_waits_for_another_observer() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    shared = source.pipe(share(linger=10, scheduler=scheduler))
    _, leave = observe(shared)
    leave.dispose()
    scheduler.advance_to(9)
    told, leave = observe(shared)
    scheduler.advance_to(30)
    source.on_next(1)
    assert told == [1]
    leave.dispose()
    scheduler.advance_to(39)
    assert len(source.observers) == 1
    scheduler.advance_to(41)
    assert source.observers == []


def test_linger_for_ever_ends_with_the_source() -> None:
    source = Subject[int]()
    shared = source.pipe(share(linger=math.inf, scheduler=TestScheduler()))
    _, leave = observe(shared)
    leave.dispose()
    assert len(source.observers) == 1
    source.on_completed()
    assert source.observers == []


def test_subscribe_that_raises_leaves_nothing_behind() -> None:
    loop_bound = with_flow(Subject[int](), LocalFlow())
    shared = loop_bound.pipe(share())

    async def use() -> list[Any]:
        told, _ = observe(shared)
        return told

    with pytest.raises(RuntimeError, match="event loop"):
        shared.subscribe()
    assert asyncio.run(use()) == []


def test_a_source_that_refused_its_first_observer_is_asked_again() -> None:
    refusals = ["in use elsewhere"]
    source = Subject[int]()

    class Reluctant(reactivex.Observable[int]):
        def subscribe(self, *args: Any, **options: Any) -> reactivex.abc.DisposableBase:
            if refusals:
                raise RuntimeError(refusals.pop())
            return source.subscribe(*args, **options)

    shared = Reluctant().pipe(share())
    with pytest.raises(RuntimeError, match="in use elsewhere"):
        shared.subscribe()
    told, _ = observe(shared)
    source.on_next(1)
    assert told == [1]


async def test_disposal_within_on_next() -> None:
    source = Subject[int]()
    shared = source.pipe(share())
    received: list[int] = []
    shared.pipe(ops.take(1)).subscribe(received.append)
    source.on_next(1)
    source.on_next(2)
    assert received == [1]
    assert source.observers == []


async def test_disposal_from_another_thread() -> None:
    source = Subject[int]()
    _, leave = observe(source.pipe(share()))
    await asyncio.to_thread(leave.dispose)
    await turns()
    assert source.observers == []


async def test_keeps_the_flow_and_the_holds_of_its_source() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    done: list[int] = []
    shared = with_flow(source, flow).pipe(share())
    assert flow_of(shared) is flow
    shared.pipe(bounded_buffer()).subscribe()
    shared.pipe(bounded_buffer()).subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    await turns()
    assert done == [1]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="linger"):
        share(linger=-1)
    with pytest.raises(TypeError, match="linger"):
        share(linger="1")  # type: ignore[arg-type]
