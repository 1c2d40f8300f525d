"""The cycle in time: when the protocol takes its next step, and what may hold it up.

Two things may: the user's handshake fields, which can take a coroutine to make, and a full
buffer with the policy ``SUSPEND``, for which a connect is held back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rx_cometd._flow.edge import failure_of_awaited
from rx_cometd._protocol.outcomes import Step
from rx_cometd._protocol.refusals import cause_text
from rx_cometd._session.settings import Settings, provided
from rx_cometd._transports.timer import Timer
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import AuthenticationError
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._protocol.protocol import Protocol
    from rx_cometd._session.exchange import Exchanges
    from rx_cometd._session.flow_control import FlowControl

__all__ = ["Steps"]


class Steps:
    """Takes the protocol's steps when they are due.

    Args:
        settings: The client's.
        protocol: What takes the steps.
        flow: Tells whether to hold back.
        exchanges: Runs what has to wait.
        act: Called when the protocol may have something to say.
        stood_still: Called when the loop stood still while a step was waited for.
    """

    def __init__(
        self,
        settings: Settings,
        protocol: Protocol,
        flow: FlowControl,
        exchanges: Exchanges,
        *,
        act: Callable[[], None],
        stood_still: Callable[[], None],
    ) -> None:
        self._stood_still = stood_still
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._protocol = protocol
        self._flow = flow
        self._exchanges = exchanges
        self._act = act
        self._timer: Timer | None = None
        self._held_since: float | None = None
        self._authenticating = False

    def schedule(self, step: Step, delay: float) -> None:
        """Take a step after a delay in seconds, instead of the one that was due."""
        # A connect that was held back for a buffer is no longer the next step.
        self._held_since = None
        self._start_timer(step, delay)

    def _start_timer(self, step: Step, delay: float) -> None:
        self.cancel()
        self._timer = Timer(self._loop.time() + delay, lambda: self._take(step))

    def cancel(self) -> None:
        """Take no step."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take(self, step: Step) -> None:
        late = self._timer is not None and self._timer.late > 0
        self._timer = None
        if late:
            self._stood_still()
        if step is Step.HANDSHAKE:
            self._exchanges.lanes.spawn(self._handshake(), "handshake", self._handshake_unready)
        elif not self._hold_connect():
            self._protocol.connect(self._loop.time())
            self._act()

    async def _handshake(self) -> None:
        fields = await provided(
            self._settings.handshake_fields, "handshake_fields", self._settings.max_network_delay
        )
        self._protocol.handshake(fields)
        self._act()

    def _handshake_unready(self, error: Exception) -> None:
        self._protocol.handshake_unready(error, self._loop.time())
        self._act()

    # -- flow control --------------------------------------------------------------------------

    def _hold_connect(self) -> bool:
        """Hold the connect back while a buffer is full, within the session's lifetime.

        Not while a call waits for its answer. To the server that is an event message, which
        comes with a connect: always so with the ack extension, and over long-polling if the
        service takes its time.
        """
        protocol = self._protocol
        connected = protocol.state is ClientState.CONNECTED
        if not (self._flow.suspended and connected) or protocol.awaits_answers:
            self._held_since = None
            return False
        now = self._loop.time()
        if self._held_since is None:
            self._held_since = self._answered_at(now)
        lifetime = protocol.advice.max_interval
        # A fifth is kept for the connect to reach the server.
        limit = self._settings.max_suspension if lifetime is None else lifetime * 0.8
        left = self._held_since + limit - now
        if left <= 0:
            self._held_since = None
            return False
        self._start_timer(Step.CONNECT, left)
        return True

    def _answered_at(self, now: float) -> float:
        """Tell when, at the latest, the server began to count the session's idle time.

        Over a WebSocket that is when the first messages came: they are on their way in frames of
        their own before the reply is, and in great numbers they take their time.
        """
        began = self._protocol.first_event_at
        over_websocket = self._protocol.connection_type is ConnectionType.WEBSOCKET
        return began if over_websocket and began is not None else now

    def resume(self) -> None:
        """Send a connect that was held back."""
        if self._held_since is not None:
            self._held_since = None
            self.schedule(Step.CONNECT, 0.0)

    # -- credentials ---------------------------------------------------------------------------

    def renew_credentials(self) -> None:
        """Have new credentials fetched, once at a time however many requests want them."""
        if not self._authenticating:
            self._authenticating = True
            self._exchanges.lanes.spawn(
                self._authenticate(), "authenticate", self._authentication_failed
            )

    async def _authenticate(self) -> None:
        auth = self._settings.auth
        limit = self._settings.max_network_delay
        deadline = asyncio.timeout(limit)
        try:
            if auth is not None:
                async with deadline:
                    await auth.authenticate()
        except BaseException as error:
            failure = failure_of_awaited(error, "authenticate")
            too_long = f"it took longer than max_network_delay, {limit} s"
            self._authentication_failed(failure, too_long if deadline.expired() else None)
        else:
            await self._exchanges.renew_upgrade()
            self._authenticating = False
            self._protocol.authenticated()
            self._act()

    def _authentication_failed(self, error: Exception, reason: str | None = None) -> None:
        self._authenticating = False
        failure = AuthenticationError(
            f"authenticate() failed, so there are no new credentials: {reason or cause_text(error)}"
        )
        failure.__cause__ = error
        self._protocol.authentication_failed(failure)
        self._act()
