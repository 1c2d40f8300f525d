"""``async for`` over an observable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rx_cometd._flow.arguments import check_bound, check_plain_function, check_scheduler
from rx_cometd._flow.async_iteration import ObservableIterator, iterate
from rx_cometd._flow.flow import flow_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

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
    """Turn an observable into an asynchronous iterable, for use with ``async for``.

    .. marble::
        :alt: to_async_iterable

        --1--2-3-------4--|
        [ to_async_iterable() ]
        async for item in ...:  1, 2, 3, 4

    Each iteration is its own subscription: it begins with the loop and ends with it, however
    the loop is left (its end, ``break``, an exception, cancellation). Items that arrive while the
    body of the loop is busy wait in a bounded buffer, which `bounded_buffer` describes. Taking a
    pending item makes no task and no future; cancelling a loop that waits loses no item.

    A message counts as processed (for replay markers) when the loop asks for the next one, but not
    if its body raises or leaves the loop.

    Args:
        max_pending_count: How many items may be pending; ``<= 0`` is unbounded, ``None`` the
            client's bound if the source belongs to a client, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.
        on_overflow: Called with each item that is lost and the count of those lost so far.
        key: For ``CONFLATE``: returns the key of an item; a message's channel if ``None``.
        scheduler: What the source is subscribed with; the running event loop's if ``None``.
            Items that the source emits on other threads are passed to the loop.

    Returns:
        A function for the end of a pipe, which returns an `ObservableIterable`. Iterating over it
        raises the error of the source, `BufferOverflowError`, or `ClientError` if ``SUSPEND``
        cannot work, each after what is pending.

    Raises:
        TypeError: An argument is of the wrong kind.

    Example:
        >>> import asyncio, reactivex
        >>> async def main() -> list[int]:
        ...     return [n async for n in reactivex.of(1, 2, 3).pipe(to_async_iterable())]
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    check_scheduler(scheduler)
    check_bound(max_pending_count, overflow)
    if on_overflow is not None:
        check_plain_function("on_overflow", on_overflow)
    if key is not None:
        check_plain_function("key", key)

    def operator(source: Observable[_T]) -> ObservableIterable[_T]:
        flow = flow_of(source)
        return ObservableIterable(
            lambda: iterate(
                source,
                max_pending_count,
                overflow,
                flow=flow,
                on_overflow=on_overflow,
                key=key,
                scheduler=scheduler,
            )
        )

    return operator


class ObservableIterable(Generic[_T]):
    """An observable to iterate over; each iteration is a subscription."""

    def __init__(self, subscribe: Callable[[], ObservableIterator[_T]]) -> None:
        self._subscribe = subscribe

    def __aiter__(self) -> ObservableIterator[_T]:
        """Subscribe.

        Raises:
            RuntimeError: No event loop is running.
            ClientError: ``SUSPEND`` cannot work on this source.
        """
        return self._subscribe()
