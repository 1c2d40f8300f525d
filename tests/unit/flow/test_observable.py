"""Observables that live on an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import reactivex as rx
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.scheduler import ThreadPoolScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rx_cometd._flow.edge import LoopScheduler, running_loop
from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import LoopObservable, derive
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
    assert isinstance(given[0], LoopScheduler)
    assert given[1] is own
    assert isinstance(given[2], LoopScheduler)


async def test_pipes_and_fluent_methods_stay_on_the_loop() -> None:
    observable: Any = source(1, 2, 3)
    piped: Any = observable.pipe(ops.map(_twice), ops.filter(_is_large))
    assert isinstance(piped, LoopObservable)
    assert Recorder(observable.pipe(ops.map(_twice), ops.filter(_is_large))).items == [4, 6]
    fluent: Any = observable.map(_twice)
    assert isinstance(fluent, LoopObservable)
    assert Recorder(observable.map(_twice)).items == [2, 4, 6]
    threads = set(threading.enumerate())
    delayed = Recorder(observable.pipe(ops.delay(0.001)))
    await delayed.until(lambda: delayed.completed)
    assert not set(threading.enumerate()) - threads


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
    assert flow_of(channel.pipe(ops.map(str), ops.publish(), ops.ref_count())) is flow
    foreign = derive(rx.of(1), subscribe)
    assert type(foreign) is Observable
    assert flow_of(foreign) is None


async def test_what_would_never_end_is_refused() -> None:
    channel: Any = source(1, 2)

    async def observe(_: object) -> None:
        raise AssertionError

    for observable in (channel, channel.pipe(ops.first())):
        with pytest.raises(RuntimeError, match=r"await channel\.pipe"):
            observable.run()
        with pytest.raises(TypeError, match="async for"):
            list(observable)
        with pytest.raises(TypeError, match=r"observe.*subscribe_async.*map_async"):
            observable.subscribe(observe)


def test_run_outside_of_a_loop_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="subscribe from a coroutine"):
        source(1).run()


async def test_async_for_over_channels_and_pipes() -> None:
    flow = LocalFlow(max_pending_count=1)
    channel: Any = source(1, 2, 3, flow=flow)
    assert [item async for item in source(1).pipe(ops.map(_twice))] == [2]  # type: ignore[attr-defined]
    items = aiter(channel.pipe(ops.map(_twice)))
    assert (items.pending_count, flow.turns) == (3, ["suspend", "resume"])
    assert [item async for item in items] == [2, 4, 6]


async def test_an_error_at_subscribe_on_a_thread_reaches_on_error() -> None:
    pool = ThreadPoolScheduler(1)
    seen = Recorder(source(1).pipe(ops.subscribe_on(pool)))
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(pool.executor, int)  # done after it
    assert "event loop" in str(seen.error)
    pool.executor.shutdown()


async def test_sums_connectables_and_parts_stay_on_the_loop() -> None:
    channel: Any = source(1, 2)
    assert Recorder(rx.of(0) + channel + rx.of(3)).items == [0, 1, 2, 3]
    even, odd = channel.pipe(ops.partition(_is_large))
    assert isinstance(even, LoopObservable)
    assert Recorder(odd).items == [1, 2]
    connectable: Any = channel.pipe(ops.publish())
    assert isinstance(connectable.auto_connect(), LoopObservable)
    assert await channel == 2
