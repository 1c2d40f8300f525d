"""`detect_gaps`: what is told of numbers."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import operators as ops
from reactivex.subject import Subject

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import Gap, bounded_buffer, detect_gaps
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import turns


def itself(item: Any) -> Any:
    return item


def first(item: Any) -> Any:
    return item[0]


def second(item: Any) -> Any:
    return item[1]


def run(numbers: list[Any], **options: Any) -> tuple[list[tuple[str, int, int]], list[Any]]:
    gaps: list[tuple[str, int, int]] = []
    told: list[Any] = []
    options.setdefault("sequence", itself)
    reactivex.from_iterable(numbers).pipe(
        detect_gaps(on_gap=lambda gap: gaps.append(gap[:3]), **options)
    ).subscribe(told.append, lambda error: told.append(type(error)))
    return gaps, told


def test_numbers_one_after_the_other_are_all_right() -> None:
    assert run([7, 8, 9, 10]) == ([], [7, 8, 9, 10])


def test_missing_then_late_then_repeated() -> None:
    gaps, told = run([1, 5, 3, 3, 6, 2])
    assert told == [1, 5, 3, 3, 6, 2]
    assert gaps == [("missing", 2, 4), ("reordered", 3, 3), ("repeated", 3, 3), ("reordered", 2, 2)]


def test_gap_is_told_before_its_item_goes_on_and_carries_it() -> None:
    events: list[Any] = []
    reactivex.of("a1", "b5", "a3").pipe(
        detect_gaps(lambda item: int(item[1]), events.append, key=lambda item: item[0])
    ).subscribe(events.append)
    assert events == ["a1", "b5", Gap("missing", 2, 2, "a", "a3"), "a3"]


def test_gaps_may_go_to_an_observer() -> None:
    gaps = Subject[Gap]()
    kinds: list[str] = []
    gaps.subscribe(lambda gap: kinds.append(gap.kind))
    reactivex.of(1, 3).pipe(detect_gaps(lambda number: number, gaps)).subscribe()
    assert kinds == ["missing"]


@given(numbers=st.lists(st.integers(-5, 20), max_size=40))
def test_against_a_set_of_what_came(numbers: list[int]) -> None:
    gaps, _ = run(numbers, max_gaps=1000)
    model: list[tuple[str, int, int]] = []
    came: set[int] = set()
    for number in numbers:
        if came and number > max(came) + 1:
            model.append(("missing", max(came) + 1, number - 1))
        elif came and number < max(came):
            late = number > numbers[0] and number not in came
            model.append(("reordered" if late else "repeated", number, number))
        elif number in came:
            model.append(("repeated", number, number))
        came.add(number)
    assert gaps == model


def test_what_is_remembered_is_bounded() -> None:
    gaps, _ = run([1, 10**9, 10**9 + 2, 10**9 + 1, 2], max_gaps=1)
    assert gaps[2:] == [("reordered", 10**9 + 1, 10**9 + 1), ("repeated", 2, 2)]
    gaps, _ = run([(1, 1), (2, 1), (1, 5)], sequence=second, key=first, max_keys=1)
    assert gaps == []


@pytest.mark.parametrize("option", ["sequence", "key"])
def test_functions_that_raise_are_errors(option: str) -> None:
    def fail(_: object) -> Any:
        raise ZeroDivisionError

    assert run([1, 2], **{option: fail}) == ([], [ZeroDivisionError])


def test_on_gap_that_raises_is_an_error() -> None:
    def fail(_: Gap) -> None:
        raise ZeroDivisionError

    source = Subject[int]()
    told: list[Any] = []
    source.pipe(detect_gaps(lambda number: number, fail)).subscribe(
        told.append, lambda error: told.append(type(error))
    )
    source.on_next(1)
    source.on_next(3)
    assert told == [1, ZeroDivisionError]
    assert source.observers == []


def test_disposal_within_on_next() -> None:
    source = Subject[int]()
    source.pipe(detect_gaps(lambda number: number, print), ops.take(1)).subscribe()
    source.on_next(1)
    source.on_next(5)
    assert source.observers == []


async def test_keeps_the_flow_and_the_holds_of_its_source() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    done: list[int] = []
    watched = with_flow(source, flow).pipe(detect_gaps(lambda number: number, print))
    assert flow_of(watched) is flow
    watched.pipe(bounded_buffer()).subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    await turns()
    assert done == [1]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    async def ask(gap: Gap) -> None: ...

    for wrong in (1, ask):
        with pytest.raises(TypeError, match="on_gap"):
            detect_gaps(lambda number: number, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sequence"):
        detect_gaps("number", print)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key"):
        detect_gaps(int, print, key=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_keys"):
        detect_gaps(int, print, max_keys=0)
    with pytest.raises(ValueError, match="max_gaps"):
        detect_gaps(int, print, max_gaps=0)
