"""The session: drives the protocol over the wire, in time.

It decides nothing that the protocol could decide. Its own matters are time (timers, deadlines,
how long the link may be down), order (lanes), and whom to tell (futures, observers).
"""

from __future__ import annotations

import asyncio
import logging
import typing
from typing import TYPE_CHECKING, Final

from rx_cometd._flow.dispatch import Dispatch
from rx_cometd._flow.edge import failure_of_awaited
from rx_cometd._flow.ending import ending_for
from rx_cometd._flow.multicast import notify_end
from rx_cometd._protocol.outcomes import (
    Answered,
    Changed,
    Due,
    Ended,
    Outcome,
    ResendDue,
    Settled,
    Subscribed,
    SubscriptionFailed,
    Told,
    Unauthorized,
    Unsubscribed,
)
from rx_cometd._protocol.protocol import Protocol
from rx_cometd._session.exchange import Exchanges
from rx_cometd._session.outage import Outage
from rx_cometd._session.state_log import log_attempt, log_change
from rx_cometd._session.steps import Steps
from rx_cometd._session.user_requests import UserRequests
from rx_cometd._session.waiters import Waiters
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ClientInvalidOperation, TransportError
from rx_cometd.states import ClientState, StateChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rx_cometd._session.flow_control import FlowControl
    from rx_cometd._session.settings import Settings
    from rx_cometd.statistics import Counters

__all__ = ["Session", "SessionListener"]

_log = logging.getLogger("rx_cometd.session")

#: Seconds that closing may wait for the reply to the disconnect, at most.
_CLOSE_TIMEOUT: Final = 1.0


class SessionListener(typing.Protocol):
    """What a session tells the client. Nothing here may raise."""

    def session_changed(self, session: Session, change: StateChange) -> None:
        """Take a change of the state."""
        ...

    def session_ended(self, session: Session, error: Exception | None) -> None:
        """Take the end of the session; ``None`` where it was closed in order."""
        ...

    def subscription_failed(self, session: Session, channel: str, error: Exception) -> None:
        """Take the refusal of a channel, at first or in a new session."""
        ...


