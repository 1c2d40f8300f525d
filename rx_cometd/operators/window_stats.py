"""Figures of what came, every so many seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_plain_function, check_scheduler, check_seconds
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import (
    clock_of,
    current_loop,
    deliver,
    disposable_on,
    loop_scheduler,
    subscribe_on_loop,
)
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable, abc

__all__ = ["WindowStats", "window_stats"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WindowStats:
    """The statistics of one window; ``None`` where there were no items."""

    count: int
    """How many items came."""
    rate: float
    """Items per second, of the time that the window really took."""
    min: float | None
    max: float | None
    mean: float | None
    last: float | None


def window_stats(
    seconds: float,
    value: Callable[[Any], float] | None = None,
    *,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[Any]], Observable[WindowStats]]:
    """Emit statistics of the items and their values, window by window.

    .. marble::
        :alt: window_stats

        --1---3---------------5-|
        [ window_stats(10) ]
        ----------a---------b---(c|)

        a: count=2 rate=0.2 min=1 max=3 mean=2 last=3    b: count=0    c: count=1 ...

    Windows follow each other without a gap, including empty ones; the last one, which
    the end of the source cuts short, is emitted if it is not empty. Unlike with ReactiveX's
    ``buffer_with_time``, memory does not grow with the number of items. An item counts as
    processed (for replay markers) as soon as it was counted.

    Args:
        seconds: How long a window is. If the event loop is blocked for longer, that time becomes
            one window.
        value: Returns the value of an item; the items are numbers if ``None``.
        scheduler: What times the windows; the one of the subscription if ``None``, else the
            running event loop's.

    Errors:
        Those of the source, after the window that was begun. What ``value`` raises, and
        `TypeError` for an item that is not a number. `RuntimeError`: there is neither a scheduler
        nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``seconds`` is not more than 0.

    Example:
        >>> import asyncio, reactivex
        >>> async def main() -> WindowStats:
        ...     return await reactivex.of(1, 2, 6).pipe(window_stats(60))
        >>> stats = asyncio.run(main())
        >>> stats.count, stats.min, stats.max, stats.mean, stats.last
        (3, 1, 6, 3.0, 6)
    """
    check_scheduler(scheduler)
    check_seconds("seconds", seconds)
    if value is not None:
        check_plain_function("value", value)

    def operator(source: Observable[Any]) -> Observable[WindowStats]:
        def subscribe(
            observer: abc.ObserverBase[WindowStats], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            timed = loop_scheduler(scheduler or subscribed_on)
            return _Windows(observer, seconds, value, timed).subscribe(source, subscribed_on)

        return derive(source, subscribe)

    return operator


class _Windows(Generic[_T]):
    """The windows of one subscription."""

    def __init__(
        self,
        observer: abc.ObserverBase[WindowStats],
        seconds: float,
        value: Callable[[_T], float] | None,
        scheduler: abc.SchedulerBase,
    ) -> None:
        self._observer = observer
        self._seconds = seconds
        self._value = value
        self._scheduler = scheduler
        self._timer = SerialDisposable()
        self._source = SingleAssignmentDisposable()
        self._now = clock_of(scheduler)
        self._first_began = self._began = self._now()
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf
        self._last: float | None = None

    def subscribe(
        self, source: Observable[_T], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        self._set_timer()
        self._source.disposable = subscribe_on_loop(
            source, self._on_next, self._on_error, self._on_completed, scheduler=scheduler
        )
        return disposable_on(current_loop(), self._close)

    def _set_timer(self) -> None:
        # Counted from the first window on, so that delays of the timers do not add up.
        now = self._now()
        over = round((now - self._first_began) / self._seconds, 6) // 1
        due = self._first_began + (over + 1) * self._seconds
        self._timer.disposable = self._scheduler.schedule_relative(due - now, self._on_time)

    def _on_next(self, item: Any) -> None:
        try:
            number = item if self._value is None else self._value(item)
            self._sum += number
        except Exception as error:
            self._close()
            self._observer.on_error(error)
            return
        self._count += 1
        self._min = min(self._min, number)
        self._max = max(self._max, number)
        self._last = number

    def _on_time(self, *_: Any) -> None:
        with apart():
            self._set_timer()
            self._emit()

    def _emit(self) -> None:
        now = self._now()
        count, elapsed = self._count, now - self._began
        stats = WindowStats(
            count,
            count / elapsed if elapsed > 0 else 0.0,
            self._min if count else None,
            self._max if count else None,
            self._sum / count if count else None,
            self._last,
        )
        self._began = now
        self._clear()
        deliver(self._observer, stats, None)

    def _on_error(self, error: Exception) -> None:
        if self._count:
            self._emit()
        self._close()
        self._observer.on_error(error)

    def _on_completed(self) -> None:
        if self._count:
            self._emit()
        self._close()
        self._observer.on_completed()

    def _close(self) -> None:
        self._timer.dispose()
        self._source.dispose()
