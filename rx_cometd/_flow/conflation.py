"""Conflation: of the messages with one key only the latest waits, in the place of the first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["channel_of", "conflate"]

_T = TypeVar("_T")


def conflate(
    latest: OrderedDict[Hashable, _T],
    waiting: Iterable[_T],
    arriving: _T,
    key: Callable[[_T], Hashable],
) -> tuple[OrderedDict[Hashable, _T], list[_T]]:
    """Have an arriving message replace the one with its key.

    Args:
        latest: The latest of each key; changed in place, unless it is empty.
        waiting: What waits in order, where nothing was conflated yet.
        arriving: The message.
        key: Gives the key of a message.

    Returns:
        The latest of each key now, and what was replaced.

    Raises:
        Exception: What ``key`` raised; nothing has changed then.
    """
    dropped: list[_T] = []
    if latest:
        _replace(latest, key(arriving), arriving, dropped)
        return latest, dropped
    made = OrderedDict[Hashable, _T]()
    for message in (*waiting, arriving):
        _replace(made, key(message), message, dropped)
    return made, dropped


def _replace(
    latest: OrderedDict[Hashable, _T], key: Hashable, message: _T, dropped: list[_T]
) -> None:
    if key in latest:
        dropped.append(latest[key])
    latest[key] = message  # an existing key keeps its place


def channel_of(message: Any) -> Hashable:
    """Give the channel of a message, which is its key where nobody gave another.

    Raises:
        TypeError: It is no message of a channel.
    """
    try:
        return cast("Hashable", message["channel"])
    except (TypeError, LookupError):
        raise TypeError(
            "CONFLATE needs key=... for items that are not messages of a channel"
        ) from None
