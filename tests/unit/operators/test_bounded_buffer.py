"""`bounded_buffer`, in virtual time and on the loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler import ImmediateScheduler
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd.exceptions import BufferOverflowError, ClientError
from rx_cometd.operators import BufferedObservable, bounded_buffer
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import LateScheduler, seen, turns

if TYPE_CHECKING:
    from collections.abc import Callable

on_next, on_completed, on_error = (
    ReactiveTest.on_next,
    ReactiveTest.on_completed,
    ReactiveTest.on_error,
)


def six(scheduler: TestScheduler) -> Observable[int]:
    """``--123456--|`` from 210 on, ending at 300."""
    return scheduler.create_hot_observable(
        *(on_next(210 + number, number) for number in range(1, 7)), on_completed(300)
    )


def test_passes_everything_on_in_order() -> None:
    scheduler = TestScheduler()
    source = six(scheduler)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(3)))
    assert result.messages == [
        *(on_next(210 + number, number) for number in range(1, 7)),
        on_completed(300),
    ]


@pytest.mark.parametrize(
    ("policy", "delivered"),
    [(Overflow.DROP_OLDEST, [4, 5, 6]), (Overflow.DROP_NEWEST, [1, 2, 3])],
)
def test_slow_turns_with_a_dropping_policy(policy: Overflow, delivered: list[int]) -> None:
    scheduler = TestScheduler()
    source = six(scheduler)
    late = LateScheduler(scheduler, 20)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(3, policy, scheduler=late)))
    assert result.messages == [
        *(on_next(231, number) for number in delivered),
        on_completed(320),
    ]


def test_error_delivers_what_is_pending_and_disposes_of_the_source_at_once() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        *(on_next(210 + number, number) for number in range(1, 7))
    )
    late = LateScheduler(scheduler, 20)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(3, scheduler=late)))
    assert seen(result) == [(231, 1), (231, 2), (231, 3), (231, BufferOverflowError)]
    assert source.subscriptions == [ReactiveTest.subscribe(200, 214)]


def test_conflate_while_the_observer_is_busy() -> None:
    scheduler = TestScheduler()
    quotes = ["a1", "b1", "a2", "a3", "c1", "b2"]
    source = scheduler.create_hot_observable(
        *(on_next(211 + at, quote) for at, quote in enumerate(quotes))
    )
    late = LateScheduler(scheduler, 20)
    result = scheduler.start(
        lambda: source.pipe(
            bounded_buffer(3, Overflow.CONFLATE, key=lambda quote: quote[0], scheduler=late)
        )
    )
    assert result.messages == [on_next(231, "a3"), on_next(231, "b2"), on_next(231, "c1")]


@given(
    policy=st.sampled_from([Overflow.ERROR, Overflow.DROP_OLDEST, Overflow.DROP_NEWEST]),
    bound=st.integers(0, 4),
    events=st.lists(
        st.sampled_from(["arrive", "arrive", "arrive", "turn", "complete", "fail", "dispose"]),
        max_size=40,
    ),
)
def test_any_interleaving_of_arrivals_turns_and_ends(
    policy: Overflow, bound: int, events: list[str]
) -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    lost: list[int] = []
    told: list[Any] = []
    buffered = source.pipe(
        bounded_buffer(
            bound,
            policy,
            scheduler=LateScheduler(scheduler, 1),
            on_overflow=lambda number, _: lost.append(number),
        )
    )
    subscription = buffered.subscribe(
        told.append, lambda error: told.append(type(error)), lambda: told.append("|")
    )
    actions: dict[str, Callable[[], Any]] = {
        "turn": scheduler.start,
        "complete": source.on_completed,
        "fail": lambda: source.on_error(ValueError()),
        "dispose": subscription.dispose,
    }
    arrived: list[int] = []
    for at, event in enumerate(events):
        if event != "arrive":
            actions[event]()
        elif source.observers:
            arrived.append(at)
            source.on_next(at)
        values = [value for value in told if isinstance(value, int)]
        assert bound <= 0 or buffered.pending_count <= bound
        if "dispose" not in events[: at + 1]:
            assert len(arrived) == len(values) + len(lost) + buffered.pending_count
    scheduler.start()
    values = [value for value in told if isinstance(value, int)]
    assert values == sorted(set(values))
    assert set(values).isdisjoint(lost)
    assert told[len(values) :] in ([], ["|"], [ValueError], [BufferOverflowError])
    assert buffered.pending_count == 0


def test_error_of_the_source_comes_after_what_is_pending() -> None:
    scheduler = TestScheduler()
    failure = ValueError()
    source = scheduler.create_hot_observable(on_next(210, 1), on_error(211, failure))
    late = LateScheduler(scheduler, 20)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(3, scheduler=late)))
    assert result.messages == [on_next(230, 1), on_error(230, failure)]


def test_disposal_forgets_what_is_pending() -> None:
    scheduler = TestScheduler()
    source = six(scheduler)
    late = LateScheduler(scheduler, 20)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(scheduler=late)), disposed=225)
    assert result.messages == []
    assert source.subscriptions == [ReactiveTest.subscribe(200, 225)]  # type: ignore[attr-defined]


def test_each_turn_delivers_a_chunk() -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*(on_next(210, number) for number in range(150)))
    late = LateScheduler(scheduler, 10)
    result = scheduler.start(lambda: source.pipe(bounded_buffer(0, scheduler=late)))
    times = [220] * 64 + [230] * 64 + [240] * 22
    assert seen(result) == list(zip(times, range(150), strict=True))


def test_log_is_timed_by_the_scheduler(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(
        *(on_next(time, 0) for time in [210, 210, 210, 211, 211])
    )
    late = LateScheduler(scheduler, 20)
    with caplog.at_level(logging.WARNING, "rx_cometd.operators"):
        scheduler.start(
            lambda: source.pipe(bounded_buffer(1, Overflow.DROP_OLDEST, scheduler=late))
        )
    assert [record.getMessage() for record in caplog.records] == [
        f"a consumer is too slow: {count} messages dropped so far "
        "(max_pending_count=1, DROP_OLDEST)"
        for count in (1, 3)
    ]


def test_unbounded_conflation_is_no_slowness_to_log(caplog: pytest.LogCaptureFixture) -> None:
    scheduler = TestScheduler()
    source = scheduler.create_hot_observable(*(on_next(210, "a") for _ in range(5)))
    late = LateScheduler(scheduler, 20)
    buffered = source.pipe(
        bounded_buffer(0, Overflow.CONFLATE, key=lambda letter: letter, scheduler=late)
    )
    result = scheduler.start(lambda: buffered)
    assert seen(result) == [(230, "a")]
    assert caplog.records == []


def test_pending_count_sums_up_the_live_subscriptions() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    buffered = source.pipe(bounded_buffer(3, scheduler=LateScheduler(scheduler, 10)))
    first = buffered.subscribe()
    source.on_next(1)
    second = buffered.subscribe()
    source.on_next(2)
    assert buffered.pending_count == 3
    first.dispose()
    assert buffered.pending_count == 1
    scheduler.start()
    assert buffered.pending_count == 0
    second.dispose()
    assert buffered.buffers == set()


def test_buffers_are_forgotten_at_the_end() -> None:
    buffered = Subject[int]().pipe(ops.take(0), bounded_buffer(scheduler=ImmediateScheduler()))
    buffered.subscribe()
    assert buffered.buffers == set()


def test_scheduler_that_runs_at_once() -> None:
    received: list[int] = []
    source = Subject[int]()

    def observe(number: int) -> None:
        received.append(number)
        if number < 3:
            source.on_next(number + 1)  # from within: waits its turn
            received.append(-number)

    source.pipe(bounded_buffer(scheduler=ImmediateScheduler())).subscribe(observe)
    source.on_next(1)
    assert received == [1, -1, 2, -2, 3]


def test_suspend_and_resume_by_the_clients_flow() -> None:
    scheduler = TestScheduler()
    flow = LocalFlow(4)
    subject = Subject[int]()
    received: list[int] = []
    late = LateScheduler(scheduler, 10)

    async def main() -> None:
        buffered: BufferedObservable[int] = with_flow(subject, flow).pipe(
            bounded_buffer(overflow=Overflow.SUSPEND, scheduler=late)
        )
        assert flow_of(buffered) is flow
        subscription = buffered.subscribe(received.append)
        for number in range(6):
            subject.on_next(number)
        assert flow.suspended
        assert flow.pending_count == buffered.pending_count == 6
        scheduler.start()
        assert not flow.suspended
        assert received == list(range(6))
        subscription.dispose()
        assert flow.attached == []

    asyncio.run(main())


async def test_suspend_is_refused_at_subscribe() -> None:
    errors: list[Exception] = []
    refusal = ClientError("it would lose messages")
    source = with_flow(Subject[int](), LocalFlow(refusal=refusal))
    for impossible in (source, Subject[int]()):
        impossible.pipe(bounded_buffer(overflow=Overflow.SUSPEND)).subscribe(on_error=errors.append)
    assert errors[0] is refusal
    assert isinstance(errors[1], ClientError)
    assert len(errors) == 2


async def test_other_tasks_run_between_chunks() -> None:
    progress: list[int] = []
    received: list[int] = []
    source = Subject[int]()
    source.pipe(bounded_buffer(0)).subscribe(received.append)
    for number in range(1000):
        source.on_next(number)
    while len(received) < 1000:
        await asyncio.sleep(0)
        progress.append(len(received))
    assert len(progress) > 10
    assert received == list(range(1000))


def test_without_loop_or_scheduler_there_is_an_error() -> None:
    errors: list[Exception] = []
    Subject[int]().pipe(bounded_buffer()).subscribe(on_error=errors.append)
    assert isinstance(errors[0], RuntimeError)


async def test_disposal_within_on_next() -> None:
    source = Subject[int]()
    received: list[int] = []
    source.pipe(bounded_buffer(), ops.take(2)).subscribe(received.append)
    for number in range(5):
        source.on_next(number)
    await turns()
    assert received == [0, 1]
    assert source.observers == []


async def test_observer_that_raises_gets_its_error_and_is_disposed_of() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    errors: list[Exception] = []

    def raise_at_two(number: int) -> None:
        if number == 2:
            raise ZeroDivisionError

    with_flow(source, flow).pipe(bounded_buffer()).subscribe(raise_at_two, errors.append)
    for number in range(5):
        source.on_next(number)
    await turns()
    assert [type(error) for error in errors] == [ZeroDivisionError]
    assert source.observers == []
    assert flow.attached == []


async def test_observer_that_raises_without_on_error_is_told_to_the_loop() -> None:
    source = Subject[int]()
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(bounded_buffer()).subscribe(fail)
    source.on_next(1)
    await turns()
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]
    assert source.observers == []


async def test_dispose_from_another_thread() -> None:
    source = Subject[int]()
    subscription = source.pipe(bounded_buffer()).subscribe()
    source.on_next(1)
    await asyncio.to_thread(subscription.dispose)
    await turns()
    assert source.observers == []


async def test_message_is_processed_when_the_last_buffer_delivered_it() -> None:
    source = Subject[int]()
    progress: list[str] = []
    source.pipe(bounded_buffer(), bounded_buffer()).subscribe(
        lambda number: progress.append(f"on_next {number}")
    )
    for number in range(3):
        if number == 1:
            source.on_next(number)  # nobody tracks this one
        else:
            with Delivery(lambda number=number: progress.append(f"processed {number}")):  # type: ignore[misc]
                source.on_next(number)
    assert progress == []
    await turns()
    assert progress == ["on_next 0", "processed 0", "on_next 1", "on_next 2", "processed 2"]


async def test_message_is_not_processed_if_the_observer_raised() -> None:
    source = Subject[int]()
    done: list[int] = []

    def fail(_: int) -> None:
        raise ZeroDivisionError

    source.pipe(bounded_buffer()).subscribe(fail, lambda _: None)
    with Delivery(lambda: done.append(1)):
        source.on_next(1)
    await turns()
    assert done == []


async def test_arguments_are_checked_when_the_operator_is_made() -> None:
    async def coroutine_function(*_: object) -> None: ...

    with pytest.raises(TypeError, match="on_overflow"):
        bounded_buffer(on_overflow=coroutine_function)
    with pytest.raises(TypeError, match="key"):
        bounded_buffer(key=coroutine_function)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="key"):
        bounded_buffer(key="channel")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_pending_count"):
        bounded_buffer("3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="overflow"):
        bounded_buffer(3, "ERROR")  # type: ignore[arg-type]
