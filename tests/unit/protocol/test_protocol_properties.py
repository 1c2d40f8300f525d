"""Whatever a server says, and whatever the user does meanwhile: what holds all the same."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rx_cometd._protocol.outcomes import Due, Ended, Lane, ResendDue, Settled, Step, Unauthorized
from rx_cometd._protocol.protocol import Protocol
from rx_cometd._protocol.requests import Kind, Request
from rx_cometd.exceptions import (
    AuthenticationError,
    ExtensionError,
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState
from tests.unit.protocol.driver import LP, WS

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.messages import Message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
CHANNELS = ["/a", "/b/*", "/service/c"]
META = [f"/meta/{name}" for name in ("handshake", "connect", "disconnect", "subscribe", "x")]
ADVICE = st.fixed_dictionaries(
    {},
    optional={
        "reconnect": st.sampled_from(["retry", "handshake", "none", "", None, 7]),
        "interval": st.sampled_from([0, 1, 5000, -1, "10", "x", math.inf]),
        "timeout": st.sampled_from([0, 30000, -1, None]),
        "maxInterval": st.sampled_from([0, 10, 10000, "5"]),
    },
)
ERRORS = st.sampled_from(
    [
        "402::session_unknown",
        "401::Authentication invalid",
        "403::Unknown client",
        "403:/a:denied",
        "9" * 5000 + "::x",
        "",
        None,
        5,
    ]
)
TYPES = ["websocket", "long-polling", "callback-polling"]
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "successful": st.sampled_from([True, True, True, False, None, "no"]),
        "error": ERRORS,
        "advice": ADVICE | JSON,
        "clientId": st.sampled_from(["x", "y", "", None, 5]),
        "supportedConnectionTypes": st.lists(st.sampled_from(TYPES), min_size=1) | JSON,
        "x-messages": st.integers(-1, 3) | JSON,
        "subscription": st.sampled_from(CHANNELS) | st.lists(st.sampled_from(CHANNELS)) | JSON,
        "ext": st.just({"sfdc": {"failureReason": "401::x"}}) | JSON,
        "data": JSON,
    },
)
GARBAGE = st.fixed_dictionaries(
    {},
    optional={
        "channel": st.sampled_from(CHANNELS + META) | JSON,
        "id": st.integers(1, 20).map(str) | JSON,
        "successful": st.booleans() | JSON,
        "error": ERRORS | JSON,
        "advice": ADVICE | JSON,
        "clientId": JSON,
        "data": JSON,
        "subscription": JSON,
    },
)
FAILURES = st.sampled_from(
    [
        TransportError("down"),
        TransportError("not found", http_status=404),
        TransportError("denied", http_status=401),
        TransportError("busy", http_status=503),
        TransportTimeoutError("silence"),
        TransportConnectionClosed("cut off"),
        ProtocolError("garbage"),
        ExtensionError("dropped"),
    ]
)


class ProtocolLife(RuleBasedStateMachine):
    """A protocol, a user who does anything at any time, and a server that says anything."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = Protocol([WS, LP], backoff=lambda: iter([1.0, 2.0]), authenticates=True)
        self.now = 0.0
        self.known: list[dict[str, Any]] = []
        self.times_sent: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.settled: Counter[str] = Counter()
        self.wanted_reply: set[str] = set()
        self.endings = 0
        self.asked = 0
        self.do(lambda: self.protocol.open(0.0))

    def do(self, action: Callable[[], object]) -> None:
        """Act, then look at all that came of it."""
        was_over = self.protocol.over
        action()
        for _ in range(2):
            for payload in self.protocol.take():
                assert not was_over, "something was sent after the end"
                assert payload.messages
                for message in payload.messages:
                    self.look_at_sent(payload.lane, message)
            for outcome in self.protocol.outcomes():
                self.look_at(outcome)
        assert self.protocol.outcomes() == []

    def look_at_sent(self, lane: Lane, message: Any) -> None:
        if lane is Lane.HANDSHAKE:
            assert "clientId" not in message
        else:
            assert message["clientId"] == self.protocol.client_id
        self.known.append(dict(message))
        self.times_sent[message["id"]] += 1
        allowed = 2 if message["id"] in self.refused else 1
        assert self.times_sent[message["id"]] <= allowed, "sent twice behind the user's back"

    def look_at(self, outcome: object) -> None:
        if isinstance(outcome, Due | ResendDue):
            assert math.isfinite(outcome.delay)
            assert outcome.delay >= 0
        elif isinstance(outcome, Settled):
            assert (outcome.reply is None) is (outcome.error is not None)
            self.settled[outcome.request_id] += 1
            assert self.settled[outcome.request_id] == 1
        elif isinstance(outcome, Ended):
            self.endings += 1
        elif isinstance(outcome, Unauthorized):
            assert not self.asked, "credentials are asked for twice at a time"
            self.asked += 1

    def outstanding(self) -> list[Request]:
        """Give the requests that were sent and not answered."""
        return [request for request in self.protocol.requests() if request.sent]

    def of(self, *kinds: Kind) -> list[Request]:
        """Give the requests of some kinds that were not answered."""
        return [request for request in self.protocol.requests() if request.kind in kinds]

    # -- the user, and time --------------------------------------------------------------------

    @rule(step=st.sampled_from(Step), passed=st.floats(0, 100))
    def take_step(self, step: Step, passed: float) -> None:
        """Have a timer fire, whether or not its step is still due."""
        self.now += passed
        if step is Step.HANDSHAKE:
            self.do(lambda: self.protocol.handshake({}))
        else:
            self.do(lambda: self.protocol.connect(self.now))

    @rule()
    def take_due_step(self) -> None:
        if self.protocol.due is not None:
            self.take_step(self.protocol.due, 1.0)

    @rule(channel=st.sampled_from(CHANNELS), call=st.booleans(), data=JSON)
    def publish(self, channel: str, data: object, *, call: bool) -> None:
        self.do(lambda: self.wanted_reply.add(self.protocol.publish(channel, data, {}, call=call)))

    @rule(channel=st.sampled_from(CHANNELS))
    def subscribe(self, channel: str) -> None:
        self.do(lambda: self.protocol.subscribe(channel))

    @rule(channel=st.sampled_from(CHANNELS))
    def unsubscribe(self, channel: str) -> None:
        self.do(lambda: self.protocol.unsubscribe(channel))

    @precondition(lambda self: self.wanted_reply)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.wanted_reply)))
        self.wanted_reply.discard(request_id)
        self.do(lambda: self.protocol.cancel(request_id))

    @rule()
    def resend(self) -> None:
        self.do(self.protocol.resend)

    @rule(available=st.booleans())
    def authenticate(self, *, available: bool) -> None:
        self.asked = 0
        if available:
            self.do(self.protocol.authenticated)
        else:
            error = AuthenticationError("the login failed")
            self.do(lambda: self.protocol.authentication_failed(error))

    @rule(chance=st.integers(0, 9))
    def disconnect(self, chance: int) -> None:
        if chance == 0:
            self.do(self.protocol.disconnect)

    @rule(chance=st.integers(0, 9), error=st.none() | FAILURES)
    def end(self, chance: int, error: Exception | None) -> None:
        if chance == 0:
            self.do(lambda: self.protocol.end(error))

    # -- the server, and the network -----------------------------------------------------------

    @precondition(lambda self: self.known)
    @rule(data=st.data(), fields=FIELDS, retry=st.booleans())
    def reply(self, data: st.DataObject, fields: dict[str, Any], *, retry: bool) -> None:
        """Reply to something that was sent, now or long ago."""
        request = data.draw(st.sampled_from(self.known))
        self.refused.add(request["id"])
        reply: Any = {"channel": request["channel"], "id": request["id"], **fields}
        retries = [request["id"]] if retry else []
        self.do(lambda: self.protocol.receive([reply], self.now, (), retries))

    @precondition(lambda self: self.outstanding())
    @rule(advice=st.none() | ADVICE)
    def answer_all(self, advice: dict[str, Any] | None) -> None:
        """Answer all that is outstanding with success."""
        replies: list[Any] = [
            {"channel": r.channel, "id": r.id, "successful": True, "clientId": "x"}
            for r in self.outstanding()
        ]
        if advice is not None:
            replies[0]["advice"] = advice
        self.do(lambda: self.protocol.receive(replies, self.now))

    @rule(messages=st.lists(GARBAGE, max_size=3), exchange=st.lists(st.integers(1, 20).map(str)))
    def say_anything(self, messages: list[Any], exchange: list[str]) -> None:
        self.refused.update(str(m.get("id")) for m in messages)
        self.refused.update(exchange)
        events: list[list[Message]] = []
        self.do(lambda: events.append(self.protocol.receive(messages, self.now, exchange)))
        for event in events[0]:
            assert any(event is message for message in messages)
            assert "data" in event

    @precondition(lambda self: self.known)
    @rule(data=st.data(), error=FAILURES)
    def fail(self, data: st.DataObject, error: Exception) -> None:
        requests = data.draw(st.lists(st.sampled_from(self.known)))
        ids = [request["id"] for request in requests]
        if getattr(error, "http_status", None) == 401:
            self.refused.update(ids)
        self.do(lambda: self.protocol.fail(ids, error, self.now))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        requests = data.draw(st.lists(st.sampled_from(self.known)))
        self.do(lambda: self.protocol.finish([r["id"] for r in requests], self.now))

    @rule(error=FAILURES)
    def lose(self, error: Exception) -> None:
        if getattr(error, "http_status", None) == 401:
            self.refused.update(request.id for request in self.outstanding())
        self.do(lambda: self.protocol.lose(error, self.now))

    # -- what holds ----------------------------------------------------------------------------

    @invariant()
    def one_handshake_or_connect_is_outstanding_or_due(self) -> None:
        """Never two of them, and never none: the cycle neither forks nor stalls."""
        control = self.protocol._cycle  # pyright: ignore[reportPrivateUsage]
        outstanding = self.of(Kind.HANDSHAKE, Kind.CONNECT)
        if control.over:
            assert outstanding == []
            assert control.due is None
            assert control.state is ClientState.DISCONNECTED
        elif control.state is ClientState.DISCONNECTING:
            assert len(outstanding) <= 1
            assert control.due is None
            assert len(self.of(Kind.DISCONNECT)) == 1
        else:
            ways_on = (control.due is not None, bool(outstanding), control.awaits_credentials)
            assert sum(ways_on) == 1
            assert len(outstanding) <= 1

    @invariant()
    def the_end_is_told_once(self) -> None:
        assert self.endings == self.protocol.over

    def teardown(self) -> None:
        """End it: everything that was waited for has been settled exactly once."""
        self.do(lambda: self.protocol.end(None))
        assert self.wanted_reply <= set(self.settled)
        assert self.protocol.requests() == []


TestProtocolLife = ProtocolLife.TestCase
TestProtocolLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
