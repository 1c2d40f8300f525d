"""The session: drives the protocol over the wire, and owns every task and timer.

It decides nothing that the protocol could decide. Its own matters are time (timers, deadlines,
how long the link may be down), order (lanes), and whom to tell (futures, observers).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from rx_cometd import messages as m
from rx_cometd.connection_types import ConnectionType
from rx_cometd.deadlines import Deadline, Deadlines
from rx_cometd.dispatch import Dispatch
from rx_cometd.exceptions import (
    AuthenticationError,
    ClientInvalidOperation,
    TransportConnectionClosed,
    TransportTimeoutError,
)
from rx_cometd.lanes import Lanes
from rx_cometd.outcomes import (
    Changed,
    Due,
    Ended,
    Outcome,
    Outgoing,
    ResendDue,
    Settled,
    Step,
    Subscribed,
    SubscriptionFailed,
    Unauthorized,
    Unsubscribed,
)
from rx_cometd.protocol import Protocol
from rx_cometd.requests import Kind
from rx_cometd.settings import Settings, provided
from rx_cometd.states import ClientState, StateChange
from rx_cometd.waiters import Waiters
from rx_cometd.wire import Exchange, Wire, is_too_large

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.client_flow import ClientFlow
    from rx_cometd.extension import Payload
    from rx_cometd.messages import Message
    from rx_cometd.statistics import Counters
    from rx_cometd.subscriptions import Fields

__all__ = ["Session", "SessionListener"]

_log = logging.getLogger("rx_cometd.session")

#: Seconds that closing may wait for the server's goodbye, at most.
_CLOSE_ALLOWANCE: Final = 1.0


class SessionListener:
    """Who a session belongs to. Nothing here may raise."""

    def session_changed(self, session: Session, change: StateChange) -> None:
        """Take a change of the state."""

    def session_ended(self, session: Session, error: Exception | None) -> None:
        """Take the end of the session; ``None`` where it was closed in order."""

    def subscription_failed(self, session: Session, channel: str, error: Exception) -> None:
        """Take the refusal of a channel, at first or in a new session."""


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
        flow: ClientFlow,
        counters: Counters,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._listener = listener
        self._flow = flow
        self._counters = counters
        self.dispatch = Dispatch(self.report)
        self._protocol = Protocol(
            settings.connection_types,
            backoff=settings.backoff,
            max_network_delay=settings.max_network_delay,
            patience=settings.patience,
            authenticates=settings.auth is not None,
        )
        self._wire = Wire(settings, self, counters)
        self._lanes = Lanes(self._send)
        self._deadlines = Deadlines(self._expired)
        self._replies: Waiters[Message] = Waiters()
        self._confirmations: Waiters[None] = Waiters()
        self._step_timer: asyncio.TimerHandle | None = None
        self._down_timer: asyncio.TimerHandle | None = None
        self._flush_handle: asyncio.Handle | None = None
        self._resend_timer: asyncio.TimerHandle | None = None
        self._held_since: float | None = None
        self._authenticating = False
        self._batches = 0
        self._acting = False
        self._connected_once = False
        self._was_down = False
        self._acknowledges = False
        self._last_error: Exception | None = None
        self.ended = False
        self.error: Exception | None = None
        self._teardown: asyncio.Task[None] | None = None

    # -- state ---------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """Where the session is in its life."""
        return self._protocol.control.state

    @property
    def client_id(self) -> str | None:
        """The server's name for the session."""
        return self._protocol.control.client_id

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use."""
        return self._protocol.control.connection_type

    @property
    def subscriptions(self) -> frozenset[str]:
        """The channels that the server has confirmed."""
        return self._protocol.subscriptions.confirmed()

    # -- life ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to seek a session."""
        self._protocol.open()
        self._act()

    async def opened(self) -> None:
        """Wait for the first connect to succeed.

        Raises:
            CometDError: The session is over.
        """
        if self.ended:
            raise self.error or ClientInvalidOperation("the client was closed")
        if self.state is not ClientState.CONNECTED:
            await self._confirmations.wait(_OPENED)

    async def close(self) -> None:
        """End the session in order, within a second, and let go of everything."""
        if not self.ended:
            self._protocol.disconnect()
            self._act()
        if not self.ended:
            allowance = min(_CLOSE_ALLOWANCE, self._settings.max_network_delay)
            try:
                async with asyncio.timeout(allowance):
                    await self._confirmations.wait(_ENDED)
            except TimeoutError:
                _log.info("the server did not say goodbye within %s s", allowance)
            finally:
                self.end(None)
        await self.closed()

    async def closed(self) -> None:
        """Wait until everything is let go of, after the session ended."""
        if self._teardown is not None:
            await asyncio.shield(self._teardown)

    def end(self, error: Exception | None) -> None:
        """End the session at once."""
        self._protocol.end(error)
        self._act()

    # -- the user's requests -------------------------------------------------------------------

    async def publish(
        self, channel: str, data: object, fields: Mapping[str, Any], *, call: bool = False
    ) -> Message:
        """Publish, or call a service, and give the reply.

        Raises:
            ServerError: The server refused.
            TransportError: It was not sent, or the reply is lost.
            ExtensionError: An extension failed, or dropped the message.
            ClientError: The data cannot be encoded.
        """
        if self.ended:
            raise self.error or ClientInvalidOperation("the client is closed")
        request_id = self._protocol.publish(channel, data, fields, call=call)
        self.flush_soon()
        try:
            return await self._replies.wait(request_id)
        finally:
            self._protocol.cancel(request_id)

    def subscribe(self, channel: str, fields: Fields = None) -> None:
        """Wish for a channel."""
        self._protocol.subscribe(channel, fields)
        self.flush_soon()

    def unsubscribe(self, channel: str) -> None:
        """Wish for a channel no longer."""
        if not self.ended:
            self._protocol.unsubscribe(channel)
            self.flush_soon()

    async def confirmed(self, channel: str) -> None:
        """Wait for the server to confirm the subscription to a channel.

        Raises:
            ServerError: It refused.
        """
        if channel not in self.subscriptions:
            await self._confirmations.wait(channel)

    async def unsubscribed(self, channel: str) -> None:
        """Wait for the server to confirm an unsubscribe.

        Raises:
            ServerError: It refused.
        """
        await self._confirmations.wait(_without(channel))

    def hold_batch(self) -> None:
        """Hold ordinary payloads back."""
        self._batches += 1

    def release_batch(self) -> None:
        """Let ordinary payloads go, if no other batch holds them back."""
        self._batches -= 1
        self.flush_soon()

    def flush_soon(self) -> None:
        """Send what was asked for, at the end of this turn of the event loop."""
        if self._flush_handle is None and not self._batches and not self.ended:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        if not self._batches:
            for outgoing in self._protocol.take():
                self._lanes.put(outgoing)
            self._act()

    # -- acting on outcomes --------------------------------------------------------------------

    def _act(self) -> None:
        """Act on what the protocol says, until it has nothing more to say."""
        if self._acting:
            return
        self._acting = True
        try:
            while outcomes := self._protocol.outcomes():
                for outcome in outcomes:
                    self._act_on(outcome)
        finally:
            self._acting = False
        for outgoing in self._protocol.take(ordinary=False):
            self._lanes.put(outgoing)
        if self._protocol.has_ordinary:
            self.flush_soon()

    def _act_on(self, outcome: Outcome) -> None:
        match outcome:
            case Due(step, delay):
                self._schedule(step, delay)
            case Changed(change):
                self._changed(change)
            case ResendDue(delay):
                self._resend_timer = self._loop.call_later(delay, self._resend)
            case Unauthorized():
                self._renew_credentials()
            case Ended(error):
                self._end(error)
            case Settled():
                self._settle(outcome)
            case Subscribed(channel):
                self._confirmations.settle(channel, None)
            case SubscriptionFailed(channel, error):
                self._confirmations.fail(channel, error)
                self._listener.subscription_failed(self, channel, error)
            case Unsubscribed(channel, error):
                self._unsubscribed(channel, error)

    def _settle(self, outcome: Settled) -> None:
        if outcome.reply is not None:
            self._replies.settle(outcome.request_id, outcome.reply)
        else:
            error = outcome.error or TransportConnectionClosed("the reply is lost")
            self._replies.fail(outcome.request_id, error)

    def _unsubscribed(self, channel: str, error: Exception | None) -> None:
        if error is None:
            self._confirmations.settle(_without(channel), None)
            return
        _log.info("the unsubscribe from %s failed: %s", channel, error)
        self._confirmations.fail(_without(channel), error)

    def _resend(self) -> None:
        self._resend_timer = None
        self._protocol.resend()
        self.flush_soon()

    def _changed(self, change: StateChange) -> None:
        if change.error is not None:
            self._last_error = change.error
            _log.info("%s: %s", change.state.value, change.error)
        if change.state is ClientState.CONNECTING:
            self._counters.handshakes += 1
            if change.connection_type is not ConnectionType.WEBSOCKET:
                self._wire.drop()
        if change.state is ClientState.CONNECTED:
            self._link_up(change)
        elif change.state is not ClientState.DISCONNECTING:
            self._watch_link()
        self._listener.session_changed(self, change)

    def _link_up(self, change: StateChange) -> None:
        self._flow.connection_type = change.connection_type
        self._flow.acknowledges = self._acknowledges
        self._flow.resumed = self._resumed
        self._counters.reconnects += self._was_down
        self._was_down = False
        self._connected_once = True
        if self._down_timer is not None:
            self._down_timer.cancel()
            self._down_timer = None
        self._confirmations.settle(_OPENED, None)

    def _watch_link(self) -> None:
        """Give the link its time to come (back)."""
        self._was_down = self._connected_once
        timeout = self._settings.connection_timeout
        if self._down_timer is None and timeout is not None:
            self._down_timer = self._loop.call_later(timeout, self._give_up, timeout)

    def _give_up(self, timeout: float) -> None:
        error = TransportTimeoutError(f"there was no link to the server for {timeout} s")
        error.__cause__ = self._last_error
        self.end(error)

    # -- the cycle -----------------------------------------------------------------------------

    def _schedule(self, step: Step, delay: float) -> None:
        if self._step_timer is not None:
            self._step_timer.cancel()
        self._step_timer = self._loop.call_later(delay, self._take_step, step)

    def _take_step(self, step: Step) -> None:
        self._step_timer = None
        if step is Step.HANDSHAKE:
            self._lanes.spawn(self._handshake(), "handshake")
        elif not self._hold_connect():
            self._protocol.connect(self._loop.time())
            self._act()

    async def _handshake(self) -> None:
        try:
            fields = await provided(self._settings.handshake_fields)
        except Exception as error:
            self._protocol.handshake_unready(error)
        else:
            self._acknowledges = False
            self._protocol.handshake(fields)
        self._act()

    def _hold_connect(self) -> bool:
        """Hold the connect back while a buffer is full, within the session's lifetime."""
        if not self._flow.suspended or self.state is not ClientState.CONNECTED:
            self._held_since = None
            return False
        now = self._loop.time()
        if self._held_since is None:
            self._held_since = now
        lifetime = self._protocol.control.advice.max_interval
        # A fifth is kept for the connect to reach the server.
        limit = self._settings.max_suspension if lifetime is None else lifetime * 0.8
        left = self._held_since + limit - now
        if left <= 0:
            self._held_since = None
            return False
        self._schedule(Step.CONNECT, left)
        return True

    def _resumed(self) -> None:
        if self._held_since is not None:
            self._held_since = None
            self._schedule(Step.CONNECT, 0.0)

    def _renew_credentials(self) -> None:
        if not self._authenticating:
            self._authenticating = True
            self._lanes.spawn(self._authenticate(), "authenticate")

    async def _authenticate(self) -> None:
        auth = self._settings.auth
        try:
            if auth is not None:
                await auth.authenticate()
        except Exception as error:
            failure = AuthenticationError("no new credentials could be had")
            failure.__cause__ = error
            self._protocol.authentication_failed(failure)
        else:
            self._renew_upgrade()
            self._protocol.authenticated()
        finally:
            self._authenticating = False
        self._act()

    def _renew_upgrade(self) -> None:
        """Have the WebSocket opened anew where its upgrade carried the old credentials."""
        if self._wire.upgraded_with_credentials:
            self._wire.drop()
            closed = TransportConnectionClosed("the WebSocket is opened anew, with new credentials")
            self._protocol.lose(closed, self._loop.time())

    # -- sending -------------------------------------------------------------------------------

    async def _send(self, outgoing: Outgoing) -> None:
        """Send a payload, but for the requests that were cancelled meanwhile."""
        requests = self._protocol.requests
        messages = [message for message in outgoing.messages if message.get("id") in requests]
        connection_type = self.connection_type
        if not messages or connection_type is None:
            return
        exchange = tuple(message.get("id", "") for message in messages)
        if connection_type is ConnectionType.WEBSOCKET:
            self._deadlines.add(exchange, outgoing.allowance)
        try:
            await self._wire.send(connection_type, messages, outgoing.allowance)
        except Exception as error:
            self.failed(exchange, error)

    def _expired(self, deadline: Deadline) -> None:
        """Act on replies that are late over the WebSocket.

        A silent socket is dead. Where something else was heard meanwhile only the requests
        fail, and a connect is given its time once more (a big batch may clog the link).
        """
        waiting = self._protocol.requests.waiting(deadline.request_ids)
        late = [request for request in waiting if not request.acknowledged]
        if not late:
            return
        error = TransportTimeoutError("the server did not reply in time")
        heard = self._wire.last_received > deadline.sent_at
        if not heard or deadline.extended:
            self._wire.drop()
            self._protocol.lose(error, self._loop.time())
        elif late[0].kind in (Kind.HANDSHAKE, Kind.CONNECT):
            allowance = self._settings.max_network_delay
            self._deadlines.add(deadline.request_ids, allowance, extended=True)
        else:
            self._protocol.fail([request.id for request in late], error, self._loop.time())
        self._act()

    # -- what the wire tells -------------------------------------------------------------------

    def received(
        self, messages: list[Message], exchange: Exchange, payload: Payload | None
    ) -> None:
        """Take messages: replies to the protocol, events to the observers."""
        if self.ended:
            return
        if self._protocol.control.client_id is None:
            self._note_ack(messages)
        retries = () if payload is None else payload.retries
        events = self._protocol.receive(messages, self._loop.time(), exchange, retries)
        if self.dispatch.meta_observed:
            self.dispatch.deliver_meta(messages)
        if events:
            self.dispatch.deliver(
                events, None if payload is None else payload.processed_callbacks()
            )
        if exchange:
            self._protocol.finish(exchange, self._loop.time())
        if payload is not None:
            payload.delivered()
        self._act()

    def _note_ack(self, messages: list[Message]) -> None:
        """See whether the ack extension is in force: both forms of its reply are truthy."""
        for message in messages:
            if message.get("channel") == m.HANDSHAKE:
                ext: object = message.get("ext")
                self._acknowledges = isinstance(ext, dict) and bool(ext.get("ack"))

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Take the failure of requests."""
        if is_too_large(error):
            self._wire.too_large()
        self._protocol.fail(exchange, error, self._loop.time())
        self._act()

    def lost(self, error: Exception) -> None:
        """Take the loss of the WebSocket."""
        if is_too_large(error):
            self._wire.too_large()
        self._protocol.lose(error, self._loop.time())
        self._act()

    def report(self, error: BaseException) -> None:
        """Report an error that no observer took."""
        self._loop.call_exception_handler(
            {"message": "an observer of a CometD channel raised", "exception": error}
        )

    # -- the end -------------------------------------------------------------------------------

    def _end(self, error: Exception | None) -> None:
        self.ended = True
        self.error = error
        self._flow.connection_type = None
        self._flow.resumed = None
        self._deadlines.clear()
        for timer in (self._step_timer, self._down_timer, self._resend_timer, self._flush_handle):
            if timer is not None:
                timer.cancel()
        self._confirmations.settle(_ENDED, None)
        closed = error or ClientInvalidOperation("the client was closed")
        self._confirmations.fail_all(closed)
        self._replies.fail_all(closed)
        self._teardown = self._loop.create_task(self._let_go(), name="rx_cometd.session.close")
        self._listener.session_ended(self, error)

    async def _let_go(self) -> None:
        await self._lanes.close()
        await self._wire.close()
        extensions = (*self._settings.extensions, self._settings.auth)
        for extension in extensions:
            if extension is None:
                continue
            try:
                await extension.finish()
            except Exception:
                _log.exception("an extension could not finish")


_OPENED: Final = "opened"
_ENDED: Final = "ended"


def _without(channel: str) -> str:
    """Give the key under which an unsubscribe is waited for; no channel begins like this."""
    return f"-{channel}"
