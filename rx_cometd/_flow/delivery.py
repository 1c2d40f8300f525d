"""Knowing when a message was processed, not only delivered.

Replay markers may move only past messages that were processed. An observer that works within
``on_next`` is done when that returns; a buffer or an asynchronous operator is not. Such an
operator asks `hold` while it takes a message in, and calls what it gets once the message has
been processed. When nobody tracks the message being delivered, `hold` gives ``None``, and the
whole mechanism costs one look-up per buffered message.

The delivery is known by a context variable, and asyncio copies the context into every callback
and task made during it. What delivers later therefore steps out of that copy (`apart`), and
into the delivery of the message it hands on (``with held``), so that a buffer behind a buffer
holds the right message.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

__all__ = ["Delivery", "Hold", "apart", "hold", "stay_apart"]

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
        self.release()

    @property
    def done(self) -> bool:
        """Whether nothing holds the message (any more)."""
        return self._holds == 0

    def hold(self) -> Hold:
        """Take part in the processing; the result is to be called when done."""
        self._holds += 1
        return Hold(self)

    def release(self) -> None:
        """Give one hold back (for `Hold`)."""
        self._holds -= 1
        if self._holds == 0:
            self._processed()


class Hold:
    """One part in the processing of a message: call it once the message has been processed.

    As a context manager it makes the message the one that is being delivered, for those who
    hand it on later; leaving the context does not release it.
    """

    __slots__ = ("_delivery", "_released", "_token")

    _token: Token[Delivery | None]

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._released = False

    def __call__(self) -> None:
        """Say that this part is done; further calls do nothing."""
        if not self._released:
            self._released = True
            self._delivery.release()

    def __enter__(self) -> None:
        self._token = _current.set(self._delivery)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class apart:  # noqa: N801 - reads as the statement it is: ``with apart():``
    """Deliver nothing within: what asyncio copied of an earlier delivery does not count."""

    __slots__ = ("_token",)

    _token: Token[Delivery | None]

    def __enter__(self) -> None:
        self._token = _current.set(None)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


def stay_apart() -> None:
    """The same for the whole of a task, whose context is its own.

    Nothing is put back at its end, for a task that never ends is collected in another context.
    """
    _current.set(None)


def hold() -> Hold | None:
    """Hold the message that is being delivered, if anybody tracks it."""
    delivery = _current.get()
    # A delivery that is over was copied into this context by asyncio, say by a `delay`.
    return None if delivery is None or delivery.done else delivery.hold()
