"""`last_value`: what late observers get."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import last_value
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.test_share import observe


def letter(item: str) -> str:
    return item[0]


def test_late_observer_gets_the_last_of_each_key_then_what_comes() -> None:
    source = Subject[str]()
    latest = source.pipe(last_value(letter))
    early, _ = observe(latest)
    for item in ("a1", "b1", "a2"):
        source.on_next(item)
    late, _ = observe(latest)
    source.on_next("b2")
    assert early == ["a1", "b1", "a2", "b2"]
    assert late == ["b1", "a2", "b2"]


def test_by_channel_or_else_the_last_of_all() -> None:
    source = Subject[Any]()
    latest = source.pipe(last_value())
    observe(latest)
    first, second, third = ({"channel": c, "data": d} for c, d in [("/a", 1), ("/b", 2), ("/a", 3)])
    for item in (first, second, third, 5, 6):
        source.on_next(item)
    assert observe(latest)[0] == [second, third, 6]


@given(items=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers())), bound=st.integers(1, 4))
def test_remembers_the_latest_of_the_keys_that_came_last(
    items: list[tuple[str, int]], bound: int
) -> None:
    source = Subject[tuple[str, int]]()
    latest = source.pipe(last_value(lambda item: item[0], max_keys=bound))
    observe(latest)
    model: list[tuple[str, int]] = []
    for item in items:
        source.on_next(item)
        model = [*(other for other in model if other[0] != item[0]), item][-bound:]
    assert observe(latest)[0] == model


def test_nothing_is_remembered_past_the_last_observer() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    latest = source.pipe(last_value(linger=10, scheduler=scheduler))
    _, leave = observe(latest)
    source.on_next(1)
    leave.dispose()
    told, leave = observe(latest)
    assert told == [1]
    leave.dispose()
    scheduler.advance_to(11)
    assert observe(latest)[0] == []


def test_nothing_is_remembered_past_the_end() -> None:
    source = Subject[int]()
    latest = source.pipe(last_value())
    told, _ = observe(latest)
    source.on_next(1)
    source.on_completed()
    assert told == [1, "|"]
    assert observe(latest)[0] == ["|"]  # a `Subject` that is over, subscribed to again


def test_disposal_within_what_is_repeated() -> None:
    source = Subject[str]()
    latest = source.pipe(last_value(letter))
    _, leave = observe(latest)
    source.on_next("a1")
    source.on_next("b1")
    received: list[str] = []
    latest.pipe(ops.take(1)).subscribe(received.append)
    leave.dispose()
    assert received == ["a1"]
    assert source.observers == []


def test_item_that_comes_while_others_are_repeated_is_not_followed_by_an_older() -> None:
    source = Subject[str]()
    latest = source.pipe(last_value(letter))
    observe(latest)
    source.on_next("a1")
    source.on_next("b1")
    received: list[str] = []

    def receive(item: str) -> None:
        received.append(item)
        if item == "a1":
            source.on_next("b2")

    latest.subscribe(receive)
    assert received == ["a1", "b2"]


def test_observer_that_raises_at_what_is_repeated_fails_alone() -> None:
    source = Subject[int]()
    latest = source.pipe(last_value())
    told, _ = observe(latest)
    source.on_next(1)
    errors: list[Exception] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    latest.subscribe(fail, errors.append)
    source.on_next(2)
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert told == [1, 2]


def test_key_that_raises_is_an_error_for_all() -> None:
    source = Subject[str]()
    latest = source.pipe(last_value(letter))
    first, _ = observe(latest)
    second, _ = observe(latest)
    source.on_next("")
    assert first == second == [IndexError]
    assert source.observers == []


def test_keeps_the_flow_of_its_source() -> None:
    flow = LocalFlow()
    assert flow_of(with_flow(Subject[int](), flow).pipe(last_value())) is flow


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    with pytest.raises(TypeError, match="by"):
        last_value(1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_keys"):
        last_value(max_keys=0)
    with pytest.raises(ValueError, match="linger"):
        last_value(linger=-1)