class Session:
    """One life of a client, from opening to the end; renews its Bayeux session as needed.

    Args:
        settings: The client's.
        listener: The client.
        flow: The client's flow control.
        counters: The client's counters.
    """

    def __init__(
        self,
        settings: Settings,
        listener: SessionListener,
        flow: FlowControl,
        counters: Counters,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._listener = listener
        self._flow = flow
        self._counters = counters
        self.dispatch = Dispatch(self.report, flow)
        self._protocol = Protocol(
            settings.connection_types,
            backoff=settings.backoff,
            max_network_delay=settings.max_network_delay,
            resume_timeout=settings.resume_timeout,
            authenticates=settings.auth is not None,
            connection_timeout=settings.connection_timeout,
            is_transient=settings.is_transient,
            is_wanted=self.dispatch.observes,
        )
        self._exchanges = Exchanges(settings, self._protocol, self.dispatch, counters, self._act)
        self._steps = Steps(
            settings,
            self._protocol,
            flow,
            self._exchanges,
            act=self._act,
            stood_still=self._stood_still,
        )
        self._outage = Outage(
            settings.connection_timeout, counters, self.end, self._try_now, settings.resume_timeout
        )
        #: What the user asks for.
        self.requests = UserRequests(
            self._protocol,
            self._exchanges.lanes,
            settings.max_outbox,
            call_begins=self._steps.resume,
        )
        self._milestones: Waiters[None] = Waiters()
        self._resend_timer: asyncio.TimerHandle | None = None
        self._acting = self._draining = self.ended = False
        #: What is still to be acted on of what the protocol said.
        self._left: Iterator[Outcome] = iter(())
        self.error: Exception | None = None
        self._teardown: asyncio.Task[None] | None = None

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """Where the session is in its life."""
        return self._protocol.state

    @property
    def client_id(self) -> str | None:
        """The server's name for the session."""
        return self._protocol.client_id

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use."""
        return self._protocol.connection_type

    @property
    def subscriptions(self) -> frozenset[str]:
        """The channels that the server has confirmed."""
        return self._protocol.subscribed()

    @property
    def refusal(self) -> ClientInvalidOperation | None:
        """Why no new observer is taken, ``None`` where one is."""
        if not self._draining:
            return None
        return ClientInvalidOperation("the client is being drained: it takes nothing new")

    # -- life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to seek a session."""
        self._protocol.open(self._loop.time())
        self._act()

    async def opened(self) -> None:
        """Wait for the first connect to succeed.

        Raises:
            CometDError: The session is over.
        """
        if self.ended:
            raise self.error or ClientInvalidOperation("the client was closed")
        if self.state is not ClientState.CONNECTED:
            await self._milestones.wait(_OPENED)

    async def close(self) -> None:
        """End the session in order, within a second, and release everything."""
        if not self.ended:
            self._protocol.disconnect()
            self._act()
        if not self.ended:
            timeout = min(_CLOSE_TIMEOUT, self._settings.max_network_delay)
            try:
                async with asyncio.timeout(timeout):
                    await self._milestones.wait(_ENDED)
            except TimeoutError:
                _log.info(
                    "the server did not answer the disconnect within %s s",
                    timeout,
                    extra={"event": "disconnect_unanswered", "seconds": timeout},
                )
            finally:
                self.end(None)
        await self.closed()

    def check_drainable(self) -> None:
        """Refuse to be drained by what would be waited for.

        Raises:
            ClientInvalidOperation: This task does the work, or holds the requests back.
        """
        self.requests.check_outside_batch()
        self._flow.check_outside()

    async def drain(self) -> None:
        """Take nothing new, have what is pending processed, and send what is to be sent."""
        self._draining = True
        await self._unsubscribed_from(self._protocol.desired())
        with ending_for(self._flow):
            for observer in self.dispatch.take_all():
                notify_end(observer, None, self.report)
        # The work on what is pending may publish; only then is nothing more taken for sending.
        await self._flow.emptied()
        await self.requests.flushed()

    async def _unsubscribed_from(self, channels: list[str]) -> None:
        waits = [asyncio.ensure_future(self.requests.unsubscribed(channel)) for channel in channels]
        try:
            # Waited for before it is asked for: what was never sent is settled at once.
            await asyncio.sleep(0)
            for channel in channels:
                self.requests.unsubscribe(channel)
            if self.state is ClientState.CONNECTED:
                # What the server sent before it confirms that is still delivered.
                await asyncio.gather(*waits, return_exceptions=True)
        finally:
            # Whoever stops waiting leaves none of them to fail with nobody listening.
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def closed(self) -> None:
        """Wait until everything is released, after the session ended."""
        if self._teardown is not None:
            await asyncio.shield(self._teardown)

    def end(self, error: Exception | None) -> None:
        """End the session at once."""
        self._protocol.end(error)
        self._act()

    def reconnect_now(self) -> None:
        """Do not wait: give up what is under way, and take the next step at once."""
        if self.ended or self.state is ClientState.DISCONNECTING:
            return
        self._outage.begin_anew()
        self._protocol.reconnect_now(self._loop.time())
        self._exchanges.begin_anew(TransportError("the link is replaced, by reconnect_now()"))
        self._act()

    def _stood_still(self) -> None:
        """Count an outage from now on: the loop stood still, so nothing was tried."""
        if self._outage.begin_after_stall():
            self._protocol.begin_anew(self._loop.time())

    def _try_now(self) -> None:
        """Try at once: the time for it went by while the loop stood still."""
        self._protocol.reconnect_now(self._loop.time())
        self._act()

    # -- acting on outcomes --------------------------------------------------------------------

    def _act(self) -> None:
        """Act on what the protocol says, until it has nothing more to say."""
        if self._acting:
            return
        self._acting = True
        try:
            for outcome in self._left:
                self._act_on(outcome)
            while outcomes := self._protocol.outcomes():
                self._left = iter(outcomes)
                for outcome in self._left:
                    self._act_on(outcome)
        except BaseException:
            # An interrupt, which the program may survive: what is left counts all the same.
            self._loop.call_soon(self._act)
            raise
        finally:
            self._acting = False
        for outgoing in self._protocol.take(ordinary=False):
            self._exchanges.lanes.put(outgoing)
        if self._protocol.has_ordinary:
            self.requests.flush_soon()

    def _act_on(self, outcome: Outcome) -> None:
        match outcome:
            case Answered():
                self.requests.answered(outcome.replies)
            case Due(step, delay):
                self._steps.schedule(step, delay)
            case Changed(change):
                self._changed(change)
            case Told():
                log_attempt(outcome.change)
                self._listener.session_changed(self, outcome.change)
            case ResendDue(delay):
                self._resend_timer = self._loop.call_later(delay, self._resend)
            case Unauthorized():
                self._steps.renew_credentials()
            case Ended(error):
                self._end(error)
            case Settled():
                self.requests.settle(outcome)
            case _:
                self._act_on_subscription(outcome)

    def _act_on_subscription(self, outcome: Outcome) -> None:
        match outcome:
            case Subscribed(channel):
                self.requests.settle_subscribe(channel, None)
            case SubscriptionFailed(channel, error):
                self.requests.settle_subscribe(channel, error)
                self._listener.subscription_failed(self, channel, error)
            case Unsubscribed(channel, error):
                self.requests.settle_unsubscribe(channel, error)
            case _:
                raise TypeError(outcome)

    def _resend(self) -> None:
        self._resend_timer = None
        self._protocol.resend()
        self.requests.flush_soon()

    def _changed(self, change: StateChange) -> None:
        log_change(change, self._settings.transport.url)
        self._outage.changed(change)
        if change.state is ClientState.CONNECTING:
            self._counters.handshakes += 1
            if change.connection_type is not ConnectionType.WEBSOCKET:
                self._exchanges.drop_websocket()
            # Known before the first messages come: those of the handshake, or the first connect.
            self._flow.begin_session(self._protocol, self._steps.resume)
        elif change.state is ClientState.REHANDSHAKING:
            self._flow.end_session(self._protocol)
        elif change.state is ClientState.CONNECTED:
            self._milestones.settle(_OPENED, None)
        self._listener.session_changed(self, change)

    def report(self, error: BaseException) -> None:
        """Report an error that no observer took."""
        self._loop.call_exception_handler(
            {"message": "an observer of a CometD channel raised", "exception": error}
        )

    # -- the end -------------------------------------------------------------------------------

    def _end(self, error: Exception | None) -> None:
        self.ended = True
        self.error = error
        self._flow.end_session(self._protocol)
        self._exchanges.stop()
        self._steps.cancel()
        self._outage.cancel()
        if self._resend_timer is not None:
            self._resend_timer.cancel()
        self._milestones.settle(_ENDED, None)
        self._milestones.fail_all(error or ClientInvalidOperation("the client was closed"))
        self.requests.end(error)
        self._teardown = self._loop.create_task(self._release(), name="rx_cometd.session.close")
        self._listener.session_ended(self, error)

    async def _release(self) -> None:
        await self._exchanges.close()
        extensions = (*self._settings.extensions, self._settings.auth)
        for extension in extensions:
            if extension is None:
                continue
            try:
                await extension.finish()
            except BaseException as error:
                _log.error(
                    "an extension could not finish",
                    exc_info=failure_of_awaited(error, "finish"),
                    extra={"event": "extension_not_finished"},
                )


_OPENED: Final = "opened"
_ENDED: Final = "ended"
