"""Keeping on the event loop what does not begin with a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from reactivex import Observable

from rx_cometd._flow.flow import flow_of
from rx_cometd._flow.observable import keep_on_loop

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["on_loop"]

_T = TypeVar("_T")


@overload
def on_loop(source: Observable[_T], /) -> Observable[_T]: ...
@overload
def on_loop() -> Callable[[Observable[_T]], Observable[_T]]: ...
def on_loop(source: Observable[Any] | None = None, /) -> Any:
    """Run the time operators of an observable, and of all that is piped from it, on the event loop.

    .. marble::
        :alt: on_loop

        --1--2--3--|
        [ on_loop() ]             the same; `debounce` and its like start no thread
        --1--2--3--|

    A channel, and whatever its `pipe`, its fluent methods and ``+`` return, does not need it.
    The *functions* of reactivex that combine observables (``reactivex.merge``,
    ``combine_latest``, ``zip``, ``concat``, ``defer``, ``amb`` and others) return observables that
    do not know the loop; neither do the groups of ``group_by`` and the windows of ``window`` if you
    subscribe to them yourself. Time operators choose their scheduler when they are subscribed to,
    so behind those they would use threads. End the pipe with this operator, or begin with it::

        rx.merge(prices, news).pipe(ops.debounce(0.5), on_loop()).subscribe(show)
        on_loop(rx.merge(prices, news)).pipe(ops.debounce(0.5)).subscribe(show)

    In the middle of a pipe that begins with such a function, it only affects what is before it.

    Args:
        source: The observable; left out, this is an operator to be piped.

    Returns:
        An observable that is subscribed on the running event loop, with its scheduler where no
        other is given; or the operator that makes it. It costs nothing per item.

    Raises:
        TypeError: ``source`` is not an observable.

    Errors:
        `RuntimeError` at subscribe: no event loop is running.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def main() -> list[int]:
        ...     numbers = reactivex.merge(reactivex.of(1, 2), reactivex.of(3))
        ...     return await numbers.pipe(ops.delay(0.001), ops.to_list(), on_loop())
        >>> asyncio.run(main())
        [1, 2, 3]
    """
    given: Any = source
    if given is not None and not isinstance(given, Observable):
        raise TypeError(f"source must be an Observable, not {given!r}")
    return _keep if source is None else _keep(source)


def _keep(source: Observable[_T]) -> Observable[_T]:
    return keep_on_loop(source, flow_of(source))
