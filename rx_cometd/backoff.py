"""Delays: between attempts to reconnect, and where a server would have the client spin."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Backoff", "Idling", "exponential"]


def exponential(
    base: float = 0.5, cap: float = 30.0, *, rng: random.Random | None = None
) -> Iterator[float]:
    """Give delays that double, with full jitter.

    Full jitter (a uniform draw between zero and the bound) spreads the clients of a restarted
    server best; the reference clients have none.

    Args:
        base: Bound of the first delay, in seconds.
        cap: Bound that no delay passes, in seconds.
        rng: The source of randomness; tests give a seeded one.

    Yields:
        Delays in seconds, without end.
    """
    draw = random.Random() if rng is None else rng  # noqa: S311 - not for cryptography
    bound = base
    while True:
        yield draw.uniform(0, min(cap, bound))
        bound = min(cap, bound * 2)


class Backoff:
    """The delays of one run of failures, begun anew by `reset`.

    Args:
        delays: Gives an iterator of delays in seconds for each run of failures. Where it ends,
            its last delay is repeated.
    """

    def __init__(self, delays: Callable[[], Iterator[float]] = exponential) -> None:
        self._make = delays
        self._delays: Iterator[float] | None = None
        self._last = 0.0

    def next_delay(self) -> float:
        """Give the next delay, in seconds."""
        if self._delays is None:
            self._delays = iter(self._make())
        self._last = max(0.0, next(self._delays, self._last))
        return self._last

    def reset(self) -> None:
        """Forget the failures: an attempt succeeded."""
        self._delays = None


#: A connect answered sooner than this, in seconds, without a message, was not held at all.
_AT_ONCE: Final = 0.1
#: How many of those in a row are taken for chance (an ack extension flushing, a new server).
_TOLERATED: Final = 3
#: How often the delay doubles: up to 1.6 s, well within what servers let a session be idle.
_DOUBLINGS: Final = 5


class Idling:
    """Slows down where a server answers connects at once, with nothing, without end."""

    def __init__(self) -> None:
        self._sent_at = 0.0
        self._held = False
        self._events = 0
        self._in_a_row = 0

    def sent(self, now: float, *, held: bool) -> None:
        """Note that a connect goes out.

        Args:
            now: The time, in seconds.
            held: Whether the server may hold it; one that asks not to be held proves nothing.
        """
        self._sent_at = now
        self._held = held
        self._events = 0

    def count_events(self, count: int) -> None:
        """Note event messages that came, whatever brought them."""
        self._events += count

    def answered(self, now: float) -> float:
        """Note that the connect was answered. Gives the delay before the next, in seconds."""
        at_once = now - self._sent_at < _AT_ONCE
        idle = self._held and self._events == 0 and at_once
        self._in_a_row = self._in_a_row + 1 if idle else 0
        excess = min(self._in_a_row - _TOLERATED, _DOUBLINGS)
        return 0.05 * 2.0**excess if excess > 0 else 0.0
