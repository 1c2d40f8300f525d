"""A timeout that moves while there is progress, and that a stalled event loop does not use up.

A connection that is being made, or a request on its way, may need more than what is in the sockets
when the loop goes on. So where its `Timer` is late, there is, once, as much time again as that.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Self

from rx_cometd._transports.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Timeout", "timeout_after"]


def timeout_after(seconds: float | None, progressed: Callable[[], bool] | None = None) -> Timeout:
    """Limit the time that a block takes.

    Args:
        seconds: From its beginning, and from each `Timeout.restart` on; ``None`` for ever.
        progressed: Asked when the time is up: whether there was progress that nobody told.

    Raises:
        TimeoutError: The time is up, within the block.
    """
    return Timeout(seconds, progressed)


class Timeout:
    """The time that a block has.

    There is one timer, that of the beginning: what moves the time is seen when it fires.
    """

    def __init__(self, seconds: float | None, progressed: Callable[[], bool] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = asyncio.timeout(None)
        self._seconds = math.inf if seconds is None else seconds
        self._progressed = progressed
        self._excused = False
        self._timer: Timer | None = None
        #: When the time is up, by the loop's clock.
        self._due = math.inf

    async def __aenter__(self) -> Self:
        """Begin the block."""
        await self._scope.__aenter__()
        self.restart()
        if self._due < math.inf:
            self._watch()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block."""
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, traceback)

    def restart(self) -> None:
        """Start over: there is progress."""
        self._excused = False
        self._due = self._loop.time() + self._seconds

    def _watch(self) -> None:
        self._timer = Timer(self._due, self._pass)

    def _pass(self) -> None:
        timer = self._timer
        if timer is None or (self._due <= timer.when and not self._excuses(timer.late)):
            self._scope.reschedule(self._loop.time())
        else:
            self._watch()

    def _excuses(self, late: float) -> bool:
        """Give more time where there is reason to: progress, or a loop that stood still."""
        if self._progressed is not None and self._progressed():
            self.restart()
        elif late and not self._excused:
            self._excused = True
            self._due = self._loop.time() + min(late, self._seconds)
        else:
            return False
        return True
