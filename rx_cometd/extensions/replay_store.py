"""Where replay markers are kept: what a store must do, and the simplest of them."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol, TypeAlias, runtime_checkable

__all__ = [
    "AsyncReplayStore",
    "LockableStore",
    "MemoryStore",
    "ReplayId",
    "ReplayOption",
    "ReplayStore",
    "StoreLockedError",
    "is_forward",
]

#: Names an event within its channel; opaque, though Salesforce's are growing integers.
ReplayId: TypeAlias = int | str


class ReplayOption(IntEnum):
    """Values that can be used instead of a replay id (Salesforce, "Message Durability")."""

    NEW_EVENTS = -1
    """Only events published from now on."""
    ALL_EVENTS = -2
    """All events that the server still keeps: of the last 24 or 72 hours."""


class ReplayStore(Protocol):
    """A store whose methods return at once: memory, or a file on this machine.

    Several clients, on several machines too, may share a store. Where both ids are integers a
    `save` must therefore never move a marker backwards, unless it is told to `reset` it.
    """

    def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none."""
        ...

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel.

        Args:
            channel: The channel, without a query.
            replay_id: The event up to which all have been processed, or a `ReplayOption`.
            reset: Replace the marker even if that moves it backwards: the server refused it.
        """
        ...


class StoreLockedError(Exception):
    """Somebody else holds the lock of a store, and the caller asked not to wait for it."""


@runtime_checkable
class LockableStore(Protocol):
    """A plain store that another process may lock, and whose plain methods wait for the lock.

    They may be called from another thread than the event loop's, one at a time, to wait there.
    """

    def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none."""
        ...

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`."""
        ...

    def load_at_once(self, channel: str) -> ReplayId | None:
        """Do what ``load`` does, without waiting.

        Raises:
            StoreLockedError: The store is locked.
        """
        ...

    def save_at_once(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Do what ``save`` does, without waiting.

        Raises:
            StoreLockedError: The store is locked.
        """
        ...


class AsyncReplayStore(Protocol):
    """A store whose methods are coroutine functions: a database somewhere else.

    The methods mean what those of `ReplayStore` do. They are not called twice at once for the
    same channel, but may be called for one channel while another is under way.
    """

    async def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none."""
        ...

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel."""
        ...


class MemoryStore:
    """Markers in memory: they survive sessions, but not the process.

    Example:
        >>> store = MemoryStore()
        >>> store.save("/event/Order__e", 82)
        >>> store.save("/event/Order__e", 81)
        >>> store.load("/event/Order__e")
        82
    """

    def __init__(self) -> None:
        self._markers: dict[str, ReplayId] = {}

    def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none."""
        return self._markers.get(channel)

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`."""
        if reset or is_forward(self._markers.get(channel), replay_id):
            self._markers[channel] = replay_id


def is_forward(old: ReplayId | None, new: ReplayId) -> bool:
    """Tell whether a marker may move: only two integers can say that it may not.

    >>> is_forward(5, 4), is_forward("b", "a"), is_forward(None, 4)
    (False, True, True)
    """
    return not (isinstance(old, int) and isinstance(new, int)) or new > old
