"""A timer that lets the sockets be read first.

When the event loop stood still (a consumer that blocks, a debugger, a laptop asleep), its timers
fire before what came meanwhile was read. Whoever looked then would find replies late that are
there. So where a timer fires late, it lets the loop go round a few times first, and says how late
it was.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timer"]

#: Seconds by which a timer must be late for the loop to have stood still.
_STALL: Final = 0.1
#: In a turn a socket is read once, and the task that waits for it is woken in the next one. TLS,
#: several frames, and an extension take some more.
_TURNS: Final = 16


class Timer:
    """Calls back at a time, or some turns of the loop later, where that is late by then.

    Args:
        when: The time, by the loop's clock.
        callback: What to call.

    Attributes:
        when: The time.
        late: By how many seconds the loop, which stood still, missed the time; 0 if it did not.
    """

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self._loop = asyncio.get_running_loop()
        self.when = when
        self._callback = callback
        self.late = 0.0
        self._handle: asyncio.Handle = self._loop.call_at(when, self._fire)

    def cancel(self) -> None:
        """Do not call back any more."""
        self._handle.cancel()

    def _fire(self) -> None:
        late = self._loop.time() - self.when
        if late < _STALL:
            self._callback()
        else:
            self.late = late
            self._go_round(_TURNS)

    def _go_round(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._go_round, turns - 1)
        else:
            self._callback()
