"""The protocol in a world of its own: a virtual clock, a lawful server, a bad network.

Hours pass in a second, and a seed says how. What `test_protocol_properties` cannot know, because
its server says anything: that nothing is sent twice, and that when the network is good again there
is one session, which has exactly the subscriptions that are wanted, and nobody waits.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd._protocol.outcomes import (
    Due,
    Ended,
    Lane,
    Outgoing,
    ResendDue,
    Settled,
    Step,
    SubscriptionFailed,
)
from rx_cometd._protocol.protocol import Protocol
from rx_cometd.exceptions import (
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState
from tests.unit.protocol.driver import LP, WS, refusal_of, reply_to

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNELS = ["/a", "/b", "/c/*", "/service/d"]
#: 100 lives of 1,000 steps.
LIVES, STEPS = 100, 1000
#: Seconds for which a server holds a connect, and after which it forgets a silent session.
HOLD, FORGET = 20.0, 40.0
REST = 300.0

RETRY = {"reconnect": "retry", "interval": 0, "timeout": HOLD * 1000}
HANDSHAKE = {"reconnect": "handshake", "interval": 0}


class Server:
    """What a Bayeux server does, and no more."""

    def __init__(self) -> None:
        self.sessions: dict[str, set[str]] = {}
        self.denied: set[str] = set()
        self.busy = False
        self.published: Counter[int] = Counter()
        self._numbers = itertools.count(1)

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer one message."""
        channel = message["channel"]
        if self.busy and channel in {"/meta/handshake", "/meta/connect"}:
            return refusal_of(message, "503::busy", advice=RETRY | {"reconnect": "retry"})
        if channel == "/meta/handshake":
            client_id = f"s{next(self._numbers)}"
            self.sessions[client_id] = set()
            types = ["websocket", "long-polling"]
            return reply_to(
                message, clientId=client_id, supportedConnectionTypes=types, advice=RETRY
            )
        channels = self.sessions.get(message["clientId"])
        if channels is None:
            return refusal_of(message, "402::unknown", advice=HANDSHAKE)
        if channel == "/meta/disconnect":
            del self.sessions[message["clientId"]]
        elif channel == "/meta/subscribe":
            if message["subscription"] in self.denied:
                return refusal_of(message, "403::denied")
            channels.add(message["subscription"])
        elif channel == "/meta/unsubscribe":
            if not any(message["subscription"] in names for names in self.sessions.values()):
                # As CometD does once it has swept a channel that nobody is subscribed to.
                return refusal_of(message, "400::channel_missing")
            channels.discard(message["subscription"])
        elif not channel.startswith("/meta/"):
            self.published[message["data"]] += 1
        return reply_to(message)


