"""A timeout that moves while there is progress, and that a stalled event loop does not use up.

A connection that is being made, or a request on its way, may need more than what is in the sockets
when the loop goes on. So where its `Timer` is late, there is, once, as much time again as that.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from rx_cometd._transports.timer import Timer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Timeout", "timeout_after"]


@asynccontextmanager
async def timeout_after(
    seconds: float | None, progressed: Callable[[], bool] | None = None
) -> AsyncGenerator[Timeout]:
    """Limit the time that a block takes.

    Args:
        seconds: From now, and from each `Timeout.restart` on; ``None`` for ever.
        progressed: Asked when the time is up: whether there was progress that nobody told.

    Raises:
        TimeoutError: The time is up.
    """
    async with asyncio.timeout(None) as scope:
        timeout = Timeout(scope, seconds, progressed)
        try:
            yield timeout
        finally:
            timeout.cancel()


class Timeout:
    """The time that a block has."""

    def __init__(
        self,
        scope: asyncio.Timeout,
        seconds: float | None,
        progressed: Callable[[], bool] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._seconds = seconds
        self._progressed = progressed
        self._excused = False
        self._timer: Timer | None = None
        self.restart()

    def restart(self) -> None:
        """Give the whole time anew: there is progress."""
        self._excused = False
        if self._seconds is not None:
            self._start(self._seconds)

    def cancel(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, seconds: float) -> None:
        self.cancel()
        self._timer = Timer(self._loop.time() + seconds, self._pass)

    def _pass(self) -> None:
        late = 0.0 if self._timer is None else self._timer.late
        if self._progressed is not None and self._progressed():
            self.restart()
        elif late and self._seconds is not None and not self._excused:
            self._excused = True
            self._start(min(late, self._seconds))
        else:
            self._scope.reschedule(self._loop.time())
