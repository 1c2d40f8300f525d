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
async def timeout_after(seconds: float) -> AsyncGenerator[Timeout]:
    """Limit the time that a block takes.

    Args:
        seconds: From now, and from each `Timeout.restart` on.

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

    def __init__(self, scope: asyncio.Timeout, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._seconds = seconds
        self._excused = False
        self._timer = self._loop.call_later(seconds, self._pass)

    def restart(self) -> None:
        """Give the whole time anew: there is progress."""
        self._timer.cancel()
        self._excused = False
        self._timer = self._loop.call_later(self._seconds, self._pass)

    def cancel(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _pass(self) -> None:
        now = self._loop.time()
        late = now - self._timer.when()
        if late > _BUSY and not self._excused:
            self._excused = True
            self._timer = self._loop.call_later(min(late, self._seconds), self._pass)
        else:
            self._scope.reschedule(now)
