"""`conflate`, in virtual time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import conflate
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import LateScheduler, seen, turns

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def letter(quote: str) -> str:
    return quote[0]


def test_latest_of_each_key_in_the_place_of_the_first() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        on_next(210, "a1"),
        on_next(211, "b1"),
        on_next(212, "a2"),
        on_next(213, "a3"),
        on_next(231, "a4"),
        on_completed(232),
    )
    result = scheduler.start(
        lambda: source.pipe(conflate(letter, scheduler=LateScheduler(scheduler, 20)))
    )
    assert seen(result) == [(230, "a3"), (230, "b1"), (251, "a4"), (251, "|")]


def test_error_of_the_source_comes_after_what_is_pending() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, "a1"), on_error(211, ValueError()))
    result = scheduler.start(
        lambda: source.pipe(conflate(letter, scheduler=LateScheduler(scheduler, 20)))
    )
    assert seen(result) == [(230, "a1"), (230, ValueError)]


@given(arrivals=st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=40))
def test_every_key_ends_with_its_latest(arrivals: list[tuple[str, bool]]) -> None:
    scheduler = TestScheduler()
    source = Subject[tuple[str, int]]()
    received: list[tuple[str, int]] = []
    source.pipe(conflate(letter, scheduler=LateScheduler(scheduler, 1))).subscribe(received.append)
    latest: dict[str, int] = {}
    for number, (key, turn) in enumerate(arrivals):
        source.on_next((key, number))
        latest[key] = number
        if turn:
            scheduler.start()
    scheduler.start()
    assert dict(received) == latest
    for key in latest:
        numbers = [number for of_key, number in received if of_key == key]
        assert numbers == sorted(set(numbers))


async def test_by_channel_unless_told_otherwise() -> None:
    source = Subject[dict[str, object]]()
    received: list[object] = []
    source.pipe(conflate()).subscribe(lambda message: received.append(message["data"]))
    for channel, data in [("/a", 1), ("/b", 2), ("/a", 3)]:
        source.on_next({"channel": channel, "data": data})
    await turns()
    assert received == [3, 2]


async def test_is_no_drop_and_has_no_bound() -> None:
    flow = LocalFlow(1)
    source = Subject[int]()
    received: list[int] = []
    conflated = with_flow(source, flow).pipe(conflate(lambda number: number // 2))
    assert flow_of(conflated) is flow
    conflated.subscribe(received.append)
    for number in range(10):
        source.on_next(number)
    assert flow.pending_count == 5
    await turns()
    assert received == [1, 3, 5, 7, 9]
    assert flow.drops == 0


async def test_replaced_messages_were_processed() -> None:
    source = Subject[str]()
    done: list[str] = []
    source.pipe(conflate(letter)).subscribe()
    for quote in ("a1", "a2"):
        with Delivery(lambda quote=quote: done.append(quote)):  # type: ignore[misc]
            source.on_next(quote)
    assert done == ["a1"]
    await turns()
    assert done == ["a1", "a2"]


async def test_key_that_raises_is_an_error() -> None:
    source = Subject[str]()
    errors: list[Exception] = []
    source.pipe(conflate(letter)).subscribe(on_error=errors.append)
    source.on_next("")
    await turns()
    assert [type(error) for error in errors] == [IndexError]
    assert source.observers == []


def test_key_must_be_a_plain_function() -> None:
    async def key(quote: str) -> str:
        return quote

    with pytest.raises(TypeError, match="key"):
        conflate(key)  # type: ignore[arg-type]
