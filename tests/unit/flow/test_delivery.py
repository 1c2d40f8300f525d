"""Whether a message was processed, told once and in time."""

from __future__ import annotations

import asyncio
import contextvars

from rx_cometd._flow.delivery import Delivery, apart, hold, stay_apart


class Told:
    """Counts how often a message was said to be processed."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_what_nobody_holds_is_processed_when_it_is_delivered() -> None:
    told = Told()
    with Delivery(told):
        assert told.count == 0
    assert told.count == 1


def test_each_hold_has_to_be_released_and_counts_once() -> None:
    told = Told()
    with Delivery(told):
        first, second = hold(), hold()
    assert first is not None
    assert second is not None
    first()
    first()
    assert told.count == 0
    second()
    assert told.count == 1


def test_a_hold_released_during_the_delivery_does_not_end_it() -> None:
    told = Told()
    with Delivery(told):
        held = hold()
        assert held is not None
        held()
        assert told.count == 0
    assert told.count == 1


def test_outside_of_a_delivery_there_is_nothing_to_hold() -> None:
    assert hold() is None
    with Delivery(Told()), apart():
        assert hold() is None


def test_what_is_handed_on_later_is_the_message_that_was_held() -> None:
    told, later = Told(), Told()
    with Delivery(told):
        first = hold()
    assert first is not None
    with Delivery(later):
        with first:
            behind = hold()  # a buffer behind a buffer
        other = hold()
    assert behind is not None
    assert other is not None
    first()
    assert (told.count, later.count) == (0, 0)
    behind()
    assert (told.count, later.count) == (1, 0)
    other()
    assert later.count == 1


def test_a_delivery_within_a_delivery_is_another() -> None:
    outer, inner = Told(), Told()
    with Delivery(outer):
        with Delivery(inner):
            held = hold()
        mine = hold()
    assert held is not None
    assert mine is not None
    held()
    assert (outer.count, inner.count) == (0, 1)
    mine()
    assert outer.count == 1


def test_a_delivery_that_is_over_cannot_be_held_from_a_copied_context() -> None:
    told = Told()
    with Delivery(told):
        copied = contextvars.copy_context()
        during = copied.run(hold)
    assert during is not None
    assert copied.run(hold) is not None  # still held by the other
    during()
    assert told.count == 0


async def test_a_task_made_during_a_delivery_can_step_out_of_it() -> None:
    async def work(*, alone: bool) -> bool:
        if alone:
            stay_apart()
        return hold() is not None

    told = Told()
    with Delivery(told):
        kept = hold()
        tasks = [asyncio.create_task(work(alone=alone)) for alone in (False, True)]
    assert await asyncio.gather(*tasks) == [True, False]
    assert kept is not None
    kept()
    assert told.count == 0  # the first task took a hold, and never released it
