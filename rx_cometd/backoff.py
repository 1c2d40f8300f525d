"""Delays between attempts to reconnect."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Backoff", "exponential"]


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
