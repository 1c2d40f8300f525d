"""The last value at once, for observers that come late."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from rx_cometd._flow.arguments import (
    check_plain_function,
    check_positive,
    check_scheduler,
    check_seconds,
)
from rx_cometd.operators.share import SharedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from reactivex import Observable, abc

__all__ = ["last_value"]

_T = TypeVar("_T")


def last_value(
    by: Callable[[Any], Hashable] | None = None,
    *,
    max_keys: int = 10_000,
    linger: float = 0.0,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Share the source, and give late observers the last item of each key first.

    .. marble::
        :alt: last_value

        --a1--b1--a2------b2--|
        [ last_value(letter) ]
        --a1--b1--a2------b2--|       the first observer subscribes to the source
                    (b1a2)b2--|       a later one: in the order in which they came

    Items are remembered as long as the subscription to the source lasts, which all observers
    share as with `share`: when the last of them is gone (and ``linger`` is over), or the source has
    ended, they are forgotten, and the next observer starts over. A remembered item counts as
    processed (for replay markers) as soon as the observers at that time have processed it.

    Args:
        by: Returns the key of an item; the channel of a message if ``None``. Items that are not
            messages then have the same key, so that only the very last one is remembered.
        max_keys: How many keys are remembered; beyond that, the one without an item for longest
            is forgotten.
        linger: Seconds to stay subscribed to the source after the last observer has gone;
            ``math.inf`` stays until the source ends.
        scheduler: What times ``linger``; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        Those of the source and what ``by`` raises, to every observer. An observer that raises
        does not affect the others. `RuntimeError`: ``linger`` is given, and there is neither a
        scheduler nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``max_keys`` is less than 1, or ``linger`` less than 0.

    Example:
        >>> from reactivex.subject import Subject
        >>> prices = Subject[int]()
        >>> latest = prices.pipe(last_value())
        >>> first = latest.subscribe(lambda price: print("first", price))
        >>> prices.on_next(101)
        first 101
        >>> second = latest.subscribe(lambda price: print("second", price))
        second 101
    """
    if by is not None:
        check_plain_function("by", by)
    check_scheduler(scheduler)
    check_positive("max_keys", max_keys)
    check_seconds("linger", linger, zero=True)
    key = _channel if by is None else by

    def operator(source: Observable[_T]) -> Observable[_T]:
        return SharedSource(
            source,
            linger=linger,
            scheduler=scheduler,
            memory=lambda: _LastValues[_T](key, max_keys),
        ).observable()

    return operator


def _channel(item: Any) -> Hashable:
    if isinstance(item, Mapping):
        return cast("Mapping[str, Any]", item).get("channel")
    return None


class _LastValues(Generic[_T]):
    """The last item of each key; the key that had one last is at the end."""

    def __init__(self, key: Callable[[Any], Hashable], max_keys: int) -> None:
        self._key = key
        self._max_keys = max_keys
        self._values: OrderedDict[Hashable, _T] = OrderedDict()

    def put(self, item: _T) -> None:
        values = self._values
        key = self._key(item)
        values[key] = item
        values.move_to_end(key)
        if len(values) > self._max_keys:
            values.popitem(last=False)

    def replay(self, on_next: Callable[[_T], None]) -> None:
        for key, item in tuple(self._values.items()):
            # A newer one that came meanwhile was told already.
            if self._values.get(key) is item:
                on_next(item)
