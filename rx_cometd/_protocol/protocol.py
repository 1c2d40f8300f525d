"""The Bayeux protocol, client side, without I/O.

Everything that decides what a client does next lives here and in `connection_cycle`, and
nothing here waits, sends, reads a clock or calls back: messages and failures go in, `take` and
`outcomes` give (and clear) what is to be sent and what became of it, and delays are returned as
`Due` outcomes, never slept.

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
from rx_cometd._protocol.backoff import Backoff, exponential
from rx_cometd._protocol.connection_cycle import ConnectionCycle
from rx_cometd._protocol.credentials import Credentials
from rx_cometd._protocol.outbox import Outbox
from rx_cometd._protocol.outcomes import Ended, Lane, Outcome, Outgoing, Settled, Step
from rx_cometd._protocol.replies import Replies
from rx_cometd._protocol.requests import Kind, Requests
from rx_cometd._protocol.subscriptions import Reconciliation
from rx_cometd.exceptions import TransportConnectionClosed
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.messages import Message

__all__ = ["Protocol"]

_log = logging.getLogger("rx_cometd.protocol")

_LINK_UP = (ClientState.CONNECTING, ClientState.CONNECTED)
_LINK_UP_OR_LEAVING = (*_LINK_UP, ClientState.DISCONNECTING)


class Protocol:
    """The client's half of Bayeux.

    Args:
        connection_types: Connection types, most wanted first.
        backoff: Gives the delays, in seconds, of a run of failures.
        max_network_delay: Seconds that a reply may be late.
        resume_timeout: Seconds that a connect which resumes a session may take.
        authenticates: Whether new credentials can be had after an authentication failure.
    """

    def __init__(
        self,
        connection_types: Sequence[ConnectionType],
        *,
        backoff: Callable[[], Iterator[float]] = exponential,
        max_network_delay: float = 10.0,
        resume_timeout: float = 5.0,
        authenticates: bool = False,
    ) -> None:
        self._outcomes: list[Outcome] = []
        self._credentials = Credentials(self._outcomes, renewable=authenticates)
        self.cycle = ConnectionCycle(
            connection_types,
            backoff=Backoff(backoff),
            max_network_delay=max_network_delay,
            resume_timeout=resume_timeout,
            credentials=self._credentials,
            outcomes=self._outcomes,
        )
        self.requests = Requests()
        self._reconciliation = Reconciliation(self.requests, Backoff(backoff), self._outcomes)
        self.subscriptions = self._reconciliation.subscriptions
        self._outbox = Outbox(
            self.cycle,
            self.requests,
            self._reconciliation,
            self._credentials,
            max_network_delay,
        )
        self._replies = Replies(
            cycle=self.cycle,
            requests=self.requests,
            reconciliation=self._reconciliation,
            outbox=self._outbox,
            credentials=self._credentials,
            outcomes=self._outcomes,
        )
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
        return self._outbox.has_ordinary and self.cycle.state in _LINK_UP

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
        self.cycle.open()

    def handshake(self, fields: Mapping[str, Any]) -> None:
        """Take the step `Step.HANDSHAKE`; where that is not due (any more), do nothing.

        Args:
            fields: Extra fields of the message, ``ext`` for instance.
        """
        if self.cycle.begin(Step.HANDSHAKE):
            request = self.requests.add(Kind.HANDSHAKE, self.cycle.handshake(fields))
            self._outbox.put(Lane.HANDSHAKE, [request], self.cycle.handshake_timeout)

    def handshake_unready(self, error: Exception) -> None:
        """Take the failure to make up a handshake: the user's fields could not be had."""
        if self.cycle.begin(Step.HANDSHAKE):
            self.cycle.handshake_failed(error)

    def connect(self, now: float) -> None:
        """Take the step `Step.CONNECT`; where that is not due (any more), do nothing.

        Args:
            now: The time, in seconds of any steady clock.
        """
        if self.cycle.begin(Step.CONNECT):
            message, timeout = self.cycle.connect(now)
            request = self.requests.add(Kind.CONNECT, message)
            self._outbox.put(Lane.CONNECT, [request], timeout)

    def disconnect(self) -> None:
        """End the session in order: a disconnect goes out if there is a link, or it just ends."""
        if self.cycle.over or self.cycle.state is ClientState.DISCONNECTING:
            return
        if self.cycle.disconnect():
            self._outbox.put_ordinary()
            request = self.requests.add(Kind.DISCONNECT, {"channel": m.DISCONNECT})
            self._outbox.put(Lane.DISCONNECT, [request])
        else:
            self._conclude()

    def end(self, error: Exception | None) -> None:
        """End the session at once: nothing goes out any more."""
        self.cycle.end(error)
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
        self.subscriptions.desire(channel, fields)
        self._outbox.add(channel)

    def unsubscribe(self, channel: str) -> None:
        """Wish for a channel no longer."""
        self.subscriptions.undesire(channel)
        self._outbox.add(channel)

    # -- what came -----------------------------------------------------------------------------

    def receive(
        self,
        messages: Iterable[Message],
        now: float,
        exchange: Collection[str] = (),
        retries: Collection[str] = (),
    ) -> list[Message]:
        """Take the messages of a payload, and give the event messages among them, in order.

        Args:
            messages: The messages.
            now: The time, in seconds of any steady clock.
            exchange: The requests that the payload is the HTTP response to; elements without
                channel and id (Salesforce's bare errors) are for all of them.
            retries: Identifiers of refused requests that an extension wants sent again, once.
        """
        return self._replies.receive(messages, now, exchange, retries)

    def fail(self, request_ids: Iterable[str], error: Exception, now: float) -> None:
        """Take the failure of an exchange: replies to these requests will not come."""
        self._replies.fail(request_ids, error, now)

    def lose(self, error: Exception, now: float) -> None:
        """Take the loss of the socket that carried everything sent so far."""
        self._replies.lose(error, now)

    def finish(self, request_ids: Iterable[str], now: float) -> None:
        """Take the end of an HTTP response: what it did not answer never will be."""
        self._replies.finish(request_ids, now)

    def is_stale(self, outgoing: Outgoing) -> bool:
        """Tell whether an ordinary payload came too late: the link, or its session, is lost."""
        if outgoing.lane not in (Lane.ORDINARY, Lane.RESUBSCRIBE):
            return False
        client_id = self.cycle.client_id
        stale = any(message.get("clientId") != client_id for message in outgoing.messages)
        return stale or self.cycle.state not in _LINK_UP_OR_LEAVING

    def postpone(self, request_ids: Iterable[str], now: float) -> None:
        """Have requests travel later that were made up, but never sent.

        Wishes for channels are made up anew; what the user published is not.
        """
        lost = TransportConnectionClosed("the link was lost before the request was sent")
        for request in self.requests.waiting(request_ids):
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                self._outbox.postpone(request)
            else:
                self.fail([request.id], lost, now)

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
        self._replies.authenticated()

    def authentication_failed(self, error: Exception) -> None:
        """Fail what waits for credentials that cannot be had."""
        self._replies.authentication_failed(error)

    def _conclude(self) -> None:
        """Fail what still waits when the session is over, and say so, once."""
        if not self.cycle.over:
            return
        error = self.cycle.error
        for request in self.requests.take_all():
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                lost = error or TransportConnectionClosed("the client was closed")
                self._outcomes.append(Settled(request.id, None, lost))
        if not self._ended:
            self._ended = True
            self._outcomes.append(Ended(error))