class World:
    """A client's protocol, its user, the network and the server, on one clock."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.server = Server()
        self.protocol = Protocol([WS, LP], backoff=lambda: iter([0.5, 1.0, 2.0, 4.0]))
        self.now, self.steps, self.bad = 0.0, 0, True
        self.events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count()
        self._step_generation = self._resend_generation = 0
        self.travelling: dict[str, Lane] = {}
        self.queue: deque[Outgoing] = deque()
        self.wanted: set[str] = set()
        self.waiting: set[str] = set()
        self.settled: Counter[str] = Counter()
        self.endings = 0

    def later(self, delay: float, action: Callable[[], object]) -> None:
        heapq.heappush(self.events, (self.now + delay, next(self._order), action))

    def run(self, steps: int = 0, seconds: float = 0.0) -> None:
        """Let so many things happen, or so much time pass."""
        stop, end = self.steps + steps, self.now + seconds
        while self.events and (self.steps < stop or self.events[0][0] <= end):
            self.now, _, action = heapq.heappop(self.events)
            self.steps += 1
            action()
        self.now = max(self.now, end)

    # -- the client ----------------------------------------------------------------------------

    def do(self, action: Callable[[], object]) -> None:
        """Act on the protocol, then do as a session does with what comes of it."""
        action()
        for _ in range(2):
            for outgoing in self.protocol.take():
                self.send(outgoing)
            for outcome in self.protocol.outcomes():
                self.obey(outcome)

    def obey(self, outcome: object) -> None:
        if isinstance(outcome, Due):
            self._step_generation += 1
            generation = self._step_generation
            self.later(outcome.delay, lambda: self.take_step(outcome.step, generation))
        elif isinstance(outcome, ResendDue):
            self._resend_generation += 1
            latest = self._resend_generation
            self.later(outcome.delay, lambda: self.resend(latest))
        elif isinstance(outcome, Settled):
            self.settled[outcome.request_id] += 1
            assert self.settled[outcome.request_id] == 1
            self.waiting.discard(outcome.request_id)
        elif isinstance(outcome, SubscriptionFailed):
            self.wanted.discard(outcome.channel)
        elif isinstance(outcome, Ended):
            self.endings += 1

    def take_step(self, step: Step, generation: int) -> None:
        if generation != self._step_generation:
            return
        if step is Step.HANDSHAKE:
            self.do(lambda: self.protocol.handshake({}))
        else:
            self.do(lambda: self.protocol.connect(self.now))

    def resend(self, generation: int) -> None:
        if generation == self._resend_generation:
            self.do(self.protocol.resend)

    # -- the network ---------------------------------------------------------------------------

    def send(self, outgoing: Outgoing) -> None:
        """Send a payload; ordinary ones go one after the other, as those of a session do."""
        if outgoing.lane in _IN_ORDER:
            self.queue.append(outgoing)
            self.send_next()
        else:
            self.send_now(outgoing)

    def send_next(self) -> None:
        while self.queue and not set(self.travelling.values()) & set(_IN_ORDER):
            self.send_now(self.queue.popleft())

    def send_now(self, outgoing: Outgoing) -> None:
        ids = [message["id"] for message in outgoing.messages]
        if self.protocol.is_stale(outgoing):
            self.later(0, lambda: self.do(lambda: self.protocol.postpone(ids, self.now)))
            return
        messages: list[Any] = self.protocol.leaving(list(outgoing.messages), ids)
        if not messages:
            return
        key = " ".join(ids)
        self.travelling[key] = outgoing.lane
        control = [lane for lane in self.travelling.values() if lane in _CONTROL]
        assert len(control) <= 1, "two handshakes or connects are under way"
        self.later(outgoing.timeout, lambda: self.fail(key, TransportTimeoutError("late")))
        fate = self.dice.random() if self.bad else 1.0
        delay = self.dice.uniform(0.01, 0.5)
        if fate < 0.05:
            self.later(delay, lambda: self.fail(key, TransportError("nobody", http_status=503)))
        elif fate < 0.1:
            self.later(delay, lambda: self.fail(key, TransportConnectionClosed("cut")))
        elif fate < 0.9 or not self.bad:
            self.later(delay, lambda: self.arrive(key, messages, lost=fate < 0.2))
        # What is left has vanished: neither an answer nor an error.

    def arrive(self, key: str, messages: list[Any], *, lost: bool) -> None:
        """Have messages come to the server, and its replies set out."""
        replies = [self.server.answer(message) for message in messages]
        back = self.dice.uniform(0.01, 0.5)
        (last, *_) = messages
        held = last["channel"] == "/meta/connect" and last.get("advice", {}).get("timeout") != 0
        if held and replies[0]["successful"]:
            back += self.dice.uniform(0, HOLD)
        if lost:
            self.later(back, lambda: self.fail(key, TransportConnectionClosed("cut")))
        else:
            self.later(back, lambda: self.come(key, replies))

    def come(self, key: str, replies: list[Any]) -> None:
        if self.travelling.pop(key, None) is not None:
            ids = key.split()
            self.do(lambda: self.protocol.receive(replies, self.now, ids))
            self.do(lambda: self.protocol.finish(ids, self.now))
            self.send_next()

    def fail(self, key: str, error: Exception) -> None:
        if self.travelling.pop(key, None) is not None:
            self.do(lambda: self.protocol.fail(key.split(), error, self.now))
            self.send_next()

    # -- what happens at random ----------------------------------------------------------------

    def live(self) -> None:
        """Do something, and something else soon."""
        if not self.bad:
            return
        twice = [self.subscribe, self.publish]
        once = [self.unsubscribe, self.cancel, self.forget, self.deny, self.change_mood]
        self.dice.choice([*twice, *twice, *once])()
        self.later(self.dice.expovariate(2.0), self.live)

    def subscribe(self) -> None:
        channel = self.dice.choice(CHANNELS)
        self.wanted.add(channel)
        self.do(lambda: self.protocol.subscribe(channel))

    def unsubscribe(self) -> None:
        channel = self.dice.choice(CHANNELS)
        self.wanted.discard(channel)
        self.do(lambda: self.protocol.unsubscribe(channel))

    def publish(self) -> None:
        number = next(self._numbers)
        self.do(lambda: self.waiting.add(self.protocol.publish("/x", number, {})))

    def cancel(self) -> None:
        if self.waiting:
            request_id = self.dice.choice(sorted(self.waiting))
            self.waiting.discard(request_id)
            self.do(lambda: self.protocol.cancel(request_id))

    def forget(self) -> None:
        if self.dice.random() < 0.2:
            self.server.sessions.clear()

    def deny(self) -> None:
        self.server.denied ^= {self.dice.choice(CHANNELS)}

    def change_mood(self) -> None:
        self.server.busy = not self.server.busy and self.dice.random() < 0.5

    def rest(self) -> None:
        """Have a good network and a good server."""
        self.bad = self.server.busy = False
        self.server.denied.clear()
        self.run(seconds=REST)


_CONTROL = (Lane.HANDSHAKE, Lane.CONNECT)
_IN_ORDER = (Lane.RESUBSCRIBE, Lane.ORDINARY)


def check_a_life(seed: int, steps: int) -> int:
    """Live, rest, and end; gives how many steps that took."""
    world = World(seed)
    world.do(lambda: world.protocol.open(world.now))
    world.live()
    world.run(steps)
    world.rest()
    assert world.protocol.state is ClientState.CONNECTED
    client_id = world.protocol.client_id
    assert client_id is not None
    assert world.server.sessions[client_id] == world.wanted
    assert world.protocol.subscribed() == world.wanted
    assert not world.waiting
    assert max(world.server.published.values(), default=0) <= 1, "something was published twice"
    assert world.endings == 0
    world.do(world.protocol.disconnect)
    world.run(seconds=REST)
    assert world.endings == 1
    assert world.protocol.over
    assert world.protocol.requests() == []
    assert client_id not in world.server.sessions
    return world.steps


@pytest.mark.parametrize("seeds", [range(n, n + 10) for n in range(0, LIVES, 10)], ids=str)
def test_a_hundred_thousand_random_steps(seeds: range) -> None:
    steps = sum(check_a_life(seed, STEPS) for seed in seeds)
    assert steps >= len(seeds) * STEPS


@pytest.mark.parametrize("seed", [120, 317])
def test_lives_that_once_left_a_subscription_behind(seed: int) -> None:
    """An unsubscribe was lost, and the subscribe behind it refused."""
    check_a_life(seed, STEPS)
