"""No more than so many items in so many seconds."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex.disposable import SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_bound, check_positive, check_scheduler, check_seconds
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import (
    TURN,
    clock_of,
    current_loop,
    deliver,
    disposable_on,
    loop_scheduler,
    subscribe_on_loop,
)
from rx_cometd._flow.ending import tell_end
from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Overflow

__all__ = ["rate_limit"]

_T = TypeVar("_T")


def rate_limit(
    count: int,
    seconds: float,
    *,
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Let at most ``count`` items pass in any ``seconds``; those beyond wait.

    .. marble::
        :alt: rate_limit

        --1-2-3-4----------|
        [ rate_limit(2, 6) ]
        --1-2---3-4--------|

    For a service with a quota, or a page that should not be redrawn too often. Items wait
    in a bounded buffer, which `bounded_buffer` describes; put `conflate` before it to send only the
    latest. ReactiveX's ``throttle_first`` and ``sample`` drop items that come too soon.

    Args:
        count: How many items may pass within the time.
        seconds: The time, as a sliding window.
        max_pending_count: How many items may wait; ``<= 0`` is unbounded, ``None`` the client's
            bound if the source belongs to a client, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.
        scheduler: What times the items; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        `BufferOverflowError`, and errors of the source, after what is pending. `ClientError` at
        once: ``SUSPEND`` cannot work on this source. `RuntimeError`: there is neither a scheduler
        nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``count`` is less than 1, or ``seconds`` not more than 0.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def main() -> list[int]:
        ...     return await reactivex.of(1, 2, 3).pipe(rate_limit(2, 0.01), ops.to_list())
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    check_positive("count", count)
    check_seconds("seconds", seconds)
    check_scheduler(scheduler)
    check_bound(max_pending_count, overflow)

    def operator(source: Observable[_T]) -> Observable[_T]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            timed = loop_scheduler(scheduler or subscribed_on)
            buffer = MessageBuffer[_T](
                max_pending_count, overflow, flow=flow, now=lambda: timed.now
            )
            gate = _Gate(buffer, observer, timed, count, seconds)
            return gate.subscribe(source, subscribed_on)

        return derive(source, subscribe)

    return operator


class _Gate(Generic[_T]):
    """One subscription: items pass at once while the rate allows, else when their time comes."""

    def __init__(
        self,
        buffer: MessageBuffer[_T],
        observer: abc.ObserverBase[_T],
        scheduler: abc.SchedulerBase,
        count: int,
        seconds: float,
    ) -> None:
        self._buffer = buffer
        self._observer = observer
        self._scheduler = scheduler
        self._clock = clock_of(scheduler)
        self._seconds = seconds
        # When the last `count` items passed.
        self._passed: deque[float] = deque(maxlen=count)
        self._source = SingleAssignmentDisposable()
        self._timer = SerialDisposable()
        self._active = False  # emitting, or a timer is set
        self._closed = False
        buffer.wake = self._wake

    def subscribe(
        self, source: Observable[_T], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        buffer = self._buffer
        self._source.disposable = subscribe_on_loop(
            source, buffer.offer, buffer.fail, buffer.complete, scheduler=scheduler
        )
        return disposable_on(current_loop(), self._close)

    def _wake(self) -> None:
        if self._buffer.terminated:
            self._source.dispose()  # it may be the buffer that ended: nothing more is wanted
        if not self._active:
            self._run()

    def _run(self, *_: Any) -> None:
        self._active = True
        wait: float | None = None
        try:
            with apart():
                wait = self._emit()
        finally:
            self._active = wait is not None
        if wait is not None:
            self._timer.disposable = self._scheduler.schedule_relative(wait, self._run)
        elif self._buffer.terminated and not self._closed:
            self._end()

    def _emit(self) -> float | None:
        """Emit what may pass now; give the seconds until more may, ``None`` if nothing waits."""
        buffer, passed = self._buffer, self._passed
        for _ in range(TURN):
            if not buffer.pending_count:
                return None
            now = self._clock()
            if len(passed) == passed.maxlen and passed[0] + self._seconds > now:
                return passed[0] + self._seconds - now
            passed.append(now)
            message = buffer.take_nowait()
            deliver(self._observer, message, buffer.taken)
        return 0.0 if buffer.pending_count else None

    def _end(self) -> None:
        self._close()
        tell_end(self._observer, self._buffer.error, self._buffer.client)

    def _close(self) -> None:
        self._closed = True
        self._buffer.close()
        self._timer.dispose()
        self._source.dispose()
