"""How long the link may be down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rx_cometd._protocol.refusals import cause_text
from rx_cometd._transports.timer import Timer
from rx_cometd.exceptions import TransportTimeoutError
from rx_cometd.states import ClientState, StateChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.statistics import Counters

__all__ = ["Outage"]

#: Stalls of the loop that an outage begins anew for: a loop whose every turn is slow would put off
#: its end for ever. One stall may be noticed twice, by a step and by the end of the time.
_STALLS: Final = 10


class Outage:
    """Watches the link, and gives the session up when it was down for too long.

    The link is up from a successful connect to the first failure, and down before, between and
    after. ``connection_timeout`` starts over with each outage; the first opening is one. It does so
    as well where the event loop stood still, so that nobody gives up before it was tried again, but
    not for ever; and a handshake that succeeded just before the end has its connect answered, or
    not, first.

    Args:
        connection_timeout: Seconds that the link may be down, ``None`` for ever.
        counters: Where regained links are counted.
        give_up: Called with the error when the link was down for too long.
        stood_still: Called when the loop stood still during an outage: it is time to try.
        grace: Seconds that the connect may take after a handshake just before the end.
    """

    def __init__(
        self,
        connection_timeout: float | None,
        counters: Counters,
        give_up: Callable[[TransportTimeoutError], None],
        stood_still: Callable[[], None],
        grace: float,
    ) -> None:
        self._stood_still = stood_still
        self._grace = grace
        self._state = ClientState.DISCONNECTED
        self._waited_for_connect = False
        self._connection_timeout = connection_timeout
        self._counters = counters
        self._give_up = give_up
        self._timer: Timer | None = None
        self._was_up = False
        self._stalls = 0
        self._cause: Exception | None = None

    def changed(self, change: StateChange) -> None:
        """Take a change of the state."""
        self._state = change.state
        if change.error is not None:
            self._cause = change.error
        if change.state is ClientState.CONNECTED:
            self._end(change)
        elif change.state is not ClientState.DISCONNECTING:
            self._begin()

    def cancel(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin_anew(self) -> None:
        """Count an outage that is under way from now on."""
        self._stalls = 0
        self._begin_again()

    def begin_after_stall(self) -> bool:
        """Count an outage that is under way from now on, because the event loop stood still.

        Returns:
            Whether what was tried before is to be forgotten: not where the loop does so again and
            again while the link is down.
        """
        if self._state is not ClientState.CONNECTED:
            self._stalls += 1
        if self._stalls > _STALLS:
            return False
        self._begin_again()
        return True

    def _begin_again(self) -> None:
        if self._timer is not None:
            self.cancel()
            self._begin()

    def _begin(self) -> None:
        if self._timer is None and self._connection_timeout is not None:
            self._waited_for_connect = False
            self._start(self._connection_timeout)

    def _start(self, seconds: float) -> None:
        self._timer = Timer(asyncio.get_running_loop().time() + seconds, self._pass)

    def _end(self, change: StateChange) -> None:
        self.cancel()
        self._stalls = 0
        self._cause = None
        self._counters.reconnects += self._was_up
        self._counters.resumed += self._was_up and change.resumed
        self._was_up = True

    def _pass(self) -> None:
        late = self._timer is not None and self._timer.late > 0
        if late and self.begin_after_stall():
            self._stood_still()
            return
        self._timer = None
        if self._state is ClientState.CONNECTING and not self._waited_for_connect:
            self._waited_for_connect = True
            self._start(self._grace)
        else:
            self._give_up(self._error())

    def _error(self) -> TransportTimeoutError:
        timeout = self._connection_timeout
        why = "no answer came" if self._cause is None else f"last: {cause_text(self._cause)}"
        error = TransportTimeoutError(f"no link for {timeout} s; {why}")
        error.__cause__ = self._cause
        return error
