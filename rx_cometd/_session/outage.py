"""How long the link may be down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rx_cometd._protocol.refusals import cause_text
from rx_cometd.exceptions import TransportTimeoutError
from rx_cometd.states import ClientState, StateChange

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.statistics import Counters

__all__ = ["Outage"]


class Outage:
    """Watches the link, and gives the session up when it was down for too long.

    The link is up from a successful connect to the first failure, and down before, between and
    after. ``connection_timeout`` runs anew with each outage; the first opening is one.

    Args:
        connection_timeout: Seconds that the link may be down, ``None`` for ever.
        counters: Where regained links are counted.
        give_up: Called with the error when the link was down for too long.
    """

    def __init__(
        self,
        connection_timeout: float | None,
        counters: Counters,
        give_up: Callable[[TransportTimeoutError], None],
    ) -> None:
        self._connection_timeout = connection_timeout
        self._counters = counters
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._was_up = False
        self._cause: Exception | None = None

    def changed(self, change: StateChange) -> None:
        """Take a change of the state."""
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

    def _begin(self) -> None:
        timeout = self._connection_timeout
        if self._timer is None and timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(timeout, self._pass, timeout)

    def _end(self, change: StateChange) -> None:
        self.cancel()
        self._cause = None
        self._counters.reconnects += self._was_up
        self._counters.resumed += self._was_up and change.resumed
        self._was_up = True

    def _pass(self, timeout: float) -> None:
        self._timer = None
        last = "" if self._cause is None else f"; last: {cause_text(self._cause)}"
        error = TransportTimeoutError(f"no link for {timeout} s{last}")
        error.__cause__ = self._cause
        self._give_up(error)
