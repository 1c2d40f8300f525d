"""One subscription to a feed: the observer, and what ends it, in one object.

ReactiveX puts around an observer another one, two disposables and two locks, and every message
passes through. A feed tells its observers on one thread, one after the other, and never while they
subscribe, so it needs none of that: its `Subscriber` has the user's function for an ``on_next``,
and once it is over another function that does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from reactivex import abc

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Subscriber"]

_T_contra = TypeVar("_T_contra", contravariant=True)


class Subscriber(abc.ObserverBase[_T_contra], abc.DisposableBase):
    """Tells an observer, or three functions, of a stream until it ends or is disposed of.

    Whoever emits looks ``on_next`` up for each item and does not keep it, or the end is missed.

    Args:
        on_next: The observer, or a function that takes an item; ``None`` for none.
        on_error: A function that takes the error that the stream ended with; without one, it is
            raised where it is told.
        on_completed: A function that is called when the stream is complete.

    Attributes:
        is_stopped: Whether it is over.
    """

    __slots__ = ("_on_completed", "_on_error", "_subscription", "is_stopped", "on_next")

    # A function in place of the method: hence whoever is told is told without a call in between.
    on_next: Callable[[_T_contra], None]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    def __init__(
        self,
        on_next: abc.ObserverBase[_T_contra] | abc.OnNext[_T_contra] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
    ) -> None:
        told: Any = on_next
        if callable(getattr(told, "on_next", None)):
            told, on_error, on_completed = told.on_next, told.on_error, told.on_completed
        self.on_next = _ignore if told is None else told
        self._on_error = on_error or _raise
        self._on_completed = on_completed or _ignore
        self._subscription: abc.DisposableBase | None = None
        self.is_stopped = False

    def begin(self, subscribe: Callable[[abc.ObserverBase[_T_contra]], abc.DisposableBase]) -> None:
        """Subscribe; what that raises is how the stream ended.

        Args:
            subscribe: Gives what is to be disposed of when this is over.
        """
        try:
            subscription = subscribe(self)
        except Exception as error:
            if self.is_stopped:
                raise
            self.on_error(error)
        else:
            # Written before the look at `is_stopped`, and read after it was written by `dispose`:
            # where a thread disposes meanwhile, one of the two sees the other.
            self._subscription = subscription
            if self.is_stopped:
                subscription.dispose()

    def on_error(self, error: Exception) -> None:
        """Tell that the stream failed."""
        if self.is_stopped:
            return
        self._stop()
        try:
            self._on_error(error)
        finally:
            self.dispose()

    def on_completed(self) -> None:
        """Tell that the stream is complete."""
        if self.is_stopped:
            return
        self._stop()
        try:
            self._on_completed()
        finally:
            self.dispose()

    def dispose(self) -> None:
        """End the subscription; from any thread, any number of times."""
        self._stop()
        subscription = self._subscription
        if subscription is not None:
            subscription.dispose()

    def _stop(self) -> None:
        self.is_stopped = True
        self.on_next = _ignore


def _ignore(*_: object) -> None:
    """Take what nobody wants."""


def _raise(error: Exception) -> NoReturn:
    raise error
