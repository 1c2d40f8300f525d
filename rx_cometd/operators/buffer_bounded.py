"""Micro-batches: lists of items, bounded in number and in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex.disposable import Disposable, SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_positive, check_scheduler, check_seconds
from rx_cometd._flow.delivery import Delivery, Hold, apart, hold
from rx_cometd._flow.edge import (
    current_loop,
    deliver,
    disposable_on,
    loop_scheduler,
    subscribe_on_loop,
)
from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import derive
from rx_cometd.statistics.snapshot import BufferStatistics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Flow

__all__ = ["buffer_bounded"]

_T = TypeVar("_T")


def buffer_bounded(
    count: int,
    seconds: float | None = None,
    *,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[list[_T]]]:
    """Collect items into lists, limited in number and in time.

    .. marble::
        :alt: buffer_bounded

        --1-2-3-4-----5--------6-|
        [ buffer_bounded(3, 6) ]
        ------[1,2,3]--[4]--[5]--([6]|)

    For writing into databases: a message counts as processed (for replay markers) once its list
    is, so with ``map_async(write)`` behind it, once it is written. In contrast to this, ReactiveX's
    ``buffer_with_time_or_count`` emits empty lists when nothing comes, and drops the last list
    when the source fails.

    Args:
        count: How many items a list has at most.
        seconds: How long the first item of a list waits at most, ``None`` for no limit.
        scheduler: What times that; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        Those of the source, after the list that was begun. `RuntimeError`: ``seconds`` is given,
        and there is neither a scheduler nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``count`` is less than 1, or ``seconds`` not more than 0.

    Example:
        >>> import reactivex
        >>> numbers = reactivex.of(1, 2, 3, 4, 5)
        >>> subscription = numbers.pipe(buffer_bounded(2)).subscribe(print)
        [1, 2]
        [3, 4]
        [5]
    """
    check_scheduler(scheduler)
    check_positive("count", count)
    if seconds is not None:
        check_seconds("seconds", seconds)

    def operator(source: Observable[_T]) -> Observable[list[_T]]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[list[_T]], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            batch = _Batch(observer, count, flow)
            if seconds is not None:
                batch.limit_time(seconds, loop_scheduler(scheduler or subscribed_on))
            return batch.subscribe(source, subscribed_on)

        return derive(source, subscribe)

    return operator


class _Batch(Generic[_T]):
    """The list that is being filled, of one subscription."""

    def __init__(self, observer: abc.ObserverBase[list[_T]], count: int, flow: Flow | None) -> None:
        self._observer = observer
        self._count = count
        self._flow = flow
        self._begin_timer: Callable[[], abc.DisposableBase] | None = None
        self._timer = SerialDisposable()
        self._source = SingleAssignmentDisposable()
        self._items: list[_T] = []
        self._holds: list[Hold] = []

    @property
    def pending_count(self) -> int:
        """Items that wait for their list to be emitted."""
        return len(self._items)

    def statistics(self) -> BufferStatistics:
        """Tell what waits here; nothing is dropped, for a full list is emitted."""
        return BufferStatistics("batch", self._count, self.pending_count, 0, 0, suspended=False)

    def is_done_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task works on what waits: none does."""
        del task
        return False

    def limit_time(self, seconds: float, scheduler: abc.SchedulerBase) -> None:
        """Emit a list when its first item has waited so long."""
        self._begin_timer = lambda: scheduler.schedule_relative(seconds, self._on_time)

    def subscribe(
        self, source: Observable[_T], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        if self._flow is not None:
            self._flow.attach(self)
        self._source.disposable = subscribe_on_loop(
            source, self._on_next, self._on_error, self._on_completed, scheduler=scheduler
        )
        return disposable_on(current_loop(), self._close)

    def _on_next(self, item: _T) -> None:
        self._items.append(item)
        held = hold()
        if held is not None:
            self._holds.append(held)
        if len(self._items) >= self._count:
            self._emit()
        elif len(self._items) == 1 and self._begin_timer is not None:
            self._timer.disposable = self._begin_timer()

    def _on_time(self, *_: Any) -> None:
        with apart():
            self._emit()

    def _emit(self) -> None:
        # State first: the observer may dispose, or have the source emit more.
        items, self._items = self._items, []
        holds, self._holds = self._holds, []
        self._timer.disposable = Disposable()
        if items:
            deliver(self._observer, items, _hold_all(holds))

    def _on_error(self, error: Exception) -> None:
        self._emit()
        self._close()
        self._observer.on_error(error)

    def _on_completed(self) -> None:
        self._emit()
        self._close()
        self._observer.on_completed()

    def _close(self) -> None:
        self._items = []
        self._holds = []
        self._timer.dispose()
        self._source.dispose()
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.detach(self)


def _hold_all(holds: list[Hold]) -> Hold | None:
    """Make one hold of those on the messages of a list."""
    if not holds:
        return None

    def release() -> None:
        for held in holds:
            held()

    return Delivery(release).hold()
