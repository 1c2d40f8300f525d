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
from rx_cometd.credentials import Credentials
from rx_cometd.exceptions import ProtocolError, ServerError, TransportConnectionClosed
from rx_cometd.outbox import Outbox
from rx_cometd.outcomes import Ended, Lane, Outcome, Outgoing, Settled, Step
from rx_cometd.reconciliation import Reconciliation
from rx_cometd.refusals import (
    as_authentication_error,
    authentication_failed,
    is_lost,
    refusal,
    unknown_client,
)
from rx_cometd.requests import Kind, Request, Requests
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.messages import Message
    from rx_cometd.subscriptions import Fields

__all__ = ["Protocol"]

_log = logging.getLogger("rx_cometd.protocol")

_LINK_UP = (ClientState.CONNECTING, ClientState.CONNECTED)


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
        self._outcomes: list[Outcome] = []
        self._credentials = Credentials(self._outcomes, renewable=authenticates)
        self.control = Control(
            connection_types,
            backoff=Backoff(backoff),
            max_network_delay=max_network_delay,
            patience=patience,
            credentials=self._credentials,
            outcomes=self._outcomes,
        )
        self.requests = Requests()
        self._reconciliation = Reconciliation(self.requests, Backoff(backoff), self._outcomes)
        self.subscriptions = self._reconciliation.subscriptions
        self._outbox = Outbox(
            self.control,
            self.requests,
            self._reconciliation,
            self._credentials,
            max_network_delay,
        )
        self._server_disconnect: ServerError | None = None
        self._ended = False

    # -- what is to be done --------------------------------------------------------------------

    def outcomes(self) -> list[Outcome]:
        """Take and clear what happened, in order."""
        self._conclude()
        outcomes = self._outcomes.copy()
        self._outcomes.clear()
        return outcomes

    @property
    def has_ordinary(self) -> bool:
        """Whether `take` would now give an ordinary payload, were it not held back."""
        return self._outbox.has_ordinary and self.control.state in _LINK_UP

    def take(self, *, ordinary: bool = True) -> list[Outgoing]:
        """Take and clear the payloads to send, in order.

        Args:
            ordinary: Whether to make up the next ordinary payload; the session holds it back
                until the end of the loop's turn, or of a batch.
        """
        if ordinary and self.has_ordinary:
            self._outbox.put_ordinary()
        return self._outbox.take()

    # -- the cycle -----------------------------------------------------------------------------

    def open(self) -> None:
        """Begin a session: a handshake is due."""
        self.control.open()

    def handshake(self, fields: Mapping[str, Any]) -> None:
        """Take the step `Step.HANDSHAKE`; where that is not due (any more), do nothing.

        Args:
            fields: Extra fields of the message, ``ext`` for instance.
        """
        if self.control.begin(Step.HANDSHAKE):
            request = self.requests.add(Kind.HANDSHAKE, self.control.handshake(fields))
            self._outbox.put(Lane.HANDSHAKE, [request])

    def handshake_unready(self, error: Exception) -> None:
        """Take the failure to make up a handshake: the user's fields could not be had."""
        if self.control.begin(Step.HANDSHAKE):
            self.control.handshake_failed(error)

    def connect(self, now: float) -> None:
        """Take the step `Step.CONNECT`; where that is not due (any more), do nothing.

        Args:
            now: The time, in seconds of any steady clock.
        """
        if self.control.begin(Step.CONNECT):
            message, allowance = self.control.connect(now)
            request = self.requests.add(Kind.CONNECT, message)
            self._outbox.put(Lane.CONNECT, [request], allowance)

    def disconnect(self) -> None:
        """End the session in order: a disconnect goes out if there is a link, or it just ends."""
        if self.control.over or self.control.state is ClientState.DISCONNECTING:
            return
        if self.control.disconnect():
            self._outbox.put_ordinary()
            request = self.requests.add(Kind.DISCONNECT, {"channel": m.DISCONNECT})
            self._outbox.put(Lane.DISCONNECT, [request])
        else:
            self._conclude()

    def end(self, error: Exception | None) -> None:
        """End the session at once: nothing goes out any more."""
        self.control.end(error)
        self._conclude()

    # -- the user's requests -------------------------------------------------------------------

    def publish(
        self, channel: str, data: object, fields: Mapping[str, Any], *, call: bool = False
    ) -> str:
        """Have a message published, or a service called. Gives the identifier of the request."""
        message: Any = {**fields, "channel": channel, "data": data}
        request = self.requests.add(Kind.CALL if call else Kind.PUBLISH, message)
        self._outbox.add(request)
        return request.id

    def subscribe(self, channel: str, fields: Fields = None) -> None:
        """Wish for a channel, in this session and all that follow."""
        self.subscriptions.want(channel, fields)
        self._outbox.add(channel)

    def unsubscribe(self, channel: str) -> None:
        """Wish for a channel no longer."""
        self.subscriptions.unwant(channel)
        self._outbox.add(channel)

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
        replies: list[Message] = []
        calls = self.requests.calls
        for message in messages:
            channel: object = message.get("channel")
            if "data" in message and type(channel) is str and not channel.startswith("/meta/"):
                if calls and self._answers_call(message, channel):
                    continue
                events.append(message)
            else:
                replies.append(message)
        # Whether a connect brought messages is known before its reply is looked at: over
        # long-polling they come in one payload, in CometD before the reply, in Faye after it.
        self.control.count_events(len(events))
        for reply in replies:
            self._reply(reply, now, exchange, retries)
        self.control.await_fewer_messages(len(events))
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
            self._outbox.remove(request)

    def resend(self) -> None:
        """Ask again for the subscriptions whose requests were lost."""
        self._outbox.add(*self._reconciliation.take_lost())

    # -- credentials ---------------------------------------------------------------------------

    def authenticated(self) -> None:
        """Send again, once, what failed for want of the credentials that are there now."""
        for request in self._credentials.renewed():
            self._outbox.resend(request)
        self.control.authenticated()

    def authentication_failed(self, error: Exception) -> None:
        """Fail what waits for credentials that cannot be had."""
        for request in self._credentials.unavailable():
            if request.id in self.requests:
                self._settle_failed(request, error)
        if self.control.awaits_credentials:
            self.control.end(error)

    def _await_credentials(self, request: Request, error: Exception) -> bool:
        """Keep an ordinary request for new credentials, if they might help it."""
        renewable = self._credentials.might_help(error) and not self.control.over
        if request.retried or not renewable:
            return False
        if self._credentials.are_newer_than(request):
            self._outbox.resend(request)
        else:
            self._credentials.hold(request)
            self._credentials.ask(error)
        return True

    # -- replies -------------------------------------------------------------------------------

    def _answers_call(self, message: Message, channel: str) -> bool:
        request = self.requests.calls.get(str(message.get("id")))
        if request is None or request.channel != channel:
            return False
        self.requests.settle(request)
        refused = message.get("successful") is False
        error = refusal(request, message) if refused else None
        self._outcomes.append(Settled(request.id, None if refused else message, error))
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
        if request.kind in _CYCLE:
            self._cycle_succeeded(request.kind, reply, now)
        elif request.kind is Kind.PUBLISH:
            self._outcomes.append(Settled(request.id, reply))
        else:
            self._reconciliation.succeeded(request)

    def _cycle_succeeded(self, kind: Kind, reply: Message, now: float) -> None:
        if kind is Kind.HANDSHAKE:
            if self.control.handshaken(reply):
                self._outbox.put(Lane.RESUBSCRIBE, self._reconciliation.ask_all())
        elif kind is Kind.CONNECT:
            was_up = self.control.state is ClientState.CONNECTED
            self.control.connected(reply, now)
            if not was_up:
                self.resend()
        else:
            self.control.end(None)

    def _refused(
        self, request: Request, reply: Message, now: float, retries: Collection[str]
    ) -> None:
        error = refusal(request, reply)
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._await_credentials(request, error):
            return
        elif request.id in retries and not request.retried:
            self._outbox.resend(request)
        elif request.kind is Kind.SUBSCRIBE and unknown_client(error):
            # Not the channel is refused but the session, which is about to be renewed.
            self._lose(request)
        else:
            self._settle_failed(request, error)

    # -- failures ------------------------------------------------------------------------------

    def _fail(self, request: Request, error: Exception, now: float) -> None:
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._await_credentials(request, error):
            return
        elif request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE) and is_lost(error):
            self._lose(request)
        else:
            failure = as_authentication_error(error) if authentication_failed(error) else error
            self._settle_failed(request, failure)

    def _cycle_failed(self, request: Request, error: Exception, now: float) -> None:
        """Hand a refused or failed handshake, connect or disconnect to the cycle."""
        self.requests.settle(request)
        self.control.outdated = self._credentials.are_newer_than(request)
        if request.kind is Kind.DISCONNECT:
            self.control.end(None)
        elif request.kind is Kind.HANDSHAKE:
            self.control.handshake_failed(error)
        else:
            self.control.connect_failed(error, now)

    def _lose(self, request: Request) -> None:
        self.requests.settle(request)
        self._reconciliation.lost(request)

    def _settle_failed(self, request: Request, error: Exception) -> None:
        self.requests.settle(request)
        if request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            self._reconciliation.failed(request, error)
        else:
            self._outcomes.append(Settled(request.id, None, error))

    def _conclude(self) -> None:
        """Fail what still waits when the session is over, and say so, once."""
        if not self.control.over:
            return
        error = self.control.error
        for request in self.requests.take_all():
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                lost = error or TransportConnectionClosed("the client was closed")
                self._outcomes.append(Settled(request.id, None, lost))
        if not self._ended:
            self._ended = True
            self._outcomes.append(Ended(error))


_CYCLE = (Kind.HANDSHAKE, Kind.CONNECT, Kind.DISCONNECT)
