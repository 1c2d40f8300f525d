"""Many observers of one stream, each isolated from what the others raise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rx_cometd._flow.edge import current_loop, is_over
from rx_cometd._flow.ending import tell_end
from rx_cometd._protocol.user_functions import ends_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import abc

__all__ = ["Multicast", "fail_observer", "notify_end", "report_unhandled"]

_log = logging.getLogger("rx_cometd.operators")
_T = TypeVar("_T")


class Multicast(Generic[_T]):
    """The observers of one stream.

    An observer that raises is disposed of by its own ``on_error``, which gets the error; without
    one, it goes to the event loop's exception handler (the log where no loop runs). A `Subject` of
    ReactiveX would let the error go up to whoever emitted, past the observers still to be told.

    Args:
        observers: Those that there are at first.
        report: Told what no observer took, where it is not as above.
    """

    __slots__ = ("_observers", "_report")

    def __init__(
        self,
        observers: tuple[abc.ObserverBase[_T], ...] = (),
        report: Callable[[BaseException], None] | None = None,
    ) -> None:
        # Replaced, never changed, so that an observer may come or go during a delivery.
        self._observers = observers
        self._report = report_unhandled if report is None else report

    def __len__(self) -> int:
        return len(self._observers)

    def add(self, observer: abc.ObserverBase[_T]) -> None:
        """Add an observer; it gets what is emitted from now on."""
        self._observers = (*self._observers, observer)

    def remove(self, observer: abc.ObserverBase[_T]) -> None:
        """Remove an observer, if it is there."""
        self._observers = tuple(o for o in self._observers if o is not observer)

    def on_next(self, value: _T) -> None:
        """Tell all observers of an item, in the order in which they came.

        Raises:
            KeyboardInterrupt: That is what one of them raised; it is to end the program.
            SystemExit: Likewise.
        """
        for observer in self._observers:
            try:
                observer.on_next(value)
            except BaseException as error:
                fail_observer(observer, error, self._report)

    def end(self, error: Exception | None) -> None:
        """Tell all observers how the stream ended, and forget them.

        Args:
            error: Why it failed, ``None`` where it is complete.
        """
        observers, self._observers = self._observers, ()
        for observer in observers:
            notify_end(observer, error, self._report)


def fail_observer(
    observer: abc.ObserverBase[Any],
    error: BaseException,
    report: Callable[[BaseException], None],
) -> None:
    """Let an observer know what it raised itself; what is to end the program goes on.

    One that is over already has no use for it: in ``map(f)`` without an ``on_error`` behind it,
    what ``f`` raises ends the observer behind ``map`` first, whose default raises it again.

    Raises:
        KeyboardInterrupt: That is what it raised.
        SystemExit: Likewise.
    """
    if ends_program(error):
        raise error
    if is_over(observer):
        report(error)
    else:
        notify_end(observer, error, report)


def notify_end(
    observer: abc.ObserverBase[Any],
    error: BaseException | None,
    report: Callable[[BaseException], None],
) -> None:
    """Tell an observer how its stream ended; report what it has no use for, or raises.

    Its ``on_error`` disposes of the subscription, as the ReactiveX contract has it. Without an
    ``on_error`` of the user's, reactivex raises the error here.

    Args:
        observer: The observer.
        error: Why the stream ended, ``None`` where it completed.
        report: Told what nobody handled.
    """
    try:
        tell_end(observer, error)
    except BaseException as unhandled:
        if ends_program(unhandled):
            raise
        report(unhandled)


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
