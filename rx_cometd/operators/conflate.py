"""Only the latest item of each key, for observers that are slower than their source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from rx_cometd._flow.arguments import check_plain_function, check_scheduler
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.drain import Drain
from rx_cometd._flow.edge import drain_scheduler, loop_scheduler
from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from reactivex import Observable, abc

__all__ = ["conflate"]

_T = TypeVar("_T")


def conflate(
    key: Callable[[Any], Hashable] | None = None,
    *,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Let an item replace the one with the same key that still waits for the observer.

    .. marble::
        :alt: conflate

        --a1-b1-a2-a3-------|
        [ conflate(letter) ]            while the scheduler is busy until the 16th tick
        ----------------(a3 b1)|

    An item takes the place of the first one it replaced, so no key can starve another. At most one
    item per key waits. In `bounded_buffer`, the policy ``CONFLATE`` does the same once
    the buffer is full. Items that are replaced do not count as dropped; they count as
    processed (for replay markers).

    Args:
        key: Returns the key of an item; the channel of a message if ``None``.
        scheduler: Where to deliver; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        What ``key`` raises, after what is pending. `RuntimeError`: there is neither a scheduler
        nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: ``key`` is not a plain function.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def main() -> list[str]:
        ...     return await reactivex.of("a1", "b1", "a2").pipe(
        ...         conflate(lambda quote: quote[0]), ops.to_list()
        ...     )
        >>> asyncio.run(main())
        ['a2', 'b1']
    """
    check_scheduler(scheduler)
    if key is not None:
        check_plain_function("key", key)

    def operator(source: Observable[_T]) -> Observable[_T]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            upstream = loop_scheduler(subscribed_on or scheduler)
            buffer = MessageBuffer[_T](0, Overflow.CONFLATE, flow=flow, key=key, quiet=True)
            downstream = scheduler or drain_scheduler(upstream)
            return Drain(buffer, observer, downstream).subscribe(source, upstream)

        return derive(source, subscribe)

    return operator
