"""A timeout that moves while there is progress, and that a stalled event loop does not use up.

When the loop stood still (a blocking consumer, a debugger, a laptop asleep), timers run out in
the same turn in which the sockets are read, and a reply that has come is not seen before its
time is up. So a timer that is late itself gives, once, as much time again as it was late.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Timeout", "timeout_after"]

#: Seconds that a timer may be late on a loop that is merely busy.
_BUSY: Final = 0.02


@asynccontextmanager
async def timeout_after(seconds: float | None) -> AsyncGenerator[Timeout]:
    """Limit the time that a block takes.

    Args:
        seconds: From now, and from each `Timeout.restart` on; ``None`` for ever.

    Raises:
        TimeoutError: The time is up.
    """
    async with asyncio.timeout(None) as scope:
        timeout = Timeout(scope, seconds)
        try:
            yield timeout
        finally:
            timeout.cancel()


class Timeout:
    """The time that a block has."""

    def __init__(self, scope: asyncio.Timeout, seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._seconds = seconds
        self._excused = False
        self._timer: asyncio.TimerHandle | None = None
        self.restart()

    def restart(self) -> None:
        """Give the whole time anew: there is progress."""
        self.cancel()
        self._excused = False
        if self._seconds is not None:
            when = self._loop.time() + self._seconds
            self._timer = self._loop.call_at(when, self._pass, when, self._seconds)

    def cancel(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _pass(self, when: float, most: float) -> None:
        now = self._loop.time()
        late = now - when
        if late > _BUSY and not self._excused:
            self._excused = True
            when = now + min(late, most)
            self._timer = self._loop.call_at(when, self._pass, when, most)
        else:
            self._scope.reschedule(now)
