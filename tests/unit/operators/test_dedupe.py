"""`dedupe`, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import dedupe
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def run(*messages: Any, **options: Any) -> list[tuple[float, Any]]:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*messages)
    return seen(scheduler.start(lambda: source.pipe(dedupe(lambda item: item[0], **options))))


def test_drops_what_came_within_the_window() -> None:
    assert run(
        on_next(210, "a1"),
        on_next(215, "b1"),
        on_next(219, "a2"),
        on_next(220, "a3"),
        on_completed(230),
        window=10,
    ) == [(210, "a1"), (215, "b1"), (220, "a3"), (230, "|")]


def test_errors_pass() -> None:
    assert run(on_error(210, OSError())) == [(210, OSError)]


def test_key_that_raises_is_an_error() -> None:
    assert run(on_next(210, "")) == [(210, IndexError)]
    assert run(on_next(210, [{"a": 1}])) == [(210, TypeError)]


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abcde")), max_size=40),
    window=st.integers(1, 12),
    bound=st.integers(1, 4),
)
def test_against_a_list_of_what_was_let_through(
    arrivals: list[tuple[int, str]], window: int, bound: int
) -> None:
    scheduler = TestScheduler()
    source = Subject[str]()
    received: list[tuple[float, str]] = []
    source.pipe(dedupe(lambda item: item, window=window, max_keys=bound)).subscribe(
        lambda item: received.append((scheduler.clock, item)), scheduler=scheduler
    )
    passed: list[tuple[float, str]] = []
    for pause, item in arrivals:
        scheduler.advance_to(scheduler.clock + pause)
        remembered = [key for at, key in passed[-bound:] if scheduler.clock - at < window]
        if item not in remembered:
            passed.append((scheduler.clock, item))
        source.on_next(item)
    assert received == passed


def test_disposal_within_on_next() -> None:
    source = Subject[int]()
    received: list[int] = []
    source.pipe(dedupe(lambda item: item), ops.take(1)).subscribe(
        received.append, scheduler=TestScheduler()
    )
    source.on_next(1)
    source.on_next(2)
    assert received == [1]
    assert source.observers == []


def test_each_subscription_has_a_memory_of_its_own() -> None:
    source = Subject[int]()
    received: list[int] = []
    deduped = source.pipe(dedupe(lambda item: item, scheduler=TestScheduler()))
    deduped.subscribe(received.append)
    source.on_next(1)
    deduped.subscribe(received.append)
    source.on_next(1)
    assert received == [1, 1]


def test_keeps_the_flow_of_its_source() -> None:
    flow = LocalFlow()
    assert flow_of(with_flow(Subject[int](), flow).pipe(dedupe(lambda item: item))) is flow


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(TypeError, match="key"):
        dedupe(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="window"):
        dedupe(str, window=0)
    with pytest.raises(TypeError, match="window"):
        dedupe(str, window="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_keys"):
        dedupe(str, max_keys=0)
