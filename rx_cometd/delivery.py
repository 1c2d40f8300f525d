"""Knowing when a message was processed, not only delivered.

Replay markers may move only past messages that were processed. An observer that works within
``on_next`` is done when that returns; a buffer or an asynchronous operator is not. Such an
operator asks `hold` while it takes a message in, and calls what it gets once the message has
been processed. When nobody tracks the message being delivered, `hold` gives ``None``, and the
whole mechanism costs one look-up per buffered message.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Delivery", "hold"]

_current: ContextVar[Delivery | None] = ContextVar("rx_cometd_delivery", default=None)


class Delivery:
    """One tracked message on its way to its observers.

    A context manager around the delivery; ``processed`` is called once, when the delivery and
    all that was held during it are done.
    """

    __slots__ = ("_holds", "_processed", "_token")

    def __init__(self, processed: Callable[[], None]) -> None:
        self._processed = processed
        self._holds = 0

    def __enter__(self) -> None:
        self._holds += 1
        self._token = _current.set(self)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
        self._release()

    def hold(self) -> Callable[[], None]:
        """Take part in the processing; the result is to be called when done, once."""
        self._holds += 1
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self._release()

        return release

    def _release(self) -> None:
        self._holds -= 1
        if self._holds == 0:
            self._processed()


def hold() -> Callable[[], None] | None:
    """Hold the message that is being delivered, if anybody tracks it."""
    delivery = _current.get()
    return None if delivery is None else delivery.hold()
