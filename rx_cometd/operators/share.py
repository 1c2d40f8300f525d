"""One subscription to the source for all observers, who do not notice each other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from reactivex.disposable import Disposable, SerialDisposable, SingleAssignmentDisposable

from rx_cometd._flow.arguments import check_choice, check_scheduler, check_seconds
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import current_loop, disposable_on, loop_scheduler
from rx_cometd._flow.ending import tell_end
from rx_cometd._flow.multicast import Multicast
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable, abc

__all__ = ["Memory", "SharedSource", "share"]

_T = TypeVar("_T")


def share(
    *,
    reset_on_error: bool = True,
    reset_on_complete: bool = True,
    linger: float = 0.0,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Subscribe to the source once, for all observers.

    .. marble::
        :alt: share

        --1--2--3--4--|
        [ share() ]
        --1--2--3--4--|       the first observer subscribes to the source
              --3--4--|       a later one joins

    The first observer subscribes to the source; when the last one is gone, the subscription is
    disposed of. ReactiveX's operator of the same name differs in two ways: if one observer raises,
    the others and the source end with it, and after the end of the source, late observers
    get that end forever. Here an observer that raises fails alone, and the source can be shared
    again. The configuration is that of RxJS's ``share``.

    Channels are already shared. This is for use behind costly operators: decoding, statistics.

    Args:
        reset_on_error: After an error, the next observer subscribes to the source again, so that a
            ``retry`` behind `share` works. ``False``: it gets the error.
        reset_on_complete: The same after completion.
        linger: Seconds to stay subscribed to the source after the last observer has gone, in
            case another one comes; ``math.inf`` stays until the source ends.
        scheduler: What times ``linger``; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        Those of the source, to every observer. What an observer raises goes to its own
        ``on_error``, or, if it has none, to the event loop's exception handler. `RuntimeError`:
        ``linger`` is given, and there is neither a scheduler nor a running event loop.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``linger`` is less than 0.

    Example:
        >>> from reactivex.subject import Subject
        >>> source = Subject[int]()
        >>> shared = source.pipe(share())
        >>> first = shared.subscribe(lambda n: print("first", n))
        >>> second = shared.subscribe(lambda n: print("second", n))
        >>> len(source.observers)
        1
        >>> source.on_next(1)
        first 1
        second 1
    """
    check_scheduler(scheduler)
    check_seconds("linger", linger, zero=True)
    check_choice("reset_on_error", reset_on_error)
    check_choice("reset_on_complete", reset_on_complete)

    def operator(source: Observable[_T]) -> Observable[_T]:
        return SharedSource(
            source,
            linger=linger,
            scheduler=scheduler,
            reset_on_error=reset_on_error,
            reset_on_complete=reset_on_complete,
        ).observable()

    return operator


class SharedSource(Generic[_T]):
    """A source and the one subscription to it, if there is one.

    Args:
        source: The source.
        linger: Seconds to stay subscribed without observers.
        scheduler: What times that.
        reset_on_error: Whether to subscribe again after an error.
        reset_on_complete: Whether to subscribe again after completion.
        memory: Makes the memory for late observers, for each subscription to the source.
    """

    def __init__(
        self,
        source: Observable[_T],
        *,
        linger: float,
        scheduler: abc.SchedulerBase | None,
        reset_on_error: bool = True,
        reset_on_complete: bool = True,
        memory: Callable[[], Memory[_T]] | None = None,
    ) -> None:
        self._source = source
        self._linger = linger
        self._scheduler = scheduler
        self._reset_on_error = reset_on_error
        self._reset_on_complete = reset_on_complete
        self._make_memory = memory
        self._connection: _Connection[_T] | None = None

    def observable(self) -> Observable[_T]:
        """Give the observable that subscribes to the source once."""
        return derive(self._source, self._subscribe)

    def _subscribe(
        self, observer: abc.ObserverBase[_T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        timed = loop_scheduler(self._scheduler or scheduler) if self._linger else None
        connection, new = self._connection, False
        if connection is None:
            memory = None if self._make_memory is None else self._make_memory()
            connection, new = _Connection(self, memory), True
            self._connection = connection
        if connection.ended:
            connection.repeat_end(observer)
            return Disposable()
        leave = disposable_on(current_loop(), lambda: self._leave(connection, observer, timed))
        try:
            connection.join(observer)
        except BaseException:
            leave.dispose()
            raise
        if new:
            try:
                connection.connect(self._source, scheduler)
            except BaseException:
                # Or the next observer would join what nothing ever comes from.
                self._disconnect(connection)
                raise
        return leave

    def _leave(
        self,
        connection: _Connection[_T],
        observer: abc.ObserverBase[_T],
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        connection.observers.remove(observer)
        if connection.observers or connection.ended or self._linger == math.inf:
            return
        if scheduler is None:
            self._disconnect(connection)
            return

        def end(*_: object) -> None:
            with apart():
                self._disconnect(connection)

        connection.lingering.disposable = scheduler.schedule_relative(self._linger, end)

    def _disconnect(self, connection: _Connection[_T]) -> None:
        self._connection = None
        connection.dispose()

    def end(self, connection: _Connection[_T], error: Exception | None) -> None:
        """Take note that the source ended, before its observers are told."""
        reset = self._reset_on_complete if error is None else self._reset_on_error
        if reset and self._connection is connection:
            self._connection = None


class Memory(Protocol[_T]):
    """What late observers get first."""

    def put(self, item: _T, /) -> None:
        """Take note of an item."""
        ...

    def replay(self, on_next: Callable[[_T], None], /) -> None:
        """Tell a late observer of what it missed."""
        ...


class _Connection(Generic[_T]):
    """One subscription to the source, and those who observe it."""

    def __init__(self, owner: SharedSource[_T], memory: Memory[_T] | None) -> None:
        self._owner = owner
        self._memory = memory
        self.observers = Multicast[_T]()
        self.subscription = SingleAssignmentDisposable()
        self.lingering = SerialDisposable()
        self.ended = False
        self._error: Exception | None = None

    def connect(self, source: Observable[_T], scheduler: abc.SchedulerBase | None) -> None:
        """Subscribe to the source."""
        self.subscription.disposable = source.subscribe(
            self.on_next, self.on_error, self.on_completed, scheduler=scheduler
        )

    def join(self, observer: abc.ObserverBase[_T]) -> None:
        """Add an observer."""
        self.lingering.disposable = Disposable()
        self.observers.add(observer)
        if self._memory is not None:
            self._memory.replay(observer.on_next)

    def on_next(self, item: _T) -> None:
        """Tell the observers of an item."""
        if self._memory is not None:
            try:
                self._memory.put(item)
            except Exception as error:
                self.dispose()
                self.on_error(error)
                return
        self.observers.on_next(item)

    def on_error(self, error: Exception) -> None:
        """Tell the observers that the source failed."""
        self._end(error)

    def on_completed(self) -> None:
        """Tell the observers that the source is complete."""
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        self.ended = True
        self._error = error
        self.lingering.dispose()
        self._owner.end(self, error)
        self.observers.end(error)

    def repeat_end(self, observer: abc.ObserverBase[_T]) -> None:
        """Tell a late observer how the source ended."""
        tell_end(observer, self._error)

    def dispose(self) -> None:
        """Dispose of the subscription to the source."""
        self.lingering.dispose()
        self.subscription.dispose()
