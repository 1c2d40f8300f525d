"""``async for`` over an observable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from reactivex.disposable import SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_bound, check_plain_function
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.edge import loop_scheduler, run_on
from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import running_loop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Overflow

__all__ = ["ObservableIterable", "ObservableIterator", "to_async_iterable"]

_T = TypeVar("_T")


def to_async_iterable(
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
    *,
    on_overflow: Callable[[Any, int], object] | None = None,
    key: Callable[[Any], Hashable] | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], ObservableIterable[_T]]:
    """Turn an observable into something to loop over with ``async for``.

    .. marble::
        :alt: to_async_iterable

        --1--2-3-------4--|
        [ to_async_iterable() ]
        async for item in ...:  1, 2, 3, 4

    Each iteration is a subscription of its own: it begins with the loop and ends with it, however
    the loop is left (its end, ``break``, an exception, cancellation). Items that come while the
    body of the loop is busy wait in a bounded buffer, which `bounded_buffer` describes. Taking a
    pending item makes no task and no future; one that is cancelled while it waits loses none.

    A message counts as processed (for replay markers) when the loop asks for the next one: not if
    its body raised or was left.

    Args:
        max_pending_count: How many items may be pending; ``<= 0`` is unbounded, ``None`` the
            client's bound where the source is a client's, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.
        on_overflow: Called with each item that is lost and the count of those lost so far.
        key: For ``CONFLATE``: gives what items replace each other; the channel if ``None``.
        scheduler: What the source is subscribed with; the running event loop's if ``None``. The
            source has to emit on the thread of that loop.

    Returns:
        A function to end a pipe with, which gives an `ObservableIterable`. Iterating it raises
        the error of the source, `BufferOverflowError`, or `ClientError` where ``SUSPEND`` cannot
        work, each after what is pending.

    Raises:
        TypeError: An argument is of the wrong kind.

    Example:
        >>> import asyncio, reactivex
        >>> async def main() -> list[int]:
        ...     return [n async for n in reactivex.of(1, 2, 3).pipe(to_async_iterable())]
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    check_bound(max_pending_count, overflow)
    if on_overflow is not None:
        check_plain_function("on_overflow", on_overflow)
    if key is not None:
        check_plain_function("key", key)

    def operator(source: Observable[_T]) -> ObservableIterable[_T]:
        def subscribe() -> _Reception[_T]:
            source_scheduler = loop_scheduler(scheduler)
            buffer = MessageBuffer[_T](
                max_pending_count,
                overflow,
                flow=flow_of(source),
                key=key,
                on_overflow=on_overflow,
                now=lambda: source_scheduler.now,
            )
            return _Reception(source, buffer, source_scheduler)

        return ObservableIterable(subscribe)

    return operator


class ObservableIterable(Generic[_T]):
    """An observable to loop over; each loop subscribes anew."""

    def __init__(self, subscribe: Callable[[], _Reception[_T]]) -> None:
        self._subscribe = subscribe

    def __aiter__(self) -> ObservableIterator[_T]:
        """Subscribe.

        Raises:
            RuntimeError: No event loop is running.
            ClientError: ``SUSPEND`` cannot work on this source.
        """
        return ObservableIterator(self._subscribe())


class ObservableIterator(AsyncIterator[_T]):
    """One iteration over an observable, which is one subscription.

    It is disposed of when nothing refers to the iterator any more, as after ``break``. To say
    so oneself, and not to depend on reference counting: `aclose`, or ``async with``::

        async with aiter(iterable) as messages:
            async for message in messages: ...
    """

    # Only the iterator refers to the iterator: the source keeps the reception alive, not this.
    __slots__ = ("__weakref__", "_reception")

    def __init__(self, reception: _Reception[_T]) -> None:
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
        """Dispose of the subscription; what is pending is forgotten. May be called again."""
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


class _Reception(Generic[_T]):
    """The subscription behind an iterator."""

    def __init__(
        self, source: Observable[_T], buffer: MessageBuffer[_T], scheduler: abc.SchedulerBase
    ) -> None:
        self.loop = running_loop()
        self.buffer = buffer
        self._arrivals: list[asyncio.Future[None]] = []
        self._subscription = SingleAssignmentDisposable()
        buffer.wake = self._wake
        self._subscription.disposable = source.subscribe(
            buffer.offer, buffer.fail, buffer.complete, scheduler=scheduler
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
        arrival = self.loop.create_future()
        self._arrivals.append(arrival)
        return arrival

    def end(self) -> Exception:
        """Give what to raise at the end: the error once, as a generator would."""
        error, self.buffer.error = self.buffer.error, None
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
