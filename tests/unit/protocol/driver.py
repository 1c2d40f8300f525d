"""A protocol in the hands of a test: steps are taken, a server's words put into its ears.

Each action collects what it led to: ``sent`` holds the payloads, ``happened`` the outcomes of
the last action alone. Time is a number that steps advance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from rx_cometd._protocol.outcomes import (
    Changed,
    Due,
    Ended,
    Lane,
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
from rx_cometd._protocol.protocol import Protocol
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rx_cometd._protocol.requests import Request
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd.messages import Message
    from rx_cometd.states import ClientState

WS = ConnectionType.WEBSOCKET
LP = ConnectionType.LONG_POLLING

RETRY = {"reconnect": "retry", "interval": 0}
HANDSHAKE = {"reconnect": "handshake", "interval": 0}
NONE = {"reconnect": "none"}

DENIED = TransportError("denied", http_status=401)
NOT_FOUND = TransportError("not found", http_status=404)

_O = TypeVar("_O")


class Driver:
    """A protocol, its clock, and the other end of its wire.

    Args:
        types: The connection types preferred.
        delays: The delays of each run of failures.
        options: Further arguments of the protocol.
    """

    def __init__(
        self,
        *types: ConnectionType,
        delays: Sequence[float] = (1.0, 2.0, 4.0),
        **options: Any,
    ) -> None:
        self.protocol = Protocol(types or (WS, LP), backoff=lambda: iter(delays), **options)
        self.now = 0.0
        self.sent: list[Outgoing] = []
        self.happened: list[Outcome] = []
        self.events: list[Message] = []
        self.sessions = 0
        self._due: Due | None = None

    # -- actions -------------------------------------------------------------------------------

    def do(self, action: Callable[[], object]) -> None:
        """Act, and collect what comes of it."""
        result = action()
        self.sent = self.protocol.take()
        self.happened = self.protocol.outcomes()
        # What `take` put together may have had outcomes, and those may have made requests.
        self.sent += self.protocol.take()
        if isinstance(result, list):
            self.events += cast("list[Message]", result)
        self._due = next((o for o in reversed(self.happened) if isinstance(o, Due)), self._due)
        if any(isinstance(o, Ended) for o in self.happened):
            self._due = None

    def open(self) -> None:
        self.do(lambda: self.protocol.open(self.now))

    def take_step(self, **fields: Any) -> dict[str, Any]:
        """Let the delay go by and take the step that is due. Gives the message sent for it."""
        assert self._due is not None, "nothing is due"
        due, self._due = self._due, None
        self.now += due.delay
        if due.step is Step.HANDSHAKE:
            self.do(lambda: self.protocol.handshake(fields))
        else:
            self.do(lambda: self.protocol.connect(self.now))
        return self.message(f"/meta/{due.step.value}")

    def receive(self, *messages: Any, **options: Any) -> None:
        """Have the server send messages in one payload."""
        self.do(lambda: self.protocol.receive(messages, self.now, **options))

    def answer(self, request: dict[str, Any], **fields: Any) -> None:
        """Have the server answer a request with success, unless the fields say otherwise."""
        self.receive(reply_to(request, **fields))

    def refuse(self, request: dict[str, Any], error: str = "500::oops", **fields: Any) -> None:
        """Have the server refuse a request."""
        self.receive(refusal_of(request, error, **fields))

    def fail(self, *requests: dict[str, Any], error: Exception | None = None) -> None:
        """Have the exchange of requests fail."""
        failure = TransportError("the network is down") if error is None else error
        self.do(lambda: self.protocol.fail([r["id"] for r in requests], failure, self.now))

    def finish(self, *requests: dict[str, Any]) -> None:
        """Have the HTTP response to requests end."""
        self.do(lambda: self.protocol.finish([r["id"] for r in requests], self.now))

    def publish(self, channel: str = "/chat", data: object = "hi", **options: Any) -> str:
        """Publish. Gives the identifier."""
        ids: list[str] = []
        self.do(lambda: ids.append(self.protocol.publish(channel, data, {}, **options)))
        return ids[0]

    def subscribe(self, *channels: str, fields: Fields = None) -> None:
        """Subscribe to channels within one turn."""

        def subscribe() -> None:
            for channel in channels:
                self.protocol.subscribe(channel, fields)

        self.do(subscribe)

    def unsubscribe(self, *channels: str) -> None:
        """Unsubscribe from channels within one turn."""

        def unsubscribe() -> None:
            for channel in channels:
                self.protocol.unsubscribe(channel)

        self.do(unsubscribe)

    # -- the way to a state --------------------------------------------------------------------

    def handshaken(self, **fields: Any) -> Driver:
        """Open if need be, shake hands, and come to CONNECTING."""
        if self._due is None:
            self.open()
        self.sessions += 1
        self.answer(self.take_step(), **{"clientId": f"client-{self.sessions}", **fields})
        return self

    def connected(self, **fields: Any) -> Driver:
        """Come to CONNECTED, by a handshake if need be; the next connect is due."""
        if self.protocol.client_id is None:
            self.handshaken()
        self.answer(self.take_step(), **fields)
        return self

    # -- what came of it -----------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        return self.protocol.state

    @property
    def outstanding(self) -> list[Request]:
        """The requests that were sent and not answered."""
        return [request for request in self.protocol.requests() if request.sent]

    def waits_for(self, request_id: str) -> bool:
        """Tell whether a request was not answered yet."""
        return any(request.id == request_id for request in self.protocol.requests())

    def messages(self, channel: str) -> list[dict[str, Any]]:
        """Give the messages just sent on a channel."""
        found = [m for payload in self.sent for m in payload.messages]
        return [cast("dict[str, Any]", m) for m in found if m.get("channel") == channel]

    def message(self, channel: str) -> dict[str, Any]:
        """Give the one message just sent on a channel."""
        found = self.messages(channel)
        assert len(found) == 1, f"{len(found)} messages on {channel}"
        return found[0]

    def of(self, kind: type[_O]) -> list[_O]:
        """Give the outcomes of one kind."""
        return [outcome for outcome in self.happened if isinstance(outcome, kind)]

    def assert_due(self, step: Step, delay: float = 0.0) -> None:
        """Check what the last action made due."""
        dues = self.of(Due)
        assert dues, f"nothing became due, but {self.happened}"
        assert dues[-1] == Due(step, delay)
        assert self.protocol.due is step

    def assert_nothing_due(self) -> None:
        assert not self.of(Due)

    def assert_sent(self, lane: Lane, *channels: str) -> list[dict[str, Any]]:
        """Check that one payload went out, with messages on these channels. Gives them."""
        assert [payload.lane for payload in self.sent] == [lane]
        messages = [cast("dict[str, Any]", message) for message in self.sent[0].messages]
        assert [message["channel"] for message in messages] == list(channels)
        return messages

    def assert_nothing_sent(self) -> None:
        assert self.sent == []

    def assert_states(self, *states: ClientState) -> None:
        """Check which states the last action went through."""
        assert [changed.change.state for changed in self.of(Changed)] == list(states)

    def assert_settled(self, request_id: str) -> Message:
        """Check that a publish or call was answered. Gives the reply."""
        (settled,) = self.of(Settled)
        assert settled.request_id == request_id
        assert settled.error is None
        assert settled.reply is not None
        return settled.reply

    def assert_failed(self, request_id: str, error: type[Exception]) -> Exception:
        """Check that a publish or call failed. Gives the error."""
        (settled,) = (s for s in self.of(Settled) if s.request_id == request_id)
        assert settled.reply is None
        assert isinstance(settled.error, error)
        return settled.error

    def assert_subscribed(self, *channels: str) -> None:
        assert [outcome.channel for outcome in self.of(Subscribed)] == list(channels)

    def assert_unsubscribed(self, *channels: str) -> None:
        assert [outcome.channel for outcome in self.of(Unsubscribed)] == list(channels)

    def assert_subscription_failed(self, channel: str, error: type[Exception]) -> Exception:
        (failed,) = self.of(SubscriptionFailed)
        assert failed.channel == channel
        assert isinstance(failed.error, error)
        return failed.error

    def assert_resend_due(self, delay: float) -> None:
        assert self.of(ResendDue) == [ResendDue(delay)]

    def assert_asks_credentials(self) -> Exception:
        (unauthorized,) = self.of(Unauthorized)
        return unauthorized.error

    def assert_ended(self, error: type[Exception] | None) -> Exception | None:
        """Check that the last action ended the session, once."""
        (ended,) = self.of(Ended)
        assert self.protocol.over
        if error is None:
            assert ended.error is None
        else:
            assert isinstance(ended.error, error)
        return ended.error

    def assert_goes_on(self) -> None:
        assert not self.of(Ended)
        assert not self.protocol.over


def advised(advice: dict[str, Any]) -> dict[str, Any]:
    """Give the part of a reply that advises."""
    return {"advice": advice}


def reply_to(request: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Make a successful reply."""
    reply = {"channel": request["channel"], "id": request["id"], "successful": True}
    if "subscription" in request:
        reply["subscription"] = request["subscription"]
    return {**reply, **fields}


def refusal_of(request: dict[str, Any], error: str = "500::oops", **fields: Any) -> dict[str, Any]:
    """Make an unsuccessful reply."""
    return reply_to(request, successful=False, error=error, **fields)


def event(channel: str = "/chat", data: object = "hi", **fields: Any) -> dict[str, Any]:
    """Make an event message."""
    return {"channel": channel, "data": data, **fields}
