"""Many observers of one stream: each gets everything, and none spoils it for the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex.observer import AutoDetachObserver

from rx_cometd._flow.multicast import Multicast

if TYPE_CHECKING:
    from collections.abc import Callable


class Told:
    """What an observer was told, in order."""

    def __init__(self, on_next: Callable[[int], object] | None = None) -> None:
        self.events: list[Any] = []
        self._on_next = on_next
        self.observer = AutoDetachObserver[int](
            self._take, self.events.append, lambda: self.events.append("completed")
        )

    def _take(self, value: int) -> None:
        self.events.append(value)
        if self._on_next is not None:
            self._on_next(value)


def fault(_: int) -> None:
    raise LookupError("mine")


def test_everybody_is_told_in_the_order_in_which_they_came() -> None:
    order: list[str] = []
    stream = Multicast[int]()
    for name in ("first", "second"):
        stream.add(Told(lambda _, name=name: order.append(name)).observer)  # type: ignore[misc]
    stream.on_next(1)
    assert order == ["first", "second"]


def test_one_that_raises_gets_its_error_and_the_others_their_item() -> None:
    stream = Multicast[int]()
    raising, other = Told(fault), Told()
    stream.add(raising.observer)
    stream.add(other.observer)
    stream.on_next(1)
    stream.on_next(2)
    assert [str(event) for event in raising.events] == ["1", "mine"]
    assert other.events == [1, 2]


def test_a_cancellation_that_one_of_them_raises_is_its_own() -> None:
    def cancel(_: int) -> None:
        raise asyncio.CancelledError

    stream = Multicast[int]()
    raising, other = Told(cancel), Told()
    stream.add(raising.observer)
    stream.add(other.observer)
    stream.on_next(1)
    assert other.events == [1]
    assert isinstance(raising.events[-1], asyncio.CancelledError)


@pytest.mark.parametrize("error", [LookupError("source"), None], ids=["failed", "completed"])
def test_the_end_is_told_once_and_the_observers_forgotten(error: Exception | None) -> None:
    stream = Multicast[int]()
    told = Told()
    stream.add(told.observer)
    for _ in range(2):
        stream.end(error)
    assert told.events == [error or "completed"]
    assert not stream


def test_who_joins_during_a_delivery_gets_the_next_item() -> None:
    stream = Multicast[int]()
    late = Told()

    def join(value: int) -> None:
        if value == 1:
            stream.add(late.observer)

    stream.add(Told(join).observer)
    stream.on_next(1)
    stream.on_next(2)
    assert late.events == [2]


def test_who_leaves_during_a_delivery_is_not_told_of_the_next() -> None:
    stream = Multicast[int]()
    leaving = Told(lambda _: stream.remove(leaving.observer))
    other = Told()
    stream.add(leaving.observer)
    stream.add(other.observer)
    stream.on_next(1)
    stream.on_next(2)
    assert leaving.events == [1]
    assert other.events == [1, 2]
    stream.remove(leaving.observer)  # gone already
    assert len(stream) == 1


async def test_an_error_that_nobody_takes_goes_to_the_loop() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    stream = Multicast[int]()
    stream.add(AutoDetachObserver[int](fault))
    other = Told()
    stream.add(other.observer)
    stream.on_next(1)
    assert [str(context["exception"]) for context in told] == ["mine"]
    assert other.events == [1]


def test_without_a_loop_it_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    stream = Multicast[int]()
    stream.add(AutoDetachObserver[int](fault))
    stream.on_next(1)
    (record,) = caplog.records
    assert record.__dict__["event"] == "observer_failed"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "mine"


def test_what_is_to_end_the_program_ends_it() -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    stream = Multicast[int]()
    stream.add(Told(interrupt).observer)
    with pytest.raises(KeyboardInterrupt):
        stream.on_next(1)
