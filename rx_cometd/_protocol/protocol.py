"""The Bayeux protocol, client side, without I/O.

Everything that decides what a client does next lives here and in what it is made of, and
nothing here waits, sends or reads a clock: messages and failures go in, `take` and `outcomes`
give (and clear) what is to be sent and what became of it, and delays are returned as `Due`
outcomes, never slept. Two functions of the user are called here, where what they give is needed:
the ``fields`` of a subscribe and the ``backoff``; one that raises fails its observers, or is
replaced.

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
from rx_cometd._protocol.backoff import Backoff, Pace, exponential, fail_safe
from rx_cometd._protocol.connection_cycle import ConnectionCycle
from rx_cometd._protocol.connects import Connects
from rx_cometd._protocol.credentials import Credentials
from rx_cometd._protocol.facts import Facts
from rx_cometd._protocol.handshakes import Handshakes
from rx_cometd._protocol.outbox import Outbox
from rx_cometd._protocol.outcomes import Ended, Lane, Outcome, Outgoing, Settled, Step
from rx_cometd._protocol.reauthentication import Reauthentication
from rx_cometd._protocol.refusals import Policy
from rx_cometd._protocol.replies import Replies
from rx_cometd._protocol.requests import Kind, Requests
from rx_cometd._protocol.subscriptions import Reconciliation
from rx_cometd.exceptions import TransportConnectionClosed
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.exceptions import ServerError
    from rx_cometd.messages import Message

__all__ = ["Protocol"]

_log = logging.getLogger("rx_cometd.protocol")

_LINK_UP = (ClientState.CONNECTING, ClientState.CONNECTED)
_LINK_UP_OR_LEAVING = (*_LINK_UP, ClientState.DISCONNECTING)
_PUBLISH = Kind.PUBLISH
_CALL = Kind.CALL
_IN_ORDER = (Lane.ORDINARY, Lane.RESUBSCRIBE)


def _anything(_: str) -> bool:
    return True


class Protocol(Facts):
    """The client's half of Bayeux; what is known of the session is asked of its `Facts`.

    Args:
        connection_types: Connection types, most wanted first.
        backoff: Gives the delays, in seconds, of a run of failures.
        max_network_delay: Seconds that a reply may be late.
        resume_timeout: Seconds that a connect which resumes a session may take.
        authenticates: Whether new credentials can be had after an authentication failure.
        connection_timeout: Seconds that the link may be down, ``None`` for ever.
        is_transient: The user's word on which refusals are tried again; see `Policy`.
        is_wanted: Tells whether anybody takes the event messages of a channel: others do not count
            as a reason for a server to answer connects at once.
    """

    def __init__(
        self,
        connection_types: Sequence[ConnectionType],
        *,
        backoff: Callable[[], Iterator[float]] = exponential,
        max_network_delay: float = 10.0,
        resume_timeout: float = 5.0,
        authenticates: bool = False,
        connection_timeout: float | None = None,
        is_transient: Callable[[ServerError], bool | None] | None = None,
        is_wanted: Callable[[str], bool] = _anything,
    ) -> None:
        policy = Policy(is_transient)
        resume_timeout = min(resume_timeout, max_network_delay)
        self._outcomes: list[Outcome] = []
        credentials = Credentials(self._outcomes, renewable=authenticates)
        cycle = ConnectionCycle(
            connection_types,
            pace=Pace(Backoff(fail_safe(backoff)), connection_timeout),
            outcomes=self._outcomes,
        )
        requests = Requests()
        self._reconciliation = Reconciliation(requests, Backoff(fail_safe(backoff)), self._outcomes)
        super().__init__(cycle, requests, self._reconciliation.subscriptions)
        self._outbox = Outbox(cycle, self._reconciliation, credentials, max_network_delay)
        self._reauthentication = Reauthentication(cycle, credentials, requests, self._outbox)
        common = (cycle, self._reauthentication, policy, max_network_delay, resume_timeout)
        self._handshakes = Handshakes(*common)
        self._connects = Connects(*common)
        self._replies = Replies(
            cycle=cycle,
            handshakes=self._handshakes,
            connects=self._connects,
            reauthentication=self._reauthentication,
            requests=requests,
            reconciliation=self._reconciliation,
            outbox=self._outbox,
            credentials=credentials,
            outcomes=self._outcomes,
            policy=policy,
            is_wanted=is_wanted,
        )
        self._ended = False
        #: Whether `receive` has to see event messages: else only observers want them. As of the
        #: last `take`, which everything passes that makes a difference to them: a connect whose
        #: first events are noted, and a call that is answered by one.
        self.heeds_events = True

    # -- what is to be done --------------------------------------------------------------------

    def outcomes(self) -> list[Outcome]:
        """Take and clear what happened, in order."""
        if self._cycle.over:
            self._conclude()
        if not self._outcomes:
            return []
        outcomes = self._outcomes.copy()
        self._outcomes.clear()
        return outcomes

    @property
    def has_outcomes(self) -> bool:
        """Whether `outcomes` would now give any, except for the end of the session."""
        return bool(self._outcomes)

    @property
    def has_ordinary(self) -> bool:
        """Whether `take` would now give an ordinary payload, were it not held back."""
        return bool(self._outbox.ordinary) and self._cycle.state in _LINK_UP

    def take(self, *, ordinary: bool = True) -> list[Outgoing]:
        """Take and clear the payloads to send, in order.

        Args:
            ordinary: Whether to make up the next ordinary payload; the session holds it back
                until the end of the loop's turn, or of a batch.
        """
        if ordinary and self.has_ordinary:
            self._outbox.put_ordinary()
        self.heeds_events = bool(self._requests.calls) or self._cycle.heeds_events()
        return self._outbox.take()

    # -- the cycle -----------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Begin a session: a handshake is due."""
        self._cycle.open(now)

    def begin_anew(self, now: float) -> None:
        """Forget the failures, and count the outage from now on."""
        self._cycle.begin_anew(now)

    def reconnect_now(self, now: float) -> None:
        """Do not wait for what is due: it is due at once."""
        self._cycle.reconnect_now(now)

    def handshake(self, fields: Mapping[str, Any]) -> None:
        """Take the step `Step.HANDSHAKE`; where that is not due (any more), do nothing.

        Args:
            fields: Extra fields of the message, ``ext`` for instance.
        """
        if self._cycle.begin(Step.HANDSHAKE):
            self._replies.lose_calls()
            message, timeout = self._handshakes.make(fields)
            request = self._requests.add(Kind.HANDSHAKE, message)
            self._outbox.put(Lane.HANDSHAKE, [request], timeout)

    def handshake_unready(self, error: Exception, now: float) -> None:
        """Take the failure to make up a handshake: the user's fields could not be had."""
        if self._cycle.begin(Step.HANDSHAKE):
            self._handshakes.failed(error, now)

    def connect(self, now: float) -> None:
        """Take the step `Step.CONNECT`; where that is not due (any more), do nothing.

        Args:
            now: The time, in seconds of any steady clock.
        """
        if self._cycle.begin(Step.CONNECT):
            message, timeout = self._connects.make(now)
            request = self._requests.add(Kind.CONNECT, message)
            self._outbox.put(Lane.CONNECT, [request], timeout)

    def disconnect(self) -> None:
        """End the session in order: a disconnect goes out if there is a link, or it just ends."""
        if self._cycle.over or self._cycle.state is ClientState.DISCONNECTING:
            return
        if self._cycle.disconnect():
            self._outbox.put_ordinary()
            request = self._requests.add(Kind.DISCONNECT, {"channel": m.DISCONNECT})
            self._outbox.put(Lane.DISCONNECT, [request])
        else:
            self._conclude()

    def end(self, error: Exception | None) -> None:
        """End the session at once: nothing goes out any more."""
        self._cycle.end(error)
        self._conclude()

    # -- the user's requests -------------------------------------------------------------------

    def publish(
        self, channel: str, data: object, fields: Mapping[str, Any], *, call: bool = False
    ) -> str:
        """Have a message published, or a service called. Gives the identifier of the request."""
        message: Any = {"channel": channel, "data": data}
        if fields:
            message = {**fields, **message}
        request = self._requests.add(_CALL if call else _PUBLISH, message)
        self._outbox.add(request)
        return request.id

    def subscribe(self, channel: str, fields: Fields = None) -> None:
        """Have a channel subscribed to, in this session and all that follow."""
        self._subscriptions.desire(channel, fields)
        self._outbox.add(channel)

    def unsubscribe(self, channel: str) -> None:
        """Have a channel unsubscribed from."""
        self._subscriptions.undesire(channel)
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

    def published(self, decoded: Any) -> bool:
        """Take a payload that holds nothing but replies to publishes that the server took.

        Args:
            decoded: What the JSON function made of it, whatever that is.

        Returns:
            Whether it was one, and was taken; if not, `receive` is to take it.
        """
        return self._replies.published(decoded)

    def fail(self, request_ids: Iterable[str], error: Exception, now: float) -> None:
        """Take the failure of an exchange: replies to these requests will not come."""
        self._replies.fail(request_ids, error, now)

    def unreadable(self, error: Exception, now: float) -> None:
        """Take note that what came over a WebSocket cannot be read."""
        self._replies.unreadable(error, now)

    def lose(self, error: Exception, now: float) -> None:
        """Take the loss of the socket that carried everything sent so far."""
        self._replies.lose(error, now)

    def finish(self, request_ids: Iterable[str], now: float) -> None:
        """Take the end of an HTTP response: what it did not answer never will be."""
        self._replies.finish(request_ids, now)

    def leaving(self, messages: list[Message], request_ids: Collection[str]) -> list[Message]:
        """Take note of messages that go out now, past the extensions.

        Args:
            messages: The messages; extensions may have added some.
            request_ids: The requests among them.

        Returns:
            The messages without the requests that were cancelled, or failed, since they were
            made up.
        """
        if self._cycle.client_id is None:
            for message in messages:
                if message.get("channel") == m.HANDSHAKE:
                    self._handshakes.leaves(message)
        gone = self._requests.not_waiting(request_ids)
        return [m for m in messages if m.get("id") not in gone] if gone else messages

    def is_stale(self, outgoing: Outgoing) -> bool:
        """Tell whether an ordinary payload came too late: the link, or its session, is lost."""
        if outgoing.lane not in _IN_ORDER:
            return False
        # Payloads that are put together have the oldest messages first.
        stale = outgoing.messages[0].get("clientId") != self._cycle.client_id
        return stale or self._cycle.state not in _LINK_UP_OR_LEAVING

    def postpone(self, request_ids: Iterable[str], now: float) -> None:
        """Have requests travel later that were made up, but never sent.

        Subscribes and unsubscribes are made up again; what the user published is not.
        """
        lost = TransportConnectionClosed("the link was lost before the request was sent")
        for request in self._requests.waiting(request_ids):
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                self._outbox.postpone(request)
            else:
                self.fail([request.id], lost, now)

    def cancel(self, request_id: str) -> None:
        """Forget a request whose caller no longer waits; unsent, it is not sent at all."""
        request = self._requests.get(request_id)
        if request is not None:
            self._requests.settle(request)
            self._outbox.remove(request)

    def resend(self) -> None:
        """Ask again for the subscriptions whose requests were lost."""
        self._outbox.add(*self._reconciliation.take_lost())

    # -- credentials ---------------------------------------------------------------------------

    def authenticated(self) -> None:
        """Send again, once, what failed for want of the credentials that are there now."""
        self._reauthentication.succeeded()

    def authentication_failed(self, error: Exception) -> None:
        """Fail what waits for credentials that cannot be had."""
        self._replies.authentication_failed(error)

    def _conclude(self) -> None:
        """Fail what still waits when the session is over, and say so, once."""
        if not self._cycle.over:
            return
        error = self._cycle.error
        for request in self._requests.take_all():
            if request.kind in (Kind.PUBLISH, Kind.CALL):
                lost = error or TransportConnectionClosed("the client was closed")
                self._outcomes.append(Settled(request.id, None, lost))
        if not self._ended:
            self._ended = True
            self._outcomes.append(Ended(error))
