"""Subscribing again after an error, but not at once."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import (
    check_choice,
    check_fraction,
    check_plain_function,
    check_positive,
    check_scheduler,
)
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import current_loop, disposable_on, loop_scheduler
from rx_cometd._flow.multicast import fail_observer, report_unhandled
from rx_cometd._flow.observable import derive
from rx_cometd._protocol.backoff import Backoff
from rx_cometd._protocol.user_functions import call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reactivex import Observable, abc

__all__ = ["retry_with_backoff"]

_T = TypeVar("_T")


def retry_with_backoff(
    count: int | None = None,
    *,
    delays: Callable[[], Iterator[float]] | None = None,
    jitter: float = 1.0,
    errors: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] = Exception,
    reset_on_success: bool = True,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """After an error, wait, and subscribe to the source again.

    .. marble::
        :alt: retry_with_backoff

        --1--x                        each subscription to the source
        [ retry_with_backoff(2, jitter=0, delays=lambda: iter([3, 6])) ]
        --1-----1----x

    ReactiveX's ``retry`` subscribes again at once, so a server that refuses is asked again as fast
    as it can answer. Here each attempt waits longer than the previous one, with a random part,
    so that many clients do not come back at the same moment.

    Messages published while it waits are not delivered. It is better to handle a bad message where
    it is read (a ``map`` that catches, ``map_async(errors="drop")``) than to subscribe again.

    Args:
        count: How many times to try again before emitting the error, ``None`` for no limit.
        delays: Returns an iterator of delays, in seconds, for each run of failures; its last one is
            repeated. Default: 0.5, 1, 2, 4, ... up to 30.
        jitter: Which part of each delay is random, from 0 to 1: a delay of 4 with a jitter of 0.5
            is drawn from 2 to 4. With 1 (full jitter) clients spread best.
        errors: Which errors to retry: types, or a function that decides. Others end the stream.
        reset_on_success: Each item ends the run of failures: ``count`` and ``delays`` start over.
        scheduler: What times the delays; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        The last error of the source. What ``errors`` or ``delays`` raise. `RuntimeError`: there is
        neither a scheduler nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``count`` is less than 1, or ``jitter`` not from 0 to 1.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> answers = iter([reactivex.throw(OSError("busy")), reactivex.of("welcome")])
        >>> async def main() -> str:
        ...     return await reactivex.defer(lambda _: next(answers)).pipe(
        ...         retry_with_backoff(3, delays=lambda: iter([0.01]), errors=OSError)
        ...     )
        >>> asyncio.run(main())
        'welcome'
    """
    check_scheduler(scheduler)
    if count is not None:
        check_positive("count", count)
    if delays is not None:
        check_plain_function("delays", delays)
    if not isinstance(errors, type | tuple):
        check_plain_function("errors", errors)
    check_choice("reset_on_success", reset_on_success)
    check_fraction("jitter", jitter)

    def accepts(error: Exception) -> bool:
        if isinstance(errors, type | tuple):
            return isinstance(error, errors)
        return errors(error)

    def operator(source: Observable[_T]) -> Observable[_T]:
        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            attempts = _Attempts(
                source,
                observer,
                loop_scheduler(scheduler or subscribed_on),
                subscribed_on,
                count=count,
                backoff=Backoff(_doubling if delays is None else delays),
                jitter=jitter,
                accepts=accepts,
                reset_on_success=reset_on_success,
            )
            attempts.begin()
            return disposable_on(current_loop(), attempts.close)

        return derive(source, subscribe)

    return operator


def _doubling() -> Iterator[float]:
    delay = 0.5
    while True:
        yield min(delay, 30.0)
        delay = min(2 * delay, 30.0)


class _Attempts(Generic[_T]):
    """The attempts of one subscription: at most one is under way, or one delay."""

    def __init__(
        self,
        source: Observable[_T],
        observer: abc.ObserverBase[_T],
        timed: abc.SchedulerBase,
        subscribed_on: abc.SchedulerBase | None,
        *,
        count: int | None,
        backoff: Backoff,
        jitter: float,
        accepts: Callable[[Exception], bool],
        reset_on_success: bool,
    ) -> None:
        self._source = source
        self._observer = observer
        self._timed = timed
        self._subscribed_on = subscribed_on
        self._count = count
        self._backoff = backoff
        self._jitter = jitter
        self._accepts = accepts
        self._reset_on_success = reset_on_success
        self._failures = 0
        self._present = SerialDisposable()

    def begin(self) -> None:
        # Assigned before it is subscribed: a source that fails at once is followed by a delay.
        attempt = SingleAssignmentDisposable()
        self._present.disposable = attempt
        attempt.disposable = self._source.subscribe(
            self._on_next,
            self._on_error,
            self._observer.on_completed,
            scheduler=self._subscribed_on,
        )

    def _begin_again(self, *_: Any) -> None:
        with apart():
            self.begin()

    def close(self) -> None:
        self._present.dispose()

    def _on_next(self, item: _T) -> None:
        if self._failures and self._reset_on_success:
            self._failures = 0
            self._backoff.reset()
        try:
            self._observer.on_next(item)
        except BaseException as error:
            # Not the source failed, but its observer, which trying again would not mend.
            fail_observer(self._observer, error, report_unhandled)

    def _on_error(self, error: Exception) -> None:
        try:
            delay = self._next_delay(error)
        except Exception as raised:
            self._observer.on_error(raised)
            return
        if delay is None:
            self._observer.on_error(error)
        else:
            self._present.disposable = self._timed.schedule_relative(delay, self._begin_again)

    def _next_delay(self, error: Exception) -> float | None:
        """Give the time until the next attempt, ``None`` if there is to be none."""
        if not call(partial(self._accepts, error), "errors"):
            return None
        if self._count is not None and self._failures >= self._count:
            return None
        self._failures += 1
        delay = call(self._backoff.next_delay, "delays")
        return delay * (1 - self._jitter * random.random())  # noqa: S311
