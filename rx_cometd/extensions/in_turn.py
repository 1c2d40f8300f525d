"""Waiting for what an extension awaits, in the order of the payloads."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from reactivex import Observable
from reactivex.disposable import CompositeDisposable, Disposable

from rx_cometd.exceptions import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import abc

    from rx_cometd.extension import Payload, PayloadOperator

    _Action: TypeAlias = Callable[[Payload], Awaitable[None] | None]

__all__ = ["in_turn"]


def in_turn(action: _Action) -> PayloadOperator:
    """Do something with each payload that mostly is done at once, and seldom must be awaited.

    .. marble::
        :alt: in_turn

        --1--2--3--------|
        [ in_turn(act) ]      only act(2) gives an awaitable, which takes five ticks
        --1-------2-3----|

    As long as nothing is awaited, payloads pass within the call that brings them. Those that
    come while an awaitable is waited for wait behind it, without a bound: what is sent is control
    and the user's own publishes.

    Args:
        action: Changes the payload in place; gives an awaitable if it has to be waited for.

    Errors:
        What the action or its awaitable raises. `ExtensionError`: the awaitable was cancelled
        by others than the disposal.

    Returns:
        A pipeable operator. Disposing cancels what is awaited.

    Example:
        >>> import reactivex
        >>> from rx_cometd.extension import Payload
        >>> sent = reactivex.of(Payload([{"channel": "/a"}])).pipe(in_turn(lambda payload: None))
        >>> disposable = sent.subscribe(print)
        <Payload of 1: /a>
    """

    def operator(source: Observable[Payload]) -> Observable[Payload]:
        def subscribe(
            observer: abc.ObserverBase[Payload], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            queue = _Queue(action, observer)
            subscription = source.subscribe(
                queue.on_next, queue.on_error, queue.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(subscription, Disposable(queue.dispose))

        return Observable(subscribe)

    return operator


class _Queue:
    """The payloads of one subscription: the one that is worked on, and those behind it."""

    def __init__(self, action: _Action, observer: abc.ObserverBase[Payload]) -> None:
        self._action = action
        self._observer = observer
        self._waiting: deque[Payload] = deque()
        self._awaited: asyncio.Future[None] | None = None
        self._end: Callable[[], None] | None = None
        self._stopped = False

    def on_next(self, payload: Payload) -> None:
        if self._awaited is not None:
            self._waiting.append(payload)
        elif not self._stopped:
            self._start(payload)

    def on_error(self, error: Exception) -> None:
        self._finish(lambda: self._observer.on_error(error))

    def on_completed(self) -> None:
        self._finish(self._observer.on_completed)

    def dispose(self) -> None:
        self._stopped = True
        self._waiting.clear()
        if self._awaited is not None:
            self._awaited.cancel()

    def _finish(self, end: Callable[[], None]) -> None:
        if self._awaited is not None:
            self._end = end
        elif not self._stopped:
            end()

    def _start(self, payload: Payload) -> None:
        try:
            awaitable = self._action(payload)
        except Exception as error:
            self._fail(error)
            return
        if awaitable is None:
            self._observer.on_next(payload)
            return
        self._awaited = asyncio.ensure_future(awaitable)
        self._awaited.add_done_callback(lambda future: self._done(payload, future))

    def _done(self, payload: Payload, future: asyncio.Future[None]) -> None:
        self._awaited = None
        error = None if future.cancelled() else future.exception()
        if self._stopped:
            return
        if future.cancelled():
            self._fail(ExtensionError("what an extension was waiting for has been cancelled"))
        elif error is not None:
            # Tasks hold no other errors: KeyboardInterrupt and SystemExit end the loop at once.
            self._fail(error if isinstance(error, Exception) else ExtensionError(repr(error)))
        else:
            self._observer.on_next(payload)
            self._next()

    def _next(self) -> None:
        while self._waiting and self._awaited is None and not self._stopped:
            self._start(self._waiting.popleft())
        if self._awaited is None and not self._stopped and self._end is not None:
            self._end()

    def _fail(self, error: Exception) -> None:
        self._stopped = True
        self._waiting.clear()
        self._observer.on_error(error)
