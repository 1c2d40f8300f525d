"""Time on the event loop: every operator that takes time, behind every way to combine channels."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import LoopObservable
from rx_cometd.operators import bounded_buffer, map_async, on_loop
from tests.unit.operators.flows import LocalFlow, with_flow

if TYPE_CHECKING:
    from collections.abc import Callable

    Combine = Callable[[Observable[Any], Observable[Any]], Observable[Any]]

pytestmark = pytest.mark.usefixtures("nothing_left")

SHORT = 0.002

#: Every operator of reactivex that takes time.
TIMED: dict[str, Callable[[], Callable[[Observable[Any]], Observable[Any]]]] = {
    "buffer_with_time": lambda: ops.buffer_with_time(SHORT),
    "buffer_with_time_or_count": lambda: ops.buffer_with_time_or_count(SHORT, 2),
    "debounce": lambda: ops.debounce(SHORT),
    "delay": lambda: ops.delay(SHORT),
    "delay_subscription": lambda: ops.delay_subscription(SHORT),
    "delay_with_mapper": lambda: ops.delay_with_mapper(lambda _: rx.timer(SHORT)),
    "flat_map to a timer": lambda: ops.flat_map(lambda _: rx.timer(SHORT)),
    "replay": lambda: rx.compose(ops.replay(window=SHORT), ops.ref_count()),
    "sample": lambda: ops.sample(SHORT),
    "skip_last_with_time": lambda: ops.skip_last_with_time(SHORT),
    "skip_until_with_time": lambda: ops.skip_until_with_time(SHORT),
    "skip_with_time": lambda: ops.skip_with_time(SHORT),
    "take_last_with_time": lambda: ops.take_last_with_time(SHORT),
    "take_until_with_time": lambda: ops.take_until_with_time(SHORT),
    "take_with_time": lambda: ops.take_with_time(SHORT),
    "throttle_first": lambda: ops.throttle_first(SHORT),
    "throttle_with_mapper": lambda: ops.throttle_with_mapper(lambda _: rx.timer(SHORT)),
    "time_interval": ops.time_interval,
    "timeout": lambda: ops.timeout(5.0),
    "timeout, due": lambda: rx.compose(ops.timeout(SHORT), ops.on_error_resume_next(rx.of(0))),
    "timeout_with_mapper": lambda: ops.timeout_with_mapper(rx.timer(5.0), lambda _: rx.timer(5.0)),
    "timestamp": ops.timestamp,
    "window_with_time": lambda: rx.compose(ops.window_with_time(SHORT), ops.merge_all()),
    "window_with_time_or_count": lambda: rx.compose(
        ops.window_with_time_or_count(SHORT, 2), ops.merge_all()
    ),
}

#: What needs no help: all that a channel's own methods make.
METHODS: dict[str, Combine] = {
    "itself": lambda a, _: a,
    "pipe": lambda a, _: a.pipe(ops.map(str), ops.filter(bool)),
    "fluent": lambda a, _: a.map(str),
    "+": lambda a, b: a + b,
    "observable +": lambda a, _: rx.empty() + a,
    "slice": lambda a, _: a[0:5],
    "pipe merge": lambda a, b: a.pipe(ops.merge(b)),
    "pipe combine_latest": lambda a, b: a.pipe(ops.combine_latest(b)),
    "pipe catch": lambda a, b: a.pipe(ops.catch(b)),
    "connectable": lambda a, _: _connected(a.pipe(ops.publish())),
    "auto_connect": lambda a, _: a.pipe(ops.publish()).auto_connect(),
    "ref_count": lambda a, _: a.pipe(ops.publish(), ops.ref_count()),
    "partition": lambda a, _: a.pipe(ops.partition(bool))[0],
    "bounded_buffer": lambda a, _: a.pipe(bounded_buffer()),
    "composed": lambda a, _: a.pipe(rx.compose(ops.map(str), bounded_buffer())),
}

#: The functions of reactivex, whose results know no loop: `on_loop` goes behind them.
FUNCTIONS: dict[str, Combine] = {
    "merge": rx.merge,
    "combine_latest": rx.combine_latest,
    "zip": rx.zip,
    "concat": rx.concat,
    "defer": lambda a, _: rx.defer(lambda _: a),
    "amb": rx.amb,
    "with_latest_from": rx.with_latest_from,
    "catch": rx.catch,
    "on_error_resume_next": rx.on_error_resume_next,
    "using": lambda a, _: rx.using(Disposable, lambda _: a),
    "fork_join": rx.fork_join,
    "if_then": lambda a, b: rx.if_then(lambda: True, a, b),
    "case": lambda a, b: rx.case(lambda: 1, {1: a}, b),
    "for_in": lambda a, _: rx.for_in([1], lambda _: a),
}


def _connected(connectable: Any) -> Observable[Any]:
    connectable.connect()
    return connectable  # type: ignore[no-any-return]


class Ended(NamedTuple):
    """How one subscription ended, and on which threads it was heard of."""

    items: list[Any]
    threads: set[int]
    done: asyncio.Event


def follow(source: Observable[Any]) -> Ended:
    loop = asyncio.get_running_loop()
    seen = Ended([], set(), asyncio.Event())

    def note(item: Any) -> None:
        seen.threads.add(threading.get_ident())
        seen.items.append(item)

    def end(_: Exception | None = None) -> None:
        seen.threads.add(threading.get_ident())
        loop.call_soon_threadsafe(seen.done.set)

    source.subscribe(note, end, end)
    return seen


async def play(make: Combine, *operators: Callable[[Observable[Any]], Observable[Any]]) -> Ended:
    hot = Subject[int](), Subject[int]()
    seen = follow(make(*(with_flow(subject, LocalFlow()) for subject in hot)).pipe(*operators))
    for number in range(3):
        for subject in hot:
            subject.on_next(number)
        await asyncio.sleep(0)
    for subject in hot:
        subject.on_completed()
    # `delay_subscription` comes too late for a hot source that ended: it is told so at once.
    await asyncio.wait_for(seen.done.wait(), 30)
    return seen


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of the threads that are started during a test."""
    names: list[str] = []
    start = threading.Thread.start

    def note(thread: threading.Thread) -> None:
        names.append(type(thread).__name__)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", note)
    return names


