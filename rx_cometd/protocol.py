"""The Bayeux protocol, client side, without I/O.

Everything that decides what a client does next lives here and in `control`, and nothing here
waits, sends, reads a clock or calls back: messages and failures go in, `take` and `outcomes`
give (and clear) what is to be sent and what became of it, and delays are returned as `Due`
outcomes, never slept.

The law of this file, after the Bayeux specification and the reference clients:

- one handshake or connect is outstanding at any time, and the next one is decided only from the
  reply or the failure of the last (spec, "/meta/connect request message");
- what to do is read from ``advice.reconnect``; codes are only looked at where there is none;
- nothing is sent before the handshake succeeded, or while the link is down;
- what was sent and lost is sent again only if that cannot do anything twice (subscribes and
  unsubscribes), or for an extension or new credentials, once.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rx_cometd import messages as m
from rx_cometd.backoff import Backoff, exponential
from rx_cometd.control import Control
from rx_cometd.exceptions import (
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
)
from rx_cometd.outcomes import (
    Ended,
    Lane,
    Outcome,
    Outgoing,
    ResendDue,
    Settled,
    Subscribed,
    SubscriptionFailed,
    Unauthorized,
    Unsubscribed,
)
from rx_cometd.refusals import (
    as_authentication_error,
    authentication_failed,
    refusal,
    unknown_client,
)
from rx_cometd.requests import Kind, Request, Requests
from rx_cometd.states import ClientState
from rx_cometd.subscriptions import Fields, Subscriptions, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.messages import Message

__all__ = ["Protocol"]

_log = logging.getLogger("rx_cometd.protocol")

_LINK_UP = (ClientState.CONNECTING, ClientState.CONNECTED, ClientState.DISCONNECTING)


class Protocol:
    """The client's half of Bayeux.

    Args:
        connection_types: Connection types, most wanted first.
        backoff: Gives the delays, in seconds, of a run of failures.
        max_network_delay: Seconds that a reply may be late.
        patience: Seconds that a connect which resumes a session may take.
        authenticates: Whether new credentials can be had after an authentication failure.
    """

    def __init__(
        self,
        connection_types: Sequence[ConnectionType],
        *,
        backoff: Callable[[], Iterator[float]] = exponential,
        max_network_delay: float = 10.0,
        patience: float = 5.0,
        authenticates: bool = False,
    ) -> None:
        self.control = Control(
            connection_types,
            backoff=Backoff(backoff),
            max_network_delay=max_network_delay,
            patience=patience,
            authenticates=authenticates,
        )
        self.subscriptions = Subscriptions()
        self.requests = Requests()
        self._max_network_delay = max_network_delay
        self._authenticates = authenticates
        self._resend_backoff = Backoff(backoff)
        self._outbox: list[Outgoing] = []
        #: What awaits the next ordinary payload, in order: requests, and channels to reconcile.
        self._ordinary: list[Request | str] = []
        #: Channels whose request was lost; asked for again when the link is back, or a bit later.
        self._lost: list[str] = []
        self._unauthorized: list[Request] = []
        self._credentials = 0
        self._server_disconnect: ServerError | None = None
        self._ended = False

    # -- what is to be done --------------------------------------------------------------------

    def outcomes(self) -> list[Outcome]:
        """Take and clear what happened, in order."""
        self._conclude()
        outcomes = self.control.outcomes
        self.control.outcomes = []
        return outcomes

    @property
    def has_ordinary(self) -> bool:
        """Whether `take` would now give an ordinary payload, were it not held back."""
        return bool(self._ordinary) and self.control.state in _LINK_UP and not self.control.over

    def take(self, *, ordinary: bool = True) -> list[Outgoing]:
        """Take and clear the payloads to send, in order.

        Args:
            ordinary: Whether to make up the next ordinary payload; the session holds it back
                until the end of the loop's turn, or of a batch.
        """
        if ordinary and self.has_ordinary:
            self._put_ordinary()
        outbox = self._outbox
        self._outbox = []
        return outbox

    # -- the cycle -----------------------------------------------------------------------------

    def open(self) -> None:
        """Begin a session: a handshake is due."""
        self.control.open()

    def handshake(self, fields: Mapping[str, Any]) -> None:
        """Take the step `Step.HANDSHAKE`.

        Args:
            fields: Extra fields of the message, ``ext`` for instance.
        """
        request = self._add(Kind.HANDSHAKE, self.control.handshake(fields))
        self._put(Lane.HANDSHAKE, [request], self._max_network_delay)

    def connect(self, now: float) -> None:
        """Take the step `Step.CONNECT`.

        Args:
            now: The time, in seconds of any steady clock.
        """
        message, allowance = self.control.connect(now)
        self._put(Lane.CONNECT, [self._add(Kind.CONNECT, message)], allowance)

    def disconnect(self) -> None:
        """End the session in order: a disconnect goes out if there is a link, or it just ends."""
        if self.control.over or self.control.state is ClientState.DISCONNECTING:
            return
        if self.control.disconnect():
            if self._ordinary:
                self._put_ordinary()
            request = self._add(Kind.DISCONNECT, {"channel": m.DISCONNECT})
            self._put(Lane.DISCONNECT, [request], self._max_network_delay)

    def end(self, error: Exception | None) -> None:
        """End the session at once: nothing goes out any more."""
        self.control.end(error)

    # -- the user's requests -------------------------------------------------------------------

    def publish(
        self, channel: str, data: object, fields: Mapping[str, Any], *, call: bool = False
    ) -> str:
        """Have a message published, or a service called. Gives the identifier of the request."""
        message: Any = {**fields, "channel": channel, "data": data}
        request = self._add(Kind.CALL if call else Kind.PUBLISH, message)
        self._ordinary.append(request)
        return request.id

    def subscribe(self, channel: str, fields: Fields = None) -> None:
        """Wish for a channel, in this session and all that follow."""
        self.subscriptions.want(channel, fields)
        self._ordinary.append(channel)

    def unsubscribe(self, channel: str) -> None:
        """Wish for a channel no longer."""
        self.subscriptions.unwant(channel)
        self._ordinary.append(channel)

    # -- what came -----------------------------------------------------------------------------

    def receive(
        self,
        messages: Iterable[Message],
        now: float,
        exchange: Collection[str] = (),
        retries: Collection[str] = (),
    ) -> list[Message]:
        """Take the messages of a payload.

        Args:
            messages: The messages.
            now: The time, in seconds of any steady clock.
            exchange: The requests that the payload is the HTTP response to; elements without
                channel and id (Salesforce's bare errors) are for all of them.
            retries: Identifiers of refused requests that an extension wants sent again, once.

        Returns:
            The event messages among them, in order.
        """
        events: list[Message] = []
        calls = self.requests.calls
        for message in messages:
            channel: object = message.get("channel")
            if "data" in message and type(channel) is str and not channel.startswith("/meta/"):
                if calls and self._answers_call(message, channel):
                    continue
                events.append(message)
            else:
                self._reply(message, now, exchange, retries)
        if events:
            self.control.count_events(len(events))
        if self._server_disconnect is not None:
            self._disconnected_by_server()
        return events

    def fail(self, request_ids: Iterable[str], error: Exception, now: float) -> None:
        """Take the failure of an exchange: replies to these requests will not come."""
        for request in self.requests.waiting(request_ids):
            self._fail(request, error, now)

    def lose(self, error: Exception, now: float) -> None:
        """Take the loss of the socket that carried everything sent so far."""
        for request in self.requests.sent():
            self._fail(request, error, now)

    def finish(self, request_ids: Iterable[str], now: float) -> None:
        """Take the end of an HTTP response: what it did not answer never will be.

        A call is let be once it was acknowledged: its answer comes as an event message.
        """
        error = ProtocolError("the server's response holds no reply to the request")
        for request in self.requests.waiting(request_ids):
            if not request.acknowledged:
                self._fail(request, error, now)

    def cancel(self, request_id: str) -> None:
        """Forget a request whose caller no longer waits; unsent, it is not sent at all."""
        request = self.requests.get(request_id)
        if request is not None:
            self.requests.settle(request)
            if request in self._ordinary:
                self._ordinary.remove(request)

    def resend(self) -> None:
        """Ask again for the subscriptions whose requests were lost."""
        self._ordinary.extend(self._lost)
        self._lost.clear()

    # -- credentials ---------------------------------------------------------------------------

    def authenticated(self) -> None:
        """Send again, once, what failed for want of the credentials that are there now."""
        self._credentials += 1
        requests, self._unauthorized = self._unauthorized, []
        for request in requests:
            self._resend(request)
        self.control.authenticated()

    def authentication_failed(self, error: Exception) -> None:
        """Fail what waits for credentials that cannot be had."""
        requests, self._unauthorized = self._unauthorized, []
        for request in requests:
            self._settle_failed(request, error)
        if self.control.awaits_credentials:
            self.control.end(error)

    def _await_credentials(self, request: Request, error: Exception) -> bool:
        """Keep an ordinary request for new credentials, if they might help it."""
        if not self._authenticates or request.retried or not authentication_failed(error):
            return False
        if request.credentials < self._credentials:
            self._resend(request)
        else:
            request.sent = False
            self._unauthorized.append(request)
            self._emit(Unauthorized(error))
        return True

    def _resend(self, request: Request) -> None:
        request.retried = True
        request.sent = False
        self._ordinary.append(request)

    # -- replies -------------------------------------------------------------------------------

    def _answers_call(self, message: Message, channel: str) -> bool:
        request = self.requests.calls.get(str(message.get("id")))
        if request is None or request.channel != channel:
            return False
        self.requests.settle(request)
        self._emit(Settled(request.id, message))
        return True

    def _reply(
        self, reply: Message, now: float, exchange: Collection[str], retries: Collection[str]
    ) -> None:
        if reply.get("channel") is None and reply.get("id") in (None, ""):
            self._bare_reply(reply, now, exchange)
            return
        request = self.requests.match(reply)
        if request is None:
            self._unrequested(reply)
        elif reply.get("successful", "error" not in reply) is False:
            self._refused(request, reply, now, retries)
        else:
            self._succeeded(request, reply, now)

    def _bare_reply(self, reply: Message, now: float, exchange: Collection[str]) -> None:
        """Take an element that names nothing: it speaks for the whole exchange, if it refuses."""
        refuses = reply.get("successful") is False or "error" in reply
        requests = self.requests.waiting(exchange) if refuses else []
        if not requests:
            _log.warning("skipped a message without channel")
        for request in requests:
            self._refused(request, reply, now, ())

    def _unrequested(self, reply: Message) -> None:
        """Take what answers no request: a goodbye of the server, or a stale or foreign reply."""
        if reply.get("channel") == m.DISCONNECT:
            # Acted upon after the rest of the payload: Salesforce says why in what follows.
            self._server_disconnect = ServerError("the server ended the session", reply)
        else:
            _log.debug("dropped a reply to no request of ours on %s", reply.get("channel"))

    def _disconnected_by_server(self) -> None:
        error, self._server_disconnect = self._server_disconnect, None
        if not self.control.awaits_credentials:
            self.control.end(error)

    def _succeeded(self, request: Request, reply: Message, now: float) -> None:
        if request.kind is Kind.CALL:
            request.acknowledged = True
            return
        self.requests.settle(request)
        if request.kind is Kind.HANDSHAKE:
            if self.control.handshaken(reply):
                self._resubscribe()
        elif request.kind is Kind.CONNECT:
            self.control.connected(reply, now)
            self.resend()
        elif request.kind is Kind.DISCONNECT:
            self.control.end(None)
        elif request.kind is Kind.PUBLISH:
            self._emit(Settled(request.id, reply))
        else:
            self._reconciled(request)

    def _reconciled(self, request: Request) -> None:
        self._resend_backoff.reset()
        channel = str(request.message["subscription"])
        if self.subscriptions.succeeded(request.kind, channel, request.id):
            done = Subscribed if request.kind is Kind.SUBSCRIBE else Unsubscribed
            self._emit(done(channel))

    def _refused(
        self, request: Request, reply: Message, now: float, retries: Collection[str]
    ) -> None:
        error = refusal(request, reply)
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._await_credentials(request, error):
            return
        elif request.id in retries and not request.retried:
            self._resend(request)
        elif request.kind is Kind.SUBSCRIBE and unknown_client(error):
            # Not the channel is refused but the session, which is about to be renewed.
            self.requests.settle(request)
            self.subscriptions.lost(str(request.message["subscription"]), request.id)
        else:
            self._settle_failed(request, error)

    # -- failures ------------------------------------------------------------------------------

    def _fail(self, request: Request, error: Exception, now: float) -> None:
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._await_credentials(request, error):
            return
        elif request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE) and _is_lost(error):
            self._lose(request)
        else:
            failure = as_authentication_error(error) if authentication_failed(error) else error
            self._settle_failed(request, failure)

    def _cycle_failed(self, request: Request, error: Exception, now: float) -> None:
        """Hand a refused or failed handshake, connect or disconnect to the cycle."""
        self.requests.settle(request)
        self.control.outdated = request.credentials < self._credentials
        if request.kind is Kind.DISCONNECT:
            self.control.end(None)
        elif request.kind is Kind.HANDSHAKE:
            self.control.handshake_failed(error)
        else:
            self.control.connect_failed(error, now)

    def _lose(self, request: Request) -> None:
        self.requests.settle(request)
        channel = str(request.message["subscription"])
        if self.subscriptions.lost(channel, request.id):
            if not self._lost:
                self._emit(ResendDue(self._resend_backoff.next_delay()))
            self._lost.append(channel)

    def _settle_failed(self, request: Request, error: Exception) -> None:
        self.requests.settle(request)
        if request.kind not in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            self._emit(Settled(request.id, None, error))
            return
        channel = str(request.message["subscription"])
        if self.subscriptions.refused(request.kind, channel, request.id):
            failed = SubscriptionFailed if request.kind is Kind.SUBSCRIBE else Unsubscribed
            self._emit(failed(channel, error))

    # -- requests ------------------------------------------------------------------------------

    def _resubscribe(self) -> None:
        """Tell a new session all that is wanted, in one payload."""
        self.subscriptions.new_session()
        self._lost.clear()
        requests = [self._reconcile(channel) for channel in self.subscriptions.wanted()]
        self._put(Lane.RESUBSCRIBE, requests, self._max_network_delay)

    def _put_ordinary(self) -> None:
        entries, self._ordinary = self._ordinary, []
        requests = [self._reconcile(e) if isinstance(e, str) else e for e in entries]
        self._put(Lane.ORDINARY, requests, self._max_network_delay)

    def _reconcile(self, channel: str) -> Request | None:
        """Ask the server for what is wanted of a channel, if it does not know."""
        wish = self.subscriptions.next_request(channel)
        if wish is None:
            return None
        kind, subscription = wish
        try:
            fields = fields_of(subscription.fields) if kind is Kind.SUBSCRIBE else {}
        except Exception as error:  # the user's function; its observers are told
            self.subscriptions.requested(subscription, kind, "")
            self.subscriptions.refused(kind, channel, "")
            self._emit(SubscriptionFailed(channel, error))
            return None
        meta = m.SUBSCRIBE if kind is Kind.SUBSCRIBE else m.UNSUBSCRIBE
        message: Any = {**fields, "channel": meta, "subscription": channel}
        request = self._add(kind, message)
        self.subscriptions.requested(subscription, kind, request.id)
        return request

    def _add(self, kind: Kind, message: Message) -> Request:
        return self.requests.add(kind, message)

    def _put(self, lane: Lane, requests: Iterable[Request | None], allowance: float) -> None:
        """Put requests into the outbox, but for those cancelled meanwhile."""
        messages: list[Message] = []
        for request in requests:
            if request is None or request.id not in self.requests:
                continue
            request.credentials = self._credentials
            request.sent = True
            if request.kind is not Kind.HANDSHAKE:
                request.message["clientId"] = self.control.client_id or ""
            messages.append(request.message)
        if messages:
            self._outbox.append(Outgoing(lane, messages, allowance))

    def _emit(self, outcome: Outcome) -> None:
        self.control.outcomes.append(outcome)

    def _conclude(self) -> None:
        """Fail what still waits when the session is over, and say so, once."""
        if not self.control.over or self._ended:
            return
        self._ended = True
        self._outbox.clear()
        error = self.control.error
        for request in self.requests.take_all():
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                lost = error or TransportConnectionClosed("the client was closed")
                self._emit(Settled(request.id, None, lost))
        self._emit(Ended(error))


_CYCLE = (Kind.HANDSHAKE, Kind.CONNECT, Kind.DISCONNECT)


def _is_lost(error: Exception) -> bool:
    """Tell whether asking again might help: the network failed, not the server's Bayeux."""
    return isinstance(error, TransportError) and not isinstance(error, ProtocolError)
