"""How far one channel has been processed, when events are processed in any order.

The marker may pass an event only once all events that arrived before it were processed too:
what is behind the marker is never sent again. Events are known by their ids, which are opaque;
the order in which they arrive is all that counts.

Those that were not processed yet form a list. Each knows how far the marker may go once it is
done: to itself, at first. One that is done while others are before it hands that on to the
nearest of them and leaves the list. So nothing is searched for, and only what is outstanding
takes memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rx_cometd.extensions.replay_store import is_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.extensions.replay_store import ReplayId

__all__ = ["Marker"]


class Marker:
    """The marker of one channel.

    Attributes:
        value: The id of the last event of the processed ones, or what was asked for first.
    """

    __slots__ = ("_moved", "_order", "_since", "value")

    def __init__(self, value: ReplayId, moved: Callable[[ReplayId], None]) -> None:
        self.value = value
        self._moved = moved
        self._order = _Order()
        #: Since when the oldest of the outstanding events is what the marker waits for.
        self._since = 0.0

    def begin(self) -> None:
        """Begin a new order: the channel is subscribed to again, from the marker on.

        Whatever is outstanding will arrive again, also what nobody will ever process (the
        buffer that held it may be gone), so that it need not be waited for any more.
        """
        self._order = self._order.next()

    @property
    def age(self) -> float:
        """Seconds for which the marker has stood still while events are outstanding, else 0."""
        return time.monotonic() - self._since if self._order.outstanding else 0.0

    def reset(self, value: ReplayId) -> None:
        """Put the marker elsewhere; what arrived before does not move it any more."""
        self.value = value
        self._order = _Order()

    def arrived(self, replay_id: ReplayId) -> Callable[[], None]:
        """Take note of an event; the result is to be called once it was processed."""
        order = self._order
        if not order.outstanding:
            self._since = time.monotonic()
        event = order.append(replay_id)

        def processed() -> None:
            reached = order.remove(event)
            if reached is not None:
                self._advance(order, reached)

        return processed

    def _advance(self, order: _Order, replay_id: ReplayId) -> None:
        if order is not self._order and not (
            # An earlier order of the same marker still tells the truth about what was processed,
            # but only integers can tell whether that is ahead of the marker.
            order.root is self._order.root
            and isinstance(replay_id, int)
            and isinstance(self.value, int)
        ):
            return
        if replay_id != self.value and is_forward(self.value, replay_id):
            self.value = replay_id
            self._since = time.monotonic()
            self._moved(replay_id)


class _Event:
    """An event that was not processed yet, between its neighbours in the order of arrival."""

    __slots__ = ("after", "before", "reach")

    def __init__(self, reach: ReplayId | None, before: _Event | None) -> None:
        self.reach = reach
        self.before = before
        self.after: _Event | None = None


class _Order:
    """The outstanding events since the channel was subscribed to, in the order of arrival."""

    __slots__ = ("_head", "_tail", "root")

    def __init__(self, root: object = None) -> None:
        self.root = object() if root is None else root
        self._head = self._tail = _Event(None, None)

    @property
    def outstanding(self) -> bool:
        return self._tail is not self._head

    def next(self) -> _Order:
        return _Order(self.root)

    def append(self, replay_id: ReplayId) -> _Event:
        event = _Event(replay_id, self._tail)
        self._tail.after = event
        self._tail = event
        return event

    def remove(self, event: _Event) -> ReplayId | None:
        """Take an event out; give how far the marker may go, ``None`` if no further."""
        before, after, reach = event.before, event.after, event.reach
        if before is None or reach is None:
            return None  # it was taken out already
        event.before = None
        before.after = after
        if after is None:
            self._tail = before
        else:
            after.before = before
        if before is self._head:
            return reach
        if is_forward(before.reach, reach):
            before.reach = reach
        return None
