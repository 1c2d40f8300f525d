"""No item twice, within a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

from rx_cometd._flow.arguments import (
    check_plain_function,
    check_positive,
    check_scheduler,
    check_seconds,
)
from rx_cometd._flow.edge import clock_of, loop_scheduler
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from reactivex import Observable, abc

__all__ = ["dedupe"]

_T = TypeVar("_T")


def dedupe(
    key: Callable[[Any], Hashable],
    *,
    window: float = 60.0,
    max_keys: int = 10_000,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Drop items whose key has appeared recently.

    .. marble::
        :alt: dedupe

        --a--b--a-----a--|
        [ dedupe(letter, window=10) ]
        --a--b--------a--|

    Messages that come twice after a reconnect (docs/guide.md, "What is delivered, and what not")
    are recognised by a key of your own: an order number, a replay id. ReactiveX's ``distinct`` does
    the same without a bound, so its memory grows forever.

    Args:
        key: Returns the key of an item; items with the same key are duplicates.
        window: For how many seconds a key is remembered after an item was let through.
        max_keys: How many keys are remembered; beyond that, the oldest is forgotten.
        scheduler: The clock to use; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        What ``key`` raises; `TypeError`: it cannot be hashed. `RuntimeError`: there is neither a
        scheduler nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``window`` is not more than 0, or ``max_keys`` less than 1.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def main() -> list[str]:
        ...     return await reactivex.of("a1", "b1", "a2").pipe(
        ...         dedupe(lambda order: order[0]), ops.to_list()
        ...     )
        >>> asyncio.run(main())
        ['a1', 'b1']
    """
    check_scheduler(scheduler)
    check_plain_function("key", key)
    check_seconds("window", window)
    check_positive("max_keys", max_keys)

    def operator(source: Observable[_T]) -> Observable[_T]:
        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            clock = clock_of(loop_scheduler(scheduler or subscribed_on))
            recent = _Recent(window, max_keys)

            def on_next(item: _T) -> None:
                try:
                    new = recent.add(key(item), clock())
                except Exception as error:
                    observer.on_error(error)
                else:
                    if new:
                        observer.on_next(item)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=subscribed_on
            )

        return derive(source, subscribe)

    return operator


class _Recent:
    """The keys that came within a time, of a bounded number."""

    def __init__(self, window: float, max_keys: int) -> None:
        self._window = window
        self._max_keys = max_keys
        self._added: OrderedDict[Hashable, float] = OrderedDict()  # when, oldest first

    def add(self, key: Hashable, now: float) -> bool:
        """Add a key, and tell whether it was not there."""
        added = self._added
        while added and now - next(iter(added.values())) >= self._window:
            added.popitem(last=False)
        if key in added:
            return False
        added[key] = now
        if len(added) > self._max_keys:
            added.popitem(last=False)
        return True
