"""`data`, in virtual time."""

from __future__ import annotations

from typing import Any

from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import data
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import seen

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def test_data_of_each_message() -> None:
    scheduler = TestScheduler()
    messages: list[Any] = [
        on_next(210, {"channel": "/a", "data": {"price": 1}}),
        on_next(220, {"channel": "/a", "data": None}),
        on_completed(230),
    ]
    source = scheduler.create_hot_observable(messages)
    result = scheduler.start(lambda: source.pipe(data()))
    assert seen(result) == [(210, {"price": 1}), (220, None), (230, "|")]


def test_data_is_not_copied() -> None:
    scheduler = TestScheduler()
    message: dict[str, Any] = {"channel": "/a", "data": {"price": 1}}
    source = scheduler.create_hot_observable(on_next(210, message))
    result = scheduler.start(lambda: source.pipe(data()))
    assert seen(result)[0][1] is message["data"]


def test_message_without_data() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(on_next(210, {"channel": "/meta/connect"}))
    result = scheduler.start(lambda: source.pipe(data()))
    assert seen(result) == [(210, KeyError)]
    assert source.subscriptions == [ReactiveTest.subscribe(200, 210)]


def test_error_of_the_source() -> None:
    scheduler = TestScheduler()
    source: Any = scheduler.create_hot_observable(on_error(210, ValueError()))
    assert seen(scheduler.start(lambda: source.pipe(data()))) == [(210, ValueError)]


def test_hands_on_the_flow() -> None:
    flow = LocalFlow()
    scheduler = TestScheduler()
    source: Any = scheduler.create_hot_observable(on_completed(210))
    assert flow_of(with_flow(source, flow).pipe(data())) is flow
