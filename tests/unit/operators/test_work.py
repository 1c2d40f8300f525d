"""What `map_async`, `switch_map_async`, `exhaust_map_async` and `ack_after` do about failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
import reactivex
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

from rx_cometd._flow.delivery import Delivery
from rx_cometd.operators import (
    DeadLetter,
    ack_after,
    exhaust_map_async,
    map_async,
    switch_map_async,
)
from tests.unit.operators.times import run_virtually, turns

if TYPE_CHECKING:
    from collections.abc import Callable

ALL: list[Callable[..., Any]] = [map_async, switch_map_async, exhaust_map_async, ack_after]
each_operator = pytest.mark.parametrize("operator", ALL, ids=lambda operator: operator.__name__)


async def invert(item: float) -> float:
    await asyncio.sleep(1)
    return 1 / item


def told_of(
    *items: Any, operator: Any = map_async, work: Any = invert, **options: Any
) -> list[Any]:
    """Emit these, each when the work for the one before it must be done; what is told of it."""
    told: list[Any] = []

    async def main() -> None:
        source = Subject[Any]()
        result: Observable[Any] = source.pipe(operator(work, **options))
        result.subscribe(
            told.append, lambda error: told.append(type(error)), lambda: told.append("|")
        )
        for item in items:
            source.on_next(item)
            await asyncio.sleep(100)
        source.on_completed()
        await turns()
        assert len(asyncio.all_tasks()) == 1

    run_virtually(main())
    return told


def is_out(operator: Any, *items: Any) -> list[Any]:
    """What an operator makes of items that succeed."""
    return [item if operator is ack_after else 1 / item for item in items]


@each_operator
def test_a_failure_ends_the_stream(operator: Any) -> None:
    assert told_of(1, 0, 2, operator=operator) == [1, ZeroDivisionError]


@each_operator
def test_a_failure_is_dropped_and_logged(operator: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert told_of(1, 0, 2, operator=operator, errors="drop") == [*is_out(operator, 1, 2), "|"]
    assert [record.getMessage() for record in caplog.records] == [
        "dropped an item whose work failed: ZeroDivisionError: division by zero"
    ]


@each_operator
def test_a_failure_goes_to_the_dead_letters(operator: Any) -> None:
    letters: list[DeadLetter] = []
    told = told_of(1, 0, 2, operator=operator, dead_letter=letters.append)
    assert told == [*is_out(operator, 1, 2), "|"]
    assert [(letter.item, type(letter.error)) for letter in letters] == [(0, ZeroDivisionError)]


def test_dead_letters_may_go_to_an_observer() -> None:
    letters = Subject[DeadLetter]()
    items: list[Any] = []
    letters.subscribe(lambda letter: items.append(letter.item))
    told_of(0, 1, dead_letter=letters)
    assert items == [0]


@each_operator
def test_dead_letter_that_raises_ends_the_stream(operator: Any) -> None:
    def fail(_: DeadLetter) -> None:
        raise KeyError

    assert told_of(1, 0, 2, operator=operator, dead_letter=fail) == [1, KeyError]


@each_operator
def test_work_that_takes_too_long_is_a_failure(operator: Any) -> None:
    cancelled: list[float] = []

    async def sleep(seconds: float) -> float:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.append(seconds)
            raise
        return 1 / seconds

    letters: list[DeadLetter] = []
    told = told_of(1, 5, 2, operator=operator, work=sleep, timeout=3, dead_letter=letters.append)
    assert told == [*is_out(operator, 1, 2), "|"]
    assert cancelled == [5]
    assert [str(letter.error) for letter in letters] == [
        "the work for an item took longer than 3 s"
    ]
    assert told_of(5, operator=operator, work=sleep, timeout=3) == [TimeoutError]


def test_timeout_error_of_the_work_itself_is_kept() -> None:
    async def fail(_: object) -> None:
        raise TimeoutError("the database's own")

    letters: list[DeadLetter] = []
    told_of(1, work=fail, timeout=3, dead_letter=letters.append)
    assert [str(letter.error) for letter in letters] == ["the database's own"]


@each_operator
async def test_cancellation_that_comes_out_of_the_work_always_ends_the_stream(
    operator: Any,
) -> None:
    source = Subject[int]()
    errors: list[BaseException] = []

    async def work(_: int) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    source.pipe(operator(work, errors="drop")).subscribe(on_error=errors.append)
    source.on_next(1)
    await turns()
    assert [type(error) for error in errors] == [asyncio.CancelledError]
    assert source.observers == []


@each_operator
@pytest.mark.parametrize("tolerant", [True, False])
async def test_a_message_given_up_is_processed_one_that_failed_is_not(
    operator: Any, tolerant: bool
) -> None:
    source = Subject[int]()
    done: list[int] = []
    errors = "drop" if tolerant else "raise"

    async def fail(_: int) -> None:
        raise ZeroDivisionError

    result: Observable[Any] = source.pipe(operator(fail, errors=errors))
    result.subscribe(on_error=lambda _: None)
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    assert done == []
    await turns()
    assert done == [1] * tolerant


@given(
    durations=st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=12),
    concurrency=st.integers(1, 4),
    ordered=st.booleans(),
)
def test_every_item_is_a_result_or_a_dead_letter(
    durations: list[tuple[int, bool]], concurrency: int, ordered: bool
) -> None:
    results: list[Any] = []
    letters: list[int] = []

    async def work(item: int) -> int:
        duration, fails = durations[item]
        await asyncio.sleep(duration)
        if fails:
            raise ZeroDivisionError
        return item

    async def main() -> None:
        await reactivex.from_iterable([*range(len(durations))]).pipe(
            map_async(
                work,
                max_concurrency=concurrency,
                ordered=ordered,
                dead_letter=lambda letter: letters.append(letter.item),
            ),
            ops.do_action(results.append),
            ops.default_if_empty(0),
        )

    run_virtually(main())
    good = [item for item, (_, fails) in enumerate(durations) if not fails]
    bad = [item for item, (_, fails) in enumerate(durations) if fails]
    assert (results if ordered else sorted(results)) == good
    assert (letters if ordered else sorted(letters)) == bad


@each_operator
def test_arguments_are_checked_when_the_operator_is_made(operator: Any) -> None:
    with pytest.raises(ValueError, match="errors"):
        operator(invert, errors="ignore")
    with pytest.raises(TypeError, match="dead_letter"):
        operator(invert, dead_letter=1)
    with pytest.raises(ValueError, match="timeout"):
        operator(invert, timeout=0)
    with pytest.raises(TypeError, match="coroutine function is needed"):
        operator(cast("Any", None))
