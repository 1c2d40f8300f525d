"""Asynchronous work for an item only while there is none for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rx_cometd._flow.work import Work
from rx_cometd.operators.switch_map_async import one_at_a_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import Observable

    from rx_cometd._flow.work import DeadLetterTarget, Errors

__all__ = ["exhaust_map_async"]

_T = TypeVar("_T")
_R = TypeVar("_R")


def exhaust_map_async(
    fn: Callable[[_T], Awaitable[_R]],
    *,
    errors: Errors = "raise",
    dead_letter: DeadLetterTarget | None = None,
    timeout: float | None = None,
) -> Callable[[Observable[_T]], Observable[_R]]:
    """Do asynchronous work for an item; drop the items that come while it is under way.

    .. marble::
        :alt: exhaust_map_async

        --1--2-----3----|
        [ exhaust_map_async(work) ]       work takes four ticks
        ------a--------c|

    For work that should not run twice at a time, such as a refresh that many messages request.
    Nothing waits, so no buffer is needed. An item that is dropped counts as processed (for replay
    markers). This is RxJS's ``exhaustMap``.

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
        >>> async def refresh(reason: str) -> str:
        ...     return f"refreshed, for {reason}"
        >>> async def main() -> list[str]:
        ...     return await reactivex.of("a", "b").pipe(exhaust_map_async(refresh), ops.to_list())
        >>> asyncio.run(main())
        ['refreshed, for a']
    """
    work = Work(fn, timeout=timeout, errors=errors, dead_letter=dead_letter)
    return one_at_a_time(work, switch=False)
