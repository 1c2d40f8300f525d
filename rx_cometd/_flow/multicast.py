"""Many observers of one stream, each isolated from what the others raise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from rx_cometd._flow.dispatch import fail_observer, notify_end
from rx_cometd._flow.edge import current_loop

if TYPE_CHECKING:
    from reactivex import abc

__all__ = ["Multicast", "report_unhandled"]

_log = logging.getLogger("rx_cometd.operators")
_T = TypeVar("_T")


class Multicast(Generic[_T]):
    """The observers of one stream.

    An observer that raises is disposed of by its own ``on_error``, which gets the error; without
    one, it goes to the event loop's exception handler (the log where no loop runs). A `Subject` of
    ReactiveX would let the error go up to whoever emitted, past the observers still to be told.
    """

    def __init__(self) -> None:
        # Replaced, never changed, so that an observer may come or go during a delivery.
        self._observers: tuple[abc.ObserverBase[_T], ...] = ()

    def __len__(self) -> int:
        return len(self._observers)

    def add(self, observer: abc.ObserverBase[_T]) -> None:
        """Add an observer; it gets what is emitted from now on."""
        self._observers = (*self._observers, observer)

    def remove(self, observer: abc.ObserverBase[_T]) -> None:
        """Remove an observer, if it is there."""
        self._observers = tuple(o for o in self._observers if o is not observer)

    def on_next(self, value: _T) -> None:
        """Tell all observers of an item, in the order in which they came."""
        for observer in self._observers:
            try:
                observer.on_next(value)
            except Exception as error:
                fail_observer(observer, error, report_unhandled)

    def end(self, error: Exception | None) -> None:
        """Tell all observers how the stream ended, and forget them.

        Args:
            error: Why it failed, ``None`` where it is complete.
        """
        observers, self._observers = self._observers, ()
        for observer in observers:
            notify_end(observer, error, report_unhandled)


def report_unhandled(error: BaseException) -> None:
    """Tell of an error that no observer took."""
    loop = current_loop()
    if loop is None:
        _log.error(
            "unhandled exception of an observer", exc_info=error, extra={"event": "observer_failed"}
        )
    else:
        loop.call_exception_handler(
            {"message": "unhandled exception of an observer", "exception": error}
        )
