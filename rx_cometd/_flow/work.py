"""Asynchronous work for one item: how it begins, how long it may take, what follows a failure."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from rx_cometd._flow.arguments import check_coroutine_function, check_seconds, told_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import abc

__all__ = ["DeadLetter", "DeadLetterTarget", "Errors", "Work"]

_log = logging.getLogger("rx_cometd.operators")
_T = TypeVar("_T")
_R = TypeVar("_R")

Errors: TypeAlias = Literal["raise", "drop"]


class DeadLetter(NamedTuple):
    """An item whose work failed."""

    item: Any
    error: Exception


DeadLetterTarget: TypeAlias = "Callable[[DeadLetter], object] | abc.ObserverBase[DeadLetter]"


class Work(Generic[_T, _R]):
    """What to do for each item, checked when an operator is made.

    Args:
        fn: A coroutine function, or a function that gives an awaitable.
        timeout: Seconds that it may take, ``None`` for no limit.
        errors: Whether a failure ends the stream, or only its item is dropped.
        dead_letter: Told of items that failed, which then do not end the stream.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``timeout`` is not more than 0, or ``errors`` is neither.
    """

    def __init__(
        self,
        fn: Callable[[_T], Awaitable[_R]],
        *,
        timeout: float | None = None,
        errors: Errors = "raise",
        dead_letter: DeadLetterTarget | None = None,
    ) -> None:
        check_coroutine_function("fn", fn)
        if timeout is not None:
            check_seconds("timeout", timeout)
        if errors not in ("raise", "drop"):
            raise ValueError(f'errors must be "raise" or "drop", not {errors!r}')
        self._fn = fn
        self._timeout = timeout
        self._tell = None if dead_letter is None else told_to("dead_letter", dead_letter)
        self._tolerant = errors == "drop" or dead_letter is not None

    def begin(self, item: _T) -> Awaitable[_R]:
        """Begin the work for an item.

        Raises:
            TypeError: The function gave nothing to await.
        """
        awaitable = self._fn(item)
        if not hasattr(type(awaitable), "__await__"):
            raise TypeError(
                f"a coroutine function is needed: {self._fn!r} gave "
                f"a {type(awaitable).__name__}, which cannot be awaited"
            )
        return awaitable if self._timeout is None else self._within(self._timeout, awaitable)

    async def _within(self, seconds: float, awaitable: Awaitable[_R]) -> _R:
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await awaitable
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(f"the work for an item took longer than {seconds} s") from None

    def tolerates(self, error: BaseException) -> bool:
        """Tell whether the stream goes on after an error: not after cancellation."""
        return self._tolerant and isinstance(error, Exception)

    def give_up(self, item: _T, error: Exception) -> None:
        """Take note of an item whose failure is tolerated. Raises what ``dead_letter`` raises."""
        if self._tell is not None:
            self._tell(DeadLetter(item, error))
        else:
            _log.warning(
                "dropped an item whose work failed: %s: %s",
                type(error).__name__,
                error,
                extra={"event": "item_dropped", "error_type": type(error).__name__},
            )
