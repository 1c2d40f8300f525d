"""The grammar of ReactiveX, kept by one subscription of a feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from reactivex.disposable import Disposable

from rx_cometd._flow.subscriber import Subscriber
from tests.integration.client_driver import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import abc


class Told:
    """What three functions are told, in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.subscriber = Subscriber[Any](
            self.calls.append,
            lambda error: self.calls.append(str(error)),
            lambda: self.calls.append("completed"),
        )


ENDS: list[Callable[[Subscriber[Any]], None]] = [
    lambda subscriber: subscriber.on_error(LookupError("failed")),
    Subscriber[Any].on_completed,
    Subscriber[Any].dispose,
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("end_again", ENDS)
def test_nothing_is_told_after_the_end(
    end: Callable[[Subscriber[Any]], None], end_again: Callable[[Subscriber[Any]], None]
) -> None:
    told = Told()
    disposed: list[int] = []
    told.subscriber.begin(lambda _: Disposable(lambda: disposed.append(1)))
    told.subscriber.on_next(1)
    end(told.subscriber)
    calls = told.calls.copy()
    told.subscriber.on_next(2)
    end_again(told.subscriber)
    assert told.calls == calls
    assert calls[0] == 1
    assert disposed == [1]


def test_how_it_ended_is_told() -> None:
    failed, completed, disposed = Told(), Told(), Told()
    failed.subscriber.on_error(LookupError("failed"))
    completed.subscriber.on_completed()
    disposed.subscriber.dispose()
    assert (failed.calls, completed.calls, disposed.calls) == (["failed"], ["completed"], [])
    assert failed.subscriber.is_stopped
    assert completed.subscriber.is_stopped
    assert disposed.subscriber.is_stopped


def test_an_observer_is_told_like_functions() -> None:
    recorder = Recorder()
    subscriber = Subscriber[Any](recorder)
    subscriber.on_next({"data": 1})
    subscriber.on_completed()
    assert recorder.data == [1]
    assert recorder.completed


def test_without_functions_only_an_error_is_heard_of() -> None:
    subscriber = Subscriber[Any]()
    subscriber.on_next(1)
    with pytest.raises(LookupError, match="failed"):
        subscriber.on_error(LookupError("failed"))
    assert subscriber.is_stopped
    Subscriber[Any]().on_completed()


def test_the_end_is_over_before_it_is_told() -> None:
    """Who subscribes anew from within ``on_error`` finds the old subscription stopped."""
    stopped: list[bool] = []
    subscriber = Subscriber[Any](None, lambda _: stopped.append(subscriber.is_stopped))
    subscriber.on_error(LookupError("failed"))
    assert stopped == [True]


def test_it_is_disposed_of_though_the_end_raises() -> None:
    disposed: list[str] = []

    def fault(*_: object) -> None:
        raise LookupError("mine")

    for end in ENDS[:2]:
        subscriber = Subscriber[Any](None, fault, fault)
        subscriber.begin(lambda _: Disposable(lambda: disposed.append("disposed")))
        with pytest.raises(LookupError, match="mine"):
            end(subscriber)
    assert disposed == ["disposed", "disposed"]


def test_a_subscription_that_fails_is_told_as_the_end() -> None:
    told = Told()

    def refuse(_: object) -> abc.DisposableBase:
        raise LookupError("refused")

    told.subscriber.begin(refuse)
    assert told.calls == ["refused"]
    with pytest.raises(LookupError, match="refused"):
        Subscriber[Any]().begin(refuse)


def test_what_fails_after_the_end_is_raised() -> None:
    def refuse(subscriber: abc.ObserverBase[Any]) -> abc.DisposableBase:
        subscriber.on_completed()
        raise LookupError("refused")

    told = Told()
    with pytest.raises(LookupError, match="refused"):
        told.subscriber.begin(refuse)
    assert told.calls == ["completed"]


def test_what_is_over_before_it_began_is_disposed_of() -> None:
    disposed: list[str] = []

    def subscribe(subscriber: abc.ObserverBase[Any]) -> abc.DisposableBase:
        subscriber.on_completed()
        return Disposable(lambda: disposed.append("disposed"))

    told = Told()
    told.subscriber.begin(subscribe)
    assert told.calls == ["completed"]
    assert disposed == ["disposed"]
