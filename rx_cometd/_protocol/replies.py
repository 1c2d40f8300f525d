"""What came back: which request each reply settles, and how.

A reply, a refusal, a failure of the network and silence all end here, each request's with
exactly one of: an outcome, a place among what is sent again, or a turn of the cycle.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from rx_cometd import messages as m
from rx_cometd._protocol.advice import Reconnect, reconnect_of
from rx_cometd._protocol.farewell import Farewell
from rx_cometd._protocol.outcomes import Answered, Outcome, Settled, Step
from rx_cometd._protocol.refusals import (
    as_authentication_error,
    asked_delay,
    authentication_failed,
    is_lost,
    is_passing,
    refusal,
    session_ended_meanwhile,
    unknown_client,
)
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd.exceptions import ProtocolError, ServerError, TransportConnectionClosed
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.connects import Connects
    from rx_cometd._protocol.credentials import Credentials
    from rx_cometd._protocol.handshakes import Handshakes
    from rx_cometd._protocol.outbox import Outbox
    from rx_cometd._protocol.reauthentication import Reauthentication
    from rx_cometd._protocol.refusals import Policy
    from rx_cometd._protocol.subscriptions import Reconciliation
    from rx_cometd.messages import Message

__all__ = ["Replies"]

_log = logging.getLogger("rx_cometd.protocol")

#: How often in a row a session must be unknown to be given up, where no advice says so.
_UNKNOWN: Final = 2
_CYCLE = (Kind.HANDSHAKE, Kind.CONNECT, Kind.DISCONNECT)


class Replies:
    """Settles requests.

    Args:
        cycle: Told of the end, and of the event messages that come.
        handshakes: Told what came of handshakes.
        connects: Told what came of connects, and of disconnects by the server.
        reauthentication: Told of failures that may be for want of credentials.
        requests: The requests that wait.
        reconciliation: Told what came of subscribes and unsubscribes.
        outbox: Takes what is to be sent again.
        credentials: Tells which requests went out before they were last renewed.
        outcomes: Where what happened is put.
        policy: Decides which refusals are tried again.
        is_wanted: Tells whether anybody takes the event messages of a channel.
    """

    def __init__(
        self,
        *,
        cycle: ConnectionCycle,
        handshakes: Handshakes,
        connects: Connects,
        reauthentication: Reauthentication,
        requests: Requests,
        reconciliation: Reconciliation,
        outbox: Outbox,
        credentials: Credentials,
        outcomes: list[Outcome],
        policy: Policy,
        is_wanted: Callable[[str], bool],
    ) -> None:
        self._policy = policy
        self._is_wanted = is_wanted
        self._cycle = cycle
        self._handshakes = handshakes
        self._connects = connects
        self._reauthentication = reauthentication
        self._requests = requests
        self._reconciliation = reconciliation
        self._outbox = outbox
        self._credentials = credentials
        self._outcomes = outcomes
        self._farewell = Farewell(cycle, connects, requests)
        #: How often in a row the server did not know the session, asked for something else.
        self._unknown = 0

    def receive(
        self,
        messages: Iterable[Message],
        now: float,
        exchange: Collection[str] = (),
        retries: Collection[str] = (),
    ) -> list[Message]:
        """Take the messages of a payload, and give the event messages; see `Protocol.receive`."""
        events: list[Message] = []
        replies: list[Message] = []
        calls = self._requests.calls
        answers = len(calls)
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
        answered = len(calls) < answers
        if answered or (events and self._cycle.heeds_events()):
            wanted = answered or any(self._is_wanted(event.get("channel", "")) for event in events)
            self._cycle.events_came(now, wanted=wanted)
        for reply in replies:
            self._reply(reply, now, exchange, retries)
        self._cycle.await_fewer_messages(len(events))
        if self._farewell.pending:
            self._farewell.act(now)
        return events

    def published(self, decoded: Any) -> bool:
        """Take a payload of nothing but replies to publishes that the server took.

        Args:
            decoded: What the JSON function made of it, whatever that is.

        Returns:
            Whether it was one, and was taken; if not, `receive` is to take it.
        """
        replies: list[Any] = decoded
        if not isinstance(decoded, list) or not decoded:
            return False
        if not self._requests.settle_published(replies):
            return False
        self._unknown = 0
        self._outcomes.append(Answered(replies))
        return True

    def fail(self, request_ids: Iterable[str], error: Exception, now: float) -> None:
        """Take the failure of an exchange: replies to these requests will not come."""
        self._fail_all(self._requests.waiting(request_ids), error, now)

    def unreadable(self, error: Exception, now: float) -> None:
        """Take note that what came over a WebSocket cannot be read.

        While there is no session, it can only have been the reply to the handshake.
        """
        self._fail_all(self._requests.of(Kind.HANDSHAKE), error, now)

    def lose(self, error: Exception, now: float) -> None:
        """Take the loss of the socket that carried everything sent so far.

        A call that was acknowledged still waits: its answer is for the session, which may be
        resumed, and fails with that.
        """
        for request in self._requests.sent():
            if not request.acknowledged:
                self._fail(request, error, now)

    def finish(self, request_ids: Iterable[str], now: float) -> None:
        """Take the end of an HTTP response: what it did not answer never will be.

        A call that was acknowledged still waits: its answer comes as an event message.
        """
        waiting = self._requests.waiting(request_ids)
        unanswered = [request for request in waiting if not request.acknowledged]
        if unanswered:
            error = ProtocolError("the server's response holds no reply to the request")
            self._fail_all(unanswered, error, now)

    def lose_calls(self) -> None:
        """Fail the calls whose answer was to come in the session that is given up now."""
        for request in list(self._requests.calls.values()):
            if request.acknowledged:
                error = TransportConnectionClosed(
                    f"the session was lost before the answer came from {request.channel}"
                )
                self._settle_failed(request, error)

    def authentication_failed(self, error: Exception) -> None:
        """Fail what waits for credentials that cannot be had."""
        for request in self._reauthentication.failed():
            self._settle_failed(request, error)
        if self._cycle.awaits_credentials:
            self._cycle.end(error)

    # -- replies -------------------------------------------------------------------------------

    def _answers_call(self, message: Message, channel: str) -> bool:
        request = self._requests.calls.get(str(message.get("id")))
        if request is None or request.channel != channel:
            return False
        self._requests.settle(request)
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
        request = self._requests.match(reply)
        if request is None:
            self._unrequested(reply)
        elif reply.get("successful", "error" not in reply) is False:
            self._refused(request, reply, now, retries)
        else:
            self._succeeded(request, reply, now)

    def _bare_reply(self, reply: Message, now: float, exchange: Collection[str]) -> None:
        """Take an element that names nothing: it speaks for the whole exchange, if it refuses."""
        refuses = reply.get("successful") is False or "error" in reply
        requests = self._requests.waiting(exchange) if refuses else []
        if not requests:
            _log.warning("skipped a message without channel", extra={"event": "message_skipped"})
        for request in requests:
            self._refused(request, reply, now, ())

    def _unrequested(self, reply: Message) -> None:
        """Take what answers no request: a disconnect by the server, or a stale or foreign reply."""
        if reply.get("channel") == m.DISCONNECT:
            # Acted on after the rest of the payload: Salesforce says why in what follows.
            self._farewell.begin(reply)
        elif not self._farewell.complete(reply):
            _log.debug(
                "dropped a reply to no request of ours on %s",
                reply.get("channel"),
                extra={"event": "reply_dropped", "channel": reply.get("channel")},
            )

    def _succeeded(self, request: Request, reply: Message, now: float) -> None:
        if request.kind is Kind.CALL:
            request.acknowledged = True
            return
        self._requests.settle(request)
        if request.kind in _CYCLE:
            self._cycle_succeeded(request.kind, reply, now)
            return
        self._unknown = 0
        if request.kind is Kind.PUBLISH:
            self._outcomes.append(Settled(request.id, reply))
        else:
            self._reconciliation.succeeded(request)

    def _cycle_succeeded(self, kind: Kind, reply: Message, now: float) -> None:
        if kind is Kind.HANDSHAKE:
            if self._handshakes.succeeded(reply, now):
                self._farewell.forget()
                self._outbox.put_resubscribe()
        elif kind is Kind.CONNECT and self._farewell.pending:
            self._farewell.add(reply)
        elif kind is Kind.CONNECT:
            was_up = self._cycle.state is ClientState.CONNECTED
            self._connects.succeeded(reply, now)
            if not was_up:
                self._outbox.add(*self._reconciliation.take_lost())
        else:
            self._cycle.end(None)

    def _refused(
        self, request: Request, reply: Message, now: float, retries: Collection[str]
    ) -> None:
        error = refusal(request, reply)
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._reauthentication.holds(request, error):
            return
        elif not request.retried and (request.id in retries or session_ended_meanwhile(error)):
            self._outbox.resend(request)
        else:
            self._ordinary_refused(request, error)
            if unknown_client(error):
                self._session_refused(request, error, now)

    def _ordinary_refused(self, request: Request, error: ServerError) -> None:
        """Fail a request, or have it made again where what is in its way passes.

        A publish is its caller's to repeat. An unsubscribe has nothing more to do in a session
        that is unknown, but the server may be one of two, and the other know it.
        """
        passing = unknown_client(error)
        if request.kind is Kind.SUBSCRIBE:
            passing = self._policy.transient(error, default=passing or is_passing(error))
        if passing and request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            self._cycle.tell(error, *self._lose(request))
        else:
            self._settle_failed(request, error)

    def _session_refused(self, request: Request, error: ServerError, now: float) -> None:
        """Seek a new session where the server does not know this one.

        It says so by its advice, or again: of two servers behind one balancer, one may know it.
        """
        if request.message.get("clientId") != self._cycle.client_id:
            return
        self._unknown += 1
        advised = reconnect_of(error.advice) is Reconnect.HANDSHAKE
        if advised or self._unknown >= _UNKNOWN:
            self._unknown = 0
            self._connects.session_unknown(error, now)
            if self._cycle.due is Step.HANDSHAKE:
                self._requests.forget(Kind.CONNECT, Kind.HANDSHAKE)

    # -- failures ------------------------------------------------------------------------------

    def _fail_all(self, requests: Iterable[Request], error: Exception, now: float) -> None:
        """Fail the requests of an exchange; tell, once, if subscriptions are asked for again.

        Where the link itself is lost, that is told, and they with it.
        """
        anew: tuple[int, float] | None = None
        for request in requests:
            anew = self._fail(request, error, now) or anew
        if anew is not None and self._cycle.state is ClientState.CONNECTED:
            self._cycle.tell(error, *anew)

    def _fail(self, request: Request, error: Exception, now: float) -> tuple[int, float] | None:
        """Fail a request; where it is made again, gives which attempt that is, and the delay."""
        if request.kind in _CYCLE:
            self._cycle_failed(request, error, now)
        elif self._reauthentication.holds(request, error):
            return None
        elif request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE) and is_lost(error):
            return self._lose(request, asked_delay(error))
        else:
            failure = as_authentication_error(error) if authentication_failed(error) else error
            self._settle_failed(request, failure)
        return None

    def _cycle_failed(self, request: Request, error: Exception, now: float) -> None:
        """Hand a refused or failed handshake, connect or disconnect to the cycle."""
        self._requests.settle(request)
        outdated = self._credentials.are_newer_than(request)
        if request.kind is Kind.DISCONNECT:
            self._cycle.end(None)
        elif request.kind is Kind.HANDSHAKE:
            self._handshakes.failed(error, now, outdated=outdated)
        else:
            self._connects.failed(error, now, outdated=outdated)

    def _lose(self, request: Request, asked: float = 0.0) -> tuple[int, float]:
        """Have a request made again; gives which attempt that is, and in how many seconds."""
        self._requests.settle(request)
        return self._reconciliation.lost(request, asked)

    def _settle_failed(self, request: Request, error: Exception) -> None:
        self._requests.settle(request)
        if request.kind in (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            self._reconciliation.failed(request, error)
        else:
            self._outcomes.append(Settled(request.id, None, error))
