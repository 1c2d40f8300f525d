"""The clock of the event loop in the hands of a test: nothing hangs on how fast the machine is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

__all__ = ["Clock"]


class Clock:
    """A clock that can be set ahead, which to the loop is a stall, and stopped.

    Sockets are real, so what they bring takes the time that it takes; timers are what a test says.

    Args:
        time: The time that it goes by.
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._ahead = 0.0
        self._stopped_at: float | None = None

    @classmethod
    def of_running_loop(cls, monkeypatch: pytest.MonkeyPatch) -> Self:
        """Take over the clock of the running loop."""
        loop = asyncio.get_running_loop()
        clock = cls(loop.time)
        monkeypatch.setattr(loop, "time", clock.time)
        return clock

    def time(self) -> float:
        """Give the time."""
        return self._ahead + (self._time() if self._stopped_at is None else self._stopped_at)

    def advance(self, seconds: float) -> None:
        """Set it ahead."""
        self._ahead += seconds

    def stop(self) -> None:
        """Have it go on where it is set ahead only."""
        self._stopped_at = self._time()
