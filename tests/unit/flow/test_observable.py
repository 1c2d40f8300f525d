"""Observables that live on an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import LoopObservable, derive, running_loop
from tests.integration.client_driver import Recorder
from tests.unit.operators.flows import LocalFlow

pytestmark = pytest.mark.usefixtures("nothing_left")


def source(*values: Any, flow: LocalFlow | None = None) -> LoopObservable[Any]:
    inner = rx.of(*values)
    return LoopObservable(lambda observer, scheduler: inner.subscribe(observer), flow=flow)


def _twice(number: int) -> int:
    return number * 2


def _is_large(number: int) -> bool:
    return number > 2


def test_outside_a_loop() -> None:
    with pytest.raises(RuntimeError, match="subscribe from a coroutine"):
        running_loop()
    bare: Any = source(1)
    for observable in (bare, bare.pipe(ops.map(str)), bare.pipe()):
        with pytest.raises(RuntimeError, match="event loop"):
            observable.subscribe()


async def test_the_loop_that_runs() -> None:
    assert running_loop() is asyncio.get_running_loop()


async def test_the_scheduler_is_the_loops_where_none_is_given() -> None:
    given: list[abc.SchedulerBase | None] = []

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        given.append(scheduler)
        return rx.of(1).subscribe(observer)

    observable = LoopObservable(subscribe)
    own = AsyncIOScheduler(asyncio.get_running_loop())
    observable.subscribe()
    observable.subscribe(scheduler=own)
    observable.pipe(ops.map(str), ops.filter(bool)).subscribe()
    assert isinstance(given[0], AsyncIOScheduler)
    assert given[1] is own
    assert isinstance(given[2], AsyncIOScheduler)


async def test_pipes_and_fluent_methods_stay_on_the_loop() -> None:
    observable: Any = source(1, 2, 3)
    piped: Any = observable.pipe(ops.map(_twice), ops.filter(_is_large))
    assert isinstance(piped, LoopObservable)
    assert Recorder(observable.pipe(ops.map(_twice), ops.filter(_is_large))).items == [4, 6]
    fluent: Any = observable.map(_twice)
    assert isinstance(fluent, LoopObservable)
    assert Recorder(observable.map(_twice)).items == [2, 4, 6]
    threads = threading.active_count()
    delayed = Recorder(observable.pipe(ops.delay(0.001)))
    await delayed.until(lambda: delayed.completed)
    assert threading.active_count() == threads


async def test_a_pipe_to_something_else_is_let_be() -> None:
    subject: Subject[int] = Subject()
    assert source(1).pipe(lambda _: 7) == 7
    assert source(1).pipe(lambda _: subject) is subject
    connectable: Any = source(1, 2).pipe(ops.publish())
    seen = Recorder(connectable)
    connectable.connect()
    assert seen.items == [1, 2]


async def test_derived_observables_keep_the_flow() -> None:
    flow = LocalFlow()

    def subscribe(
        observer: abc.ObserverBase[int], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return rx.of(5).subscribe(observer)

    channel = source(1, flow=flow)
    derived = derive(channel, subscribe)
    assert isinstance(derived, LoopObservable)
    assert flow_of(derived) is flow
    assert Recorder(derived).items == [5]
    assert flow_of(channel.pipe(ops.map(str))) is None
    foreign = derive(rx.of(1), subscribe)
    assert type(foreign) is Observable
    assert flow_of(foreign) is None
