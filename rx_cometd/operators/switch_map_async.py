"""Asynchronous work for the latest item only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from reactivex.disposable import SingleAssignmentDisposable

from rx_cometd._flow.delivery import hold, stay_apart
from rx_cometd._flow.edge import (
    deliver,
    disposable_on,
    report_failure,
    running_loop,
    subscribe_on_loop,
    task_on,
)
from rx_cometd._flow.ending import on_behalf_of, tell_end
from rx_cometd._flow.flow import Flow, flow_of
from rx_cometd._flow.observable import derive
from rx_cometd._flow.work import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.work import DeadLetterTarget, Errors

__all__ = ["one_at_a_time", "switch_map_async"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def switch_map_async(
    fn: Callable[[_T], Awaitable[_R]],
    *,
    errors: Errors = "raise",
    dead_letter: DeadLetterTarget | None = None,
    timeout: float | None = None,
) -> Callable[[Observable[_T]], Observable[_R]]:
    """Do asynchronous work for each item; a new item cancels the work for the previous one.

    .. marble::
        :alt: switch_map_async

        --1-----2-3-----|
        [ switch_map_async(work) ]       work takes four ticks
        ------a-------c-|

    For work where only the latest item matters: the details of the selected row, redrawing a
    page. Nothing waits, so no buffer is needed. A message whose work is cancelled counts as
    processed (for replay markers), because a newer one replaces it. This is RxJS's ``switchMap``.

    Args:
        fn: A coroutine function, or a function that returns an awaitable.
        errors: ``"raise"``: the first failure ends the stream. ``"drop"``: it is logged, and the
            stream goes on.
        dead_letter: A function that is called with a `DeadLetter` for each item whose work
            failed, or an observer of them; the stream goes on.
        timeout: Seconds that the work for an item may take, ``None`` for no limit.

    Errors:
        What ``fn`` raises, and `TimeoutError`, unless ``errors`` or ``dead_letter`` handle them;
        what ``dead_letter`` raises. `TypeError`: ``fn`` returned nothing to await. Errors of the
        source, after the work that is under way.

    Returns:
        A pipeable operator. It has to be subscribed on a running event loop.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``timeout`` is not more than 0, or ``errors`` is neither.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def details(name: str) -> str:
        ...     return name.upper()
        >>> async def main() -> list[str]:
        ...     return await reactivex.of("a", "b").pipe(switch_map_async(details), ops.to_list())
        >>> asyncio.run(main())
        ['B']
    """
    work = Work(fn, timeout=timeout, errors=errors, dead_letter=dead_letter)
    return one_at_a_time(work, switch=True)


def one_at_a_time(
    work: Work[_T, _R], *, switch: bool
) -> Callable[[Observable[_T]], Observable[_R]]:
    """Make an operator that does the work for one item at a time, without a buffer.

    Args:
        work: The work.
        switch: Whether an item cancels the work under way, or is dropped because of it.
    """

    def operator(source: Observable[_T]) -> Observable[_R]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[_R], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            jobs = _OneAtATime(work, observer, flow, switch=switch)
            return jobs.subscribe(source, scheduler)

        return derive(source, subscribe)

    return operator


class _Job:
    """The work for one item; the client that the item came from waits until its task is done."""

    __slots__ = ("_client", "held", "task")

    task: asyncio.Task[None]

    def __init__(self, client: Flow | None) -> None:
        self.held = hold()
        self._client: Flow | None = None
        self.is_waited_for_by(client)

    def is_waited_for_by(self, client: Flow | None) -> None:
        """Let a client know, unless one does already."""
        if self._client is None and client is not None:
            self._client = client
            client.begin_work(self)

    def processed(self) -> None:
        if self.held is not None:
            self.held()

    def is_done_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task is the one of this job."""
        return task is self.task

    def done(self, task: asyncio.Task[None]) -> None:
        """Take note that the task is done, and so is what it led to."""
        if self._client is not None:
            self._client.end_work(self)
        report_failure(task)


class _OneAtATime(Generic[_T, _R]):
    """One subscription: at most one job, the present one; what others do no longer matters."""

    def __init__(
        self,
        work: Work[_T, _R],
        observer: abc.ObserverBase[_R],
        flow: Flow | None,
        *,
        switch: bool,
    ) -> None:
        self._flow = flow
        self._client: Flow | None = None
        self._work = work
        self._observer = observer
        self._switch = switch
        self._loop = running_loop()
        self._source = SingleAssignmentDisposable()
        self._job: _Job | None = None
        self._source_ended = False
        self._source_error: Exception | None = None

    def subscribe(
        self, source: Observable[_T], scheduler: abc.SchedulerBase | None
    ) -> abc.DisposableBase:
        self._source.disposable = subscribe_on_loop(
            source, self._on_next, self._on_end, self._on_end, scheduler=scheduler
        )
        return disposable_on(self._loop, self._close)

    def _on_next(self, item: _T) -> None:
        previous = self._job
        if previous is not None:
            if not self._switch:
                return
            previous.task.cancel()
            previous.processed()
        job = self._job = _Job(self._flow or on_behalf_of())
        job.task = task_on(self._loop, self._run(job, item), "rx_cometd.one_at_a_time")
        job.task.add_done_callback(job.done)

    def _on_end(self, error: Exception | None = None) -> None:
        self._source_ended = True
        self._source_error = error
        self._client = on_behalf_of() or self._flow
        if self._job is not None:
            self._job.is_waited_for_by(self._client)
        self._end_if_done()

    async def _run(self, job: _Job, item: _T) -> None:
        stay_apart()
        try:
            value = await self._work.begin(item)
        except Exception as error:
            if self._job is job:
                self._fail(job, item, error)
        except asyncio.CancelledError as error:
            if self._job is job:  # not ours: it came out of the work, or ends the loop
                self._end(cast("Exception", error))
            raise
        else:
            if self._job is job:
                self._job = None  # first, or disposing within `on_next` would cancel this task
                deliver(self._observer, value, job.held)
                self._end_if_done()

    def _fail(self, job: _Job, item: _T, error: Exception) -> None:
        self._job = None
        if not self._work.tolerates(error):
            self._end(error)
            return
        try:
            self._work.give_up(item, error)
        except Exception as raised:
            self._end(raised)
        else:
            job.processed()
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._source_ended and self._job is None:
            self._end(self._source_error)

    def _end(self, error: Exception | None) -> None:
        self._job = None
        self._source.dispose()
        tell_end(self._observer, error, self._client)

    def _close(self) -> None:
        self._source.dispose()
        job, self._job = self._job, None
        if job is not None:
            job.task.cancel()
