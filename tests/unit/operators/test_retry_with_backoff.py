"""`retry_with_backoff`, in virtual time."""

from __future__ import annotations

from itertools import pairwise
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
from rx_cometd.operators import bounded_buffer, retry_with_backoff
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen, turns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reactivex import Observable

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def steady() -> Iterator[float]:
    return iter([10, 20])


def run(*attempts: list[Any], **options: Any) -> tuple[list[Any], list[float]]:
    """Let each subscription see the next of these; the last is repeated."""
    scheduler = TestScheduler()
    begun: list[float] = []
    left = list(attempts)

    def attempt(_: object) -> Observable[int]:
        begun.append(scheduler.clock)
        messages = left.pop(0) if len(left) > 1 else left[0]
        return scheduler.create_cold_observable(*messages)

    options.setdefault("delays", steady)
    options.setdefault("jitter", 0)
    result = scheduler.start(
        lambda: reactivex.defer(attempt).pipe(retry_with_backoff(**options)), disposed=500
    )
    return seen(result), begun


FAILS = [on_next(1, "a"), on_error(2, OSError())]
REFUSED = [on_error(1, OSError())]


def test_each_attempt_waits_for_the_next_delay_and_the_last_delay_is_repeated() -> None:
    _, begun = run(REFUSED)
    assert begun[:5] == [200, 211, 232, 253, 274]


def test_completion_ends_it() -> None:
    assert run(REFUSED, [on_next(1, "a"), on_completed(2)]) == (
        [(212, "a"), (213, "|")],
        [200, 211],
    )


def test_count_is_how_often_it_is_tried_again() -> None:
    told, begun = run(REFUSED, count=2)
    assert begun == [200, 211, 232]
    assert told == [(233, OSError)]


def test_an_item_begins_count_and_delays_anew() -> None:
    told, begun = run(REFUSED, REFUSED, FAILS, REFUSED, count=2)
    assert begun == [200, 211, 232, 244, 265]
    assert told == [(233, "a"), (266, OSError)]


def test_an_item_changes_nothing_if_so_asked() -> None:
    told, begun = run(FAILS, count=2, reset_on_success=False)
    assert begun == [200, 212, 234]
    assert told == [(201, "a"), (213, "a"), (235, "a"), (236, OSError)]


def is_value_error(error: Exception) -> bool:
    return isinstance(error, ValueError)


@pytest.mark.parametrize("errors", [ValueError, (ValueError, KeyError), is_value_error])
def test_other_errors_are_told(errors: Any) -> None:
    told, begun = run([on_error(1, ValueError())], REFUSED, errors=errors)
    assert begun == [200, 211]
    assert told == [(212, OSError)]


@pytest.mark.parametrize("option", ["errors", "delays"])
def test_functions_that_raise_are_errors(option: str) -> None:
    def fail(*_: object) -> Any:
        raise ZeroDivisionError

    assert run(REFUSED, **{option: fail})[0] == [(201, ZeroDivisionError)]


@given(jitter=st.floats(0, 1), delay=st.integers(1, 40))
def test_jitter_shortens_a_delay_by_no_more_than_its_part(jitter: float, delay: int) -> None:
    _, begun = run(REFUSED, [on_completed(1)], jitter=jitter, delays=lambda: iter([delay]))
    waited = begun[1] - begun[0] - 1
    assert delay * (1 - jitter) - 1e-6 <= waited <= delay + 1e-6


def test_default_delays_double_up_to_thirty_seconds() -> None:
    _, begun = run(REFUSED, delays=None)
    gaps = [after - before - 1 for before, after in pairwise(begun)]
    assert gaps[:9] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_disposal_during_a_delay() -> None:
    scheduler = TestScheduler()
    begun: list[float] = []

    def refuse(_: object) -> Observable[int]:
        begun.append(scheduler.clock)
        return reactivex.throw(OSError())

    errors: list[Exception] = []
    retried = reactivex.defer(refuse).pipe(
        retry_with_backoff(delays=steady, jitter=0, scheduler=scheduler)
    )
    subscription = retried.subscribe(on_error=errors.append)
    scheduler.advance_to(15)
    subscription.dispose()
    scheduler.advance_to(100)
    assert begun == [0, 10]
    assert errors == []


def test_disposal_within_on_next() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    received: list[int] = []
    source.pipe(retry_with_backoff(scheduler=scheduler), ops.take(1)).subscribe(received.append)
    source.on_next(1)
    assert received == [1]
    assert source.observers == []


async def test_observer_that_raises_is_no_reason_to_try_again() -> None:
    source = Subject[int]()
    errors: list[Exception] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(retry_with_backoff(delays=lambda: iter([0.0]))).subscribe(fail, errors.append)
    source.on_next(1)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []


async def test_keeps_the_flow_and_the_holds_of_its_source() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    done: list[int] = []
    retried = with_flow(source, flow).pipe(retry_with_backoff())
    assert flow_of(retried) is flow
    retried.pipe(bounded_buffer()).subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    await turns()
    assert done == [1]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(ValueError, match="count"):
        retry_with_backoff(0)
    with pytest.raises(ValueError, match="jitter"):
        retry_with_backoff(jitter=1.5)
    with pytest.raises(TypeError, match="delays"):
        retry_with_backoff(delays=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="errors"):
        retry_with_backoff(errors="OSError")  # type: ignore[arg-type]


@given(
    attempts=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12),
    count=st.one_of(st.none(), st.integers(1, 4)),
    reset=st.booleans(),
)
def test_against_a_loop_over_the_attempts(
    attempts: list[tuple[int, bool]], count: int | None, reset: bool
) -> None:
    streams = [
        [
            *(on_next(at + 1, "item") for at in range(items)),
            on_completed(items + 1) if ends else on_error(items + 1, OSError()),
        ]
        for items, ends in [*attempts, (0, True)]
    ]
    at, failures, model, times = 200, 0, list[Any](), list[float]()
    for items, ends in [*attempts, (0, True)]:
        times.append(at)
        model.extend((at + 1 + item, "item") for item in range(items))
        at += items + 1
        failures = 0 if items and reset else failures
        if ends or failures == count:
            model.append((at, "|" if ends else OSError))
            break
        failures += 1
        at += 10 if failures == 1 else 20
    assert run(*streams, count=count, reset_on_success=reset) == (model, times)