async def _no_thread(make: Combine, started: list[str], *last: Any) -> None:
    plays = {name: play(make, operator(), *last) for name, operator in TIMED.items()}
    seen = dict(zip(plays, await asyncio.gather(*plays.values()), strict=True))
    here = {threading.get_ident()}
    assert {name: s.threads for name, s in seen.items() if s.threads != here} == {}
    assert started == []


@pytest.mark.parametrize("way", METHODS)
async def test_no_operator_starts_a_thread(way: str, started: list[str]) -> None:
    await _no_thread(METHODS[way], started)


@pytest.mark.parametrize("way", FUNCTIONS)
async def test_nor_behind_a_function_and_on_loop(way: str, started: list[str]) -> None:
    await _no_thread(lambda a, b: on_loop(FUNCTIONS[way](a, b)), started)
    await _no_thread(lambda a, b: FUNCTIONS[way](a, b).pipe(on_loop()), started)


@pytest.mark.parametrize("way", FUNCTIONS)
async def test_nor_in_a_pipe_that_ends_in_on_loop(way: str, started: list[str]) -> None:
    await _no_thread(FUNCTIONS[way], started, on_loop())


@pytest.mark.parametrize(
    "last", [bounded_buffer, lambda: map_async(_itself)], ids=["bounded_buffer", "map_async"]
)
async def test_nor_in_a_pipe_that_ends_in_an_operator_of_rx_cometd(
    last: Any, started: list[str]
) -> None:
    await _no_thread(rx.merge, started, last())


async def _itself(item: Any) -> Any:
    return item


@pytest.mark.parametrize(
    "split", [ops.group_by(bool), ops.window_with_count(2)], ids=["group_by", "window"]
)
async def test_inner_observables_that_are_subscribed_by_hand(
    split: Any, started: list[str]
) -> None:
    source = Subject[int]()
    inner: list[Ended] = []

    def subscribe(part: Observable[Any]) -> None:
        inner.append(follow(on_loop(part).pipe(ops.debounce(SHORT))))

    with_flow(source, LocalFlow()).pipe(split).subscribe(subscribe)
    for number in range(4):
        source.on_next(number)
    source.on_completed()
    await asyncio.gather(*(seen.done.wait() for seen in inner))
    assert {thread for seen in inner for thread in seen.threads} == {threading.get_ident()}
    assert started == []


async def test_what_is_on_the_loop_is_left_as_it_is() -> None:
    flow = LocalFlow()
    channel = with_flow(Subject[int](), flow)
    assert on_loop(channel) is channel
    assert isinstance(on_loop(rx.of(1)), LoopObservable)
    assert flow_of(rx.of(1).pipe(on_loop())) is None


@pytest.mark.parametrize("way", METHODS)
async def test_the_clients_flow_goes_through(way: str) -> None:
    flow = LocalFlow(max_pending_count=7)
    a, b = with_flow(Subject[int](), flow), with_flow(Subject[int](), LocalFlow())
    assert flow_of(METHODS[way](a, b)) is flow
