"""`ack_after`: when a message counts as processed."""

from __future__ import annotations

import asyncio
from typing import Any

from reactivex import operators as ops
from reactivex.subject import Subject
from reactivex.testing import TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import flow_of
from rx_cometd.operators import ack_after, bounded_buffer
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import turns


class Messages:
    """A source whose messages tell when they were processed."""

    def __init__(self) -> None:
        self.source = Subject[int]()
        self.done: list[int] = []

    def emit(self, *items: int) -> None:
        for item in items:
            with Delivery(lambda item=item: self.done.append(item)):  # type: ignore[misc]
                self.source.on_next(item)


async def handle(item: int) -> None:
    await asyncio.sleep(0)
    if item < 0:
        raise ZeroDivisionError


async def test_processed_when_the_handler_is_done_whatever_comes_after() -> None:
    messages = Messages()
    received: list[int] = []
    messages.source.pipe(ack_after(handle), bounded_buffer(scheduler=TestScheduler())).subscribe(
        received.append
    )
    messages.emit(1, 2)
    assert messages.done == []
    await turns()
    assert messages.done == [1, 2]
    assert received == []


async def test_what_comes_before_still_counts() -> None:
    messages = Messages()
    scheduler = TestScheduler()
    messages.source.pipe(bounded_buffer(scheduler=scheduler), ack_after(handle)).subscribe()
    messages.emit(1)
    await turns()
    assert messages.done == []
    scheduler.start()
    await turns()
    assert messages.done == [1]


async def test_not_processed_when_the_handler_failed_or_was_not_reached() -> None:
    messages = Messages()
    errors: list[Exception] = []
    messages.source.pipe(ack_after(handle)).subscribe(on_error=errors.append)
    messages.emit(1, -2, 3)
    await turns()
    assert messages.done == [1]
    assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_observer_that_raises_changes_nothing_about_it() -> None:
    contexts: list[dict[str, Any]] = []
    errors: list[Exception] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    for on_error in (None, errors.append):
        messages = Messages()

        def fail(_: int) -> None:
            raise ZeroDivisionError

        messages.source.pipe(ack_after(handle)).subscribe(fail, on_error)
        messages.emit(1)
        await turns()
        assert messages.done == [1]
        assert messages.source.observers == []
    assert [type(context["exception"]) for context in contexts] == [ZeroDivisionError]
    assert [type(error) for error in errors] == [ZeroDivisionError]


async def test_emits_the_messages_in_order_and_hands_on_the_flow() -> None:
    source = Subject[int]()
    flow = LocalFlow()
    received: list[int] = []
    handled = with_flow(source, flow).pipe(ack_after(handle, max_concurrency=3))
    assert flow_of(handled) is flow
    handled.pipe(ops.take(3)).subscribe(received.append)
    for item in range(5):
        source.on_next(item)
    await turns()
    assert received == [0, 1, 2]
    assert source.observers == []
    assert flow.attached == []
    assert len(asyncio.all_tasks()) == 1
