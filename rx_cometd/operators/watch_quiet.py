"""A source that is silent for too long is subscribed to again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_choice, check_scheduler, check_seconds
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import clock_of, current_loop, disposable_on, loop_scheduler
from rx_cometd._flow.flow import Flow, flow_of
from rx_cometd._flow.observable import LoopObservable
from rx_cometd.exceptions import TransportTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WatchedObservable", "watch_quiet"]

_log = logging.getLogger("rx_cometd.operators")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class WatchedObservable(Observable[_T_co]):
    """What `watch_quiet` returns: an observable that counts how often its source was too silent.

    Attributes:
        quiet_count: How often the source was subscribed to again, in all subscriptions so far.
    """

    def __init__(self, subscribe: abc.Subscription[_T_co]) -> None:
        super().__init__(subscribe)
        self.quiet_count = 0


class _LoopWatchedObservable(LoopObservable[_T_co], WatchedObservable[_T_co]):
    """The same, of a source that lives on an event loop."""

    def __init__(self, subscribe: abc.Subscription[_T_co], flow: Flow | None) -> None:
        super().__init__(subscribe, flow=flow)


def watch_quiet(
    seconds: float,
    *,
    fail: bool = False,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], WatchedObservable[_T]]:
    """Subscribe again, once, when nothing has arrived for some time.

    .. marble::
        :alt: watch_quiet

        --1--2-----------                   the source, first and second subscription
                         --3--------------------
        [ watch_quiet(12, fail=True) ]
        --1--2-------------3----------------------x

    For channels that are known to be busy: a server may lose a subscription without noticing
    (Salesforce recommends exactly this). The client itself detects a silent *link*. The
    subscription to the source is disposed of, and renewed in a later turn, so that a channel
    without other observers is really unsubscribed from and subscribed to; this is logged as a
    warning and counted in ``quiet_count``. If it does not help, it is not repeated: with ``fail``
    the stream ends with an error, otherwise it keeps waiting. Any item ends the silence.

    Args:
        seconds: How long a source may be silent.
        fail: Whether to end with an error if subscribing again did not help.
        scheduler: What times that; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        Those of the source. `TransportTimeoutError`: silent for twice the time, and ``fail``.
        `RuntimeError`: there is neither a scheduler nor a running event loop.

    Returns:
        A pipeable operator; the observable that it returns has a `quiet_count`.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``seconds`` is not more than 0.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> silent_then_busy = iter([reactivex.never(), reactivex.of("here again")])
        >>> async def main() -> str:
        ...     source = reactivex.defer(lambda _: next(silent_then_busy))
        ...     return await source.pipe(watch_quiet(0.01))
        >>> asyncio.run(main())
        'here again'
    """
    check_scheduler(scheduler)
    check_seconds("seconds", seconds)
    check_choice("fail", fail)

    def operator(source: Observable[_T]) -> WatchedObservable[_T]:
        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def count() -> None:
                result.quiet_count += 1

            timed = loop_scheduler(scheduler or subscribed_on)
            watch = _Watch(source, observer, timed, subscribed_on, seconds, count=count, fail=fail)
            return watch.begin()

        result: WatchedObservable[_T] = (
            _LoopWatchedObservable(subscribe, flow_of(source))
            if isinstance(source, LoopObservable)
            else WatchedObservable(subscribe)
        )
        return result

    return operator


class _Watch(Generic[_T]):
    """One subscription: the source, and one timer, which items do not touch."""

    def __init__(
        self,
        source: Observable[_T],
        observer: abc.ObserverBase[_T],
        timed: abc.SchedulerBase,
        subscribed_on: abc.SchedulerBase | None,
        seconds: float,
        *,
        count: Callable[[], None],
        fail: bool,
    ) -> None:
        self._source = source
        self._observer = observer
        self._timed = timed
        self._now = clock_of(timed)
        self._subscribed_on = subscribed_on
        self._seconds = seconds
        self._count = count
        self._fail = fail
        self._subscription = SerialDisposable()
        self._timer = SerialDisposable()
        self._heard_at = 0.0
        self._tried = False  # whether it was subscribed to again in this silence
        self._watching = False

    def begin(self) -> abc.DisposableBase:
        self._heard_at = self._now()
        self._set_timer()
        self._subscribe()
        return disposable_on(current_loop(), self._close)

    def _subscribe(self) -> None:
        subscription = SingleAssignmentDisposable()
        self._subscription.disposable = subscription
        subscription.disposable = self._source.subscribe(
            self._on_next, self._on_error, self._on_completed, scheduler=self._subscribed_on
        )

    def _set_timer(self) -> None:
        self._watching = True
        left = self._heard_at + self._seconds - self._now()
        self._timer.disposable = self._timed.schedule_relative(max(0.0, left), self._look)

    def _look(self, *_: Any) -> None:
        with apart():
            if self._heard_at + self._seconds > self._now():
                self._set_timer()
            elif not self._tried:
                self._begin_again()
            elif self._fail:
                self._close()
                self._observer.on_error(
                    TransportTimeoutError(
                        f"silent for {self._seconds} s, and for as long again after it was "
                        "subscribed to again: does anybody publish there?"
                    )
                )
            else:
                self._watching = False

    def _begin_again(self) -> None:
        _log.warning(
            "silent for %s s: subscribing again",
            self._seconds,
            extra={"event": "channel_quiet", "seconds": self._seconds},
        )
        self._count()
        self._tried = True
        self._heard_at = self._now()
        self._subscription.disposable = Disposable()
        # In a later turn: within one, a client would send neither request.
        self._timer.disposable = self._timed.schedule_relative(0.0, self._subscribe_again)

    def _subscribe_again(self, *_: Any) -> None:
        with apart():
            self._set_timer()
            self._subscribe()

    def _on_next(self, item: _T) -> None:
        self._heard_at = self._now()
        self._tried = False
        if not self._watching:
            self._set_timer()
        self._observer.on_next(item)

    def _on_error(self, error: Exception) -> None:
        self._close()
        self._observer.on_error(error)

    def _on_completed(self) -> None:
        self._close()
        self._observer.on_completed()

    def _close(self) -> None:
        self._timer.dispose()
        self._subscription.dispose()
