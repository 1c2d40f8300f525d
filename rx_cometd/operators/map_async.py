"""Asynchronous work for each item, bounded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from reactivex.disposable import SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_bound, check_choice, check_positive
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.delivery import stay_apart
from rx_cometd._flow.edge import (
    TURN,
    deliver,
    disposable_on,
    report_failure,
    running_loop,
    subscribe_on_loop,
    task_on,
)
from rx_cometd._flow.ending import tell_end
from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import derive
from rx_cometd._flow.work import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.delivery import Hold
    from rx_cometd._flow.flow import Overflow
    from rx_cometd._flow.work import DeadLetterTarget, Errors

__all__ = ["map_async"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def map_async(
    fn: Callable[[_T], Awaitable[_R]],
    *,
    max_concurrency: int = 1,
    ordered: bool = True,
    errors: Errors = "raise",
    dead_letter: DeadLetterTarget | None = None,
    timeout: float | None = None,
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
) -> Callable[[Observable[_T]], Observable[_R]]:
    """Do asynchronous work for each item and emit the results.

    .. marble::
        :alt: map_async

        --1-2-3---------|
        [ map_async(work) ]       work takes four ticks
        ------a---b---c-|         max_concurrency=1
        ------a-b-c-----|         max_concurrency=2

    Items wait in a bounded buffer until one of the ``max_concurrency`` calls ends. An idle
    subscription has no task. A message counts as processed (for replay markers) once its work
    succeeded and the observer has the result.

    Args:
        fn: A coroutine function, or a function that returns an awaitable.
        max_concurrency: How many calls of ``fn`` may be under way at once.
        ordered: Emit in the order of the source; an early result then waits for its turn, and
            counts as under way until then. ``False``: emit each as soon as it is done.
        errors: ``"raise"``: the first failure ends the stream. ``"drop"``: it is logged, its item
            counts as processed, and the stream goes on.
        dead_letter: A function that is called with a `DeadLetter` for each item whose work
            failed, or an observer of them, instead of a result; the item counts as processed
            then, and the stream goes on.
        timeout: Seconds that the work for an item may take, ``None`` for no limit.
        max_pending_count: How many items may wait for their work; ``<= 0`` is unbounded, ``None``
            the client's bound if the source belongs to a client, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.

    Errors:
        What ``fn`` raises, and `TimeoutError`, in its turn if ``ordered``; later calls are
        cancelled. With ``errors="drop"`` or ``dead_letter`` these do not end the stream, but what
        ``dead_letter`` raises does, and so does an `asyncio.CancelledError` that ``fn`` raises.
        `TypeError`: ``fn`` returned nothing to await. `BufferOverflowError` and errors of the
        source come after what was pending then. Disposing cancels the calls under way.

    Returns:
        A pipeable operator. It has to be subscribed on a running event loop.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``max_concurrency`` is less than 1, ``timeout`` not more than 0, or
            ``errors`` is neither.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def double(x: int) -> int:
        ...     return 2 * x
        >>> async def main() -> list[int]:
        ...     return await reactivex.of(1, 2, 3).pipe(
        ...         map_async(double, max_concurrency=2), ops.to_list()
        ...     )
        >>> asyncio.run(main())
        [2, 4, 6]
    """
    work = Work(fn, timeout=timeout, errors=errors, dead_letter=dead_letter)
    check_positive("max_concurrency", max_concurrency)
    check_choice("ordered", ordered)
    check_bound(max_pending_count, overflow)

    def operator(source: Observable[_T]) -> Observable[_R]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[_R], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            buffer = MessageBuffer[_T](
                max_pending_count,
                overflow,
                flow=flow,
                now=None if scheduler is None else lambda: scheduler.now,
            )
            calls = _Calls(work, observer, buffer, max_concurrency, ordered=ordered)
            return calls.subscribe(source, scheduler)

        return derive(source, subscribe)

    return operator


class _Item(NamedTuple):
    """An item whose work is under way, with its place in the order of the source."""

    place: int
    value: Any
    held: Hold | None


class _Calls(Generic[_T, _R]):
    """The calls of one subscription.

    Tasks are started when items come and end when none is pending, each doing one work after the
    other. An item is under way from when it is taken out of the buffer until its result was
    emitted; at most ``max_concurrency`` are, which bounds the results that wait for their turn.
    """

    def __init__(
        self,
        work: Work[_T, _R],
        observer: abc.ObserverBase[_R],
        buffer: MessageBuffer[_T],
        max_concurrency: int,
        *,
        ordered: bool,
    ) -> None:
        self._do = work
        self._observer = observer
        self._buffer = buffer
        buffer.lingers = True
        self._room = max_concurrency  # for calls beside those under way
        self._ordered = ordered
        self._loop = running_loop()
        self._source = SingleAssignmentDisposable()
        self._tasks: dict[asyncio.Task[None], _Item] = {}
        buffer.workers = self._tasks
        self._taken = 0
        self._emitted = 0
        # Results that came before their turn, by place. An error is held as it is raised.
        self._early: dict[int, tuple[_Item, Any, BaseException | None]] = {}
        self._failed_at: int | None = None
        self._closed = False

    def subscribe(
        self, source: Observable[_T], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        self._source.disposable = subscribe_on_loop(
            source, self._offer, self._end, self._end, scheduler=scheduler
        )
        return disposable_on(self._loop, self._close)

    def _offer(self, value: _T) -> None:
        self._buffer.offer(value)
        if self._room:
            self._start_tasks()
        if self._buffer.terminated:  # it overflowed
            self._source.dispose()
            self._end_if_done()

    def _end(self, error: Exception | None = None) -> None:
        if error is None:
            self._buffer.complete()
        else:
            self._buffer.fail(error)
        self._end_if_done()

    def _start_tasks(self) -> None:
        while (item := self._take()) is not None:
            task = task_on(self._loop, self._run(item), "rx_cometd.map_async")
            self._tasks[task] = item
            task.add_done_callback(self._forget)

    def _take(self) -> _Item | None:
        if not self._room or self._failed_at is not None or not self._buffer.pending_count:
            return None
        value = self._buffer.take_nowait()
        self._room -= 1
        self._taken += 1
        return _Item(self._taken - 1, value, self._buffer.taken)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        report_failure(task)

    async def _run(self, item: _Item) -> None:
        """Do the work for one item, and for what is pending after it."""
        me = cast("asyncio.Task[None]", asyncio.current_task())
        stay_apart()
        done = 0
        following: _Item | None = item
        while following is not None:
            self._tasks[me] = following
            done += 1
            await self._work(following, pause=done % TURN == 0)
            following = self._take()
            if self._room:
                self._start_tasks()

    async def _work(self, item: _Item, *, pause: bool) -> None:
        value: _R | None = None
        error: BaseException | None = None
        try:
            if pause:
                await asyncio.sleep(0)
            value = await self._do.begin(item.value)
        except Exception as raised:
            error = raised
        except asyncio.CancelledError as raised:
            # Ours ends the work; any other came out of `fn`, or ends the loop.
            if not self._closed and not self._superseded(item):
                self._finish(item, None, raised)
            raise
        self._finish(item, value, error)

    def _superseded(self, item: _Item) -> bool:
        return self._failed_at is not None and item.place > self._failed_at

    def _finish(self, item: _Item, value: _R | None, error: BaseException | None) -> None:
        if self._closed:
            return
        if error is not None and not self._do.tolerates(error):
            self._stop_behind(item)
        if self._ordered and item.place != self._emitted:
            self._early[item.place] = item, value, error
            return
        self._emit(item, value, error)
        self._emit_early()
        self._end_if_done()

    def _emit_early(self) -> None:
        while not self._closed and self._emitted in self._early:
            self._emit(*self._early.pop(self._emitted))

    def _stop_behind(self, failed: _Item) -> None:
        """Take nothing more, and cancel what would come after an error."""
        if self._failed_at is None or failed.place < self._failed_at:
            self._failed_at = failed.place
        self._source.dispose()
        self._buffer.close()
        for task, item in self._tasks.items():
            if self._superseded(item):
                task.cancel()

    def _emit(self, item: _Item, value: _R | None, error: BaseException | None) -> None:
        if error is not None:
            error = self._settle(item, error)
        else:
            deliver(self._observer, cast("_R", value), item.held)
        if error is None:
            self._emitted += 1  # only now, or a source ending meanwhile would end us within
            self._room += 1
        else:
            self._close()
            tell_end(self._observer, error, self._buffer.client)

    def _settle(self, item: _Item, error: BaseException) -> BaseException | None:
        """Do without the result of an item, if that is tolerated; else give the error to tell."""
        if not self._do.tolerates(error):
            return error
        try:
            self._do.give_up(item.value, cast("Exception", error))
        except Exception as raised:
            return raised
        if item.held is not None:
            item.held()
        return None

    def _end_if_done(self) -> None:
        buffer = self._buffer
        if (
            self._closed
            or self._failed_at is not None
            or not buffer.terminated
            or buffer.pending_count
            or self._emitted < self._taken
        ):
            return
        self._close()
        tell_end(self._observer, buffer.error, buffer.client)

    def _close(self) -> None:
        self._closed = True
        self._source.dispose()
        self._buffer.close()
        for task in self._tasks:
            task.cancel()
