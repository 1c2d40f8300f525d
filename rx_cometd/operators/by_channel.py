"""A stream for each channel."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import (
    CompositeDisposable,
    Disposable,
    RefCountDisposable,
    SingleAssignmentDisposable,
)

from rx_cometd._flow.arguments import check_positive
from rx_cometd._flow.edge import current_loop, disposable_on
from rx_cometd._flow.ending import tell_end
from rx_cometd._flow.flow import Flow, flow_of
from rx_cometd._flow.multicast import Multicast
from rx_cometd._flow.observable import LoopObservable, derive

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChannelGroup", "by_channel"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class ChannelGroup(Observable[_T_co]):
    """The messages of one channel, from `by_channel`.

    Attributes:
        key: The channel, by the name that ReactiveX's grouped observables have for it.
    """

    key: str


class _Group(ChannelGroup[_T_co]):
    def __init__(self, subscribe: abc.Subscription[_T_co], key: str) -> None:
        super().__init__(subscribe)
        self.key = key


class _LoopGroup(LoopObservable[_T_co], ChannelGroup[_T_co]):
    """The same, of a source that lives on an event loop."""

    def __init__(self, subscribe: abc.Subscription[_T_co], key: str, flow: Flow | None) -> None:
        super().__init__(subscribe, flow=flow)
        self.key = key


def by_channel(
    *, max_groups: int = 1_000
) -> Callable[[Observable[_T]], Observable[ChannelGroup[_T]]]:
    """Split messages into one observable per channel.

    .. marble::
        :alt: by_channel

        --/a:1--/b:1--/a:2--|
        [ by_channel() ]
        --a-----b-----------|
          1-----------2-----|     a
                1-----------|     b

    For globs whose channels each need their own state: a ``debounce``, a ``scan``. Subscribe to a
    group when it is emitted: it begins with the message that created it. It is shared, and
    its observers are isolated from each other. In contrast to ReactiveX's ``group_by``, the number
    of groups is bounded: beyond it, the group without a message for longest completes, and the
    channel gets a new group with its next message.

    Args:
        max_groups: How many groups there may be at once.

    Errors:
        Those of the source, in every group too. `TypeError` or `LookupError`: an item is not a
        message of a channel.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: ``max_groups`` is not an integer.
        ValueError: It is less than 1.

    Example:
        >>> import reactivex
        >>> from reactivex import operators as ops
        >>> messages = [{"channel": c, "data": d} for c, d in [("/a", 1), ("/b", 5), ("/a", 2)]]
        >>> sums = reactivex.from_iterable(messages).pipe(
        ...     by_channel(),
        ...     ops.flat_map(
        ...         lambda group: group.pipe(
        ...             ops.map(lambda message: message["data"]),
        ...             ops.sum(),
        ...             ops.map(lambda total: (group.key, total)),
        ...         )
        ...     ),
        ... )
        >>> subscription = sums.subscribe(print)
        ('/b', 5)
        ('/a', 3)
    """
    check_positive("max_groups", max_groups)

    def operator(source: Observable[_T]) -> Observable[ChannelGroup[_T]]:
        def subscribe(
            observer: abc.ObserverBase[ChannelGroup[_T]],
            scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            return _Groups(source, observer, max_groups).subscribe(scheduler)

        return derive(source, subscribe)

    return operator


class _Groups(Generic[_T]):
    """The groups of one subscription, the one with the latest message last."""

    def __init__(
        self,
        source: Observable[_T],
        observer: abc.ObserverBase[ChannelGroup[_T]],
        max_groups: int,
    ) -> None:
        self._source = source
        self._observer = observer
        self._max_groups = max_groups
        self._groups: OrderedDict[str, _Members[_T]] = OrderedDict()
        # Those who observe a group keep the source, though nobody wants new groups.
        self._subscription = SingleAssignmentDisposable()
        self._users = RefCountDisposable(self._subscription)

    def subscribe(self, scheduler: abc.SchedulerBase | None) -> abc.DisposableBase:
        self._subscription.disposable = self._source.subscribe(
            self._on_next, self._on_error, self._on_completed, scheduler=scheduler
        )
        return disposable_on(current_loop(), self._users.dispose)

    def _on_next(self, message: Any) -> None:
        try:
            channel: str = message["channel"]
            members = self._groups.get(channel)
        except Exception as error:
            self._on_error(error)
            return
        if members is None:
            members = self._begin(channel)
        else:
            self._groups.move_to_end(channel)
        members.observers.on_next(message)

    def _begin(self, channel: str) -> _Members[_T]:
        members = self._groups[channel] = _Members[_T](self._users)
        if len(self._groups) > self._max_groups:
            self._groups.popitem(last=False)[1].end(None)
        group: ChannelGroup[_T] = (
            _LoopGroup(members.subscribe, channel, flow_of(self._source))
            if isinstance(self._source, LoopObservable)
            else _Group(members.subscribe, channel)
        )
        self._observer.on_next(group)
        return members

    def _on_error(self, error: Exception) -> None:
        self._end_groups(error)
        self._observer.on_error(error)

    def _on_completed(self) -> None:
        self._end_groups(None)
        self._observer.on_completed()

    def _end_groups(self, error: Exception | None) -> None:
        groups, self._groups = self._groups, OrderedDict()
        for members in groups.values():
            members.end(error)
        self._subscription.dispose()


class _Members(Generic[_T]):
    """Those who observe one group."""

    def __init__(self, users: RefCountDisposable) -> None:
        self.observers = Multicast[_T]()
        self._users = users
        self._ended = False
        self._error: Exception | None = None

    def subscribe(
        self, observer: abc.ObserverBase[_T], _scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if self._ended:
            tell_end(observer, self._error)
            return Disposable()
        self.observers.add(observer)
        leave = disposable_on(current_loop(), lambda: self.observers.remove(observer))
        return CompositeDisposable(leave, self._users.disposable)

    def end(self, error: Exception | None) -> None:
        """End the group, for those who observe it and those who come later."""
        self._ended = True
        self._error = error
        self.observers.end(error)
