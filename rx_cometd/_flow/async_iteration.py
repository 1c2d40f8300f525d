"""Iterating over an observable with ``async for``: one subscription, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from reactivex.disposable import SingleAssignmentDisposable

from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.edge import loop_scheduler, run_on, running_loop, subscribe_on_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Flow, Overflow

__all__ = ["ObservableIterator", "iterate"]

_T = TypeVar("_T")


def iterate(
    source: Observable[_T],
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
    *,
    flow: Flow | None,
    on_overflow: Callable[[Any, int], object] | None = None,
    key: Callable[[Any], Hashable] | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> ObservableIterator[_T]:
    """Subscribe to an observable and iterate over it.

    The arguments are those of `to_async_iterable`, and the flow of the source.

    Raises:
        RuntimeError: No event loop is running.
        ClientError: ``SUSPEND`` cannot work on this source.
    """
    source_scheduler = loop_scheduler(scheduler)
    buffer = MessageBuffer[_T](
        max_pending_count,
        overflow,
        flow=flow,
        key=key,
        on_overflow=on_overflow,
        now=lambda: source_scheduler.now,
    )
    return ObservableIterator(Reception(source, buffer, source_scheduler))


class ObservableIterator(AsyncIterator[_T]):
    """One iteration over an observable, which is one subscription.

    It is disposed of when nothing refers to the iterator any more, as after ``break``. To be
    explicit, and not depend on reference counting, use `aclose`, or ``async with``::

        async with aiter(iterable) as messages:
            async for message in messages: ...
    """

    # Only the iterator refers to the iterator: the source keeps the reception alive, not this.
    __slots__ = ("__weakref__", "_reception")

    def __init__(self, reception: Reception[_T]) -> None:
        self._reception = reception

    @property
    def pending_count(self) -> int:
        """Items that wait to be asked for."""
        return self._reception.buffer.pending_count

    async def __anext__(self) -> _T:
        reception = self._reception
        buffer = reception.buffer
        if buffer.taken is not None:
            reception.processed()
        while not buffer.pending_count:
            if buffer.terminated:
                raise reception.end()
            try:
                await reception.arrival()
            except BaseException:
                # The traceback keeps this frame, which must not keep the iterator.
                del self
                raise
        return buffer.take_nowait()

    async def aclose(self) -> None:
        """Dispose of the subscription and its pending items. May be called more than once."""
        self._reception.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        # The garbage collector runs on any thread.
        run_on(self._reception.loop, self._reception.close)


class Reception(Generic[_T]):
    """The subscription behind an iterator."""

    def __init__(
        self, source: Observable[_T], buffer: MessageBuffer[_T], scheduler: abc.SchedulerBase
    ) -> None:
        self.loop = running_loop()
        self.buffer = buffer
        self._arrivals: list[asyncio.Future[None]] = []
        self._subscription = SingleAssignmentDisposable()
        buffer.wake = self._wake
        buffer.lingers = True
        self._subscription.disposable = subscribe_on_loop(
            source, buffer.offer, buffer.fail, buffer.complete, scheduler=scheduler
        )

    def processed(self) -> None:
        """Say that the item taken last has been processed."""
        held, self.buffer.taken = self.buffer.taken, None
        if held is not None:
            held()

    def arrival(self) -> asyncio.Future[None]:
        """Give what is done when an item has come, or the end.

        Each waiter has its own, for cancelling a task cancels what it awaits. All are woken and
        look again, so none can sleep on an item that another's cancellation left behind.
        """
        # Who has never waited here is not known; who has is most likely the one that goes on.
        self.buffer.workers = (asyncio.current_task(),)
        arrival = self.loop.create_future()
        self._arrivals.append(arrival)
        return arrival

    def end(self) -> Exception:
        """Give what to raise at the end: the error once, as a generator would."""
        error, self.buffer.error = self.buffer.error, None
        self.buffer.close()
        return StopAsyncIteration() if error is None else error

    def close(self) -> None:
        """Dispose of everything; those who wait see the end."""
        self.buffer.close()
        self.buffer.error = None
        self._wake()

    def _wake(self) -> None:
        if self.buffer.terminated:
            self._subscription.dispose()
        if self._arrivals:
            arrivals, self._arrivals = self._arrivals, []
            for arrival in arrivals:
                if not arrival.done():
                    arrival.set_result(None)
