"""The contract of channels, against a model: random lives whose every delivery is predicted.

The model is a dozen lines of dictionaries: who observes what, in which order. After each step the
client has to have told exactly the observers that the model names, in its order, and to have
sent exactly its requests. `tests/mutants.py` plants faults in the client and sees them found.

Clauses of the contract (`rx_cometd.Channel`): cold (1), shared on the wire (2), in order, never
two at once, on the loop's thread (3), over sessions (4), errors and completion (5), isolation of
observers (6), disposing at any time (9). Time (7) and foreign threads (8): `test_on_loop`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import abc

from rx_cometd import ConnectionType, ServerError
from rx_cometd._flow.edge import current_loop
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import client_of, names

if TYPE_CHECKING:
    from rx_cometd import Client

pytestmark = pytest.mark.usefixtures("nothing_left")

#: A message on the first is matched by the others too, in the order of the observers' keys.
CHANNELS = ["/a/b", "/a/*", "/a/**", "/c"]
KEYS_OF = {"/a/b": ["/a/b", "/a/*", "/a/**"], "/c": ["/c"]}
HABITS = ["listen", "listen", "raise", "leave", "chase", "spawn"]
LIVES, STEPS = 200, 14


class Observer(abc.ObserverBase[Any]):
    """An observer with a habit, which it has at its second message."""

    def __init__(self, life: Life, name: int, key: str, habit: str) -> None:
        self.life, self.name, self.key, self.habit = life, name, key, habit
        self.heard = 0

    def on_next(self, value: Any) -> None:
        self.life.hear(self.name, value["data"])
        self.heard += 1
        if self.heard == 2:
            self.life.act(self)
        self.life.depth -= 1

    def on_error(self, error: Exception) -> None:
        self.life.note(self.name, type(error))

    def on_completed(self) -> None:
        self.life.note(self.name, "|")


class Life:
    """One client, what its observers heard, and what the model says that they hear."""

    def __init__(self, server: BayeuxServer, client: Client, seed: int) -> None:
        self.server, self.client, self.random = server, client, random.Random(seed)
        self.thread, self.depth, self.number, self.next_name = threading.get_ident(), 0, 0, 0
        self.log: list[Any] = []
        self.told = asyncio.Event()
        self.subscriptions: dict[int, abc.DisposableBase] = {}
        # The model: observers by key in order of arrival, how many messages each has heard.
        self.expected: list[Any] = []
        self.observing: dict[str, dict[int, str]] = {key: {} for key in CHANNELS}
        self.counts: dict[int, int] = {}
        self.requests: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        self.ends: dict[str, int] = dict.fromkeys(CHANNELS, 0)

    # -- the client's side ---------------------------------------------------------------------

    def note(self, name: int, what: Any) -> None:
        self.log.append((name, what))
        self.told.set()

    def hear(self, name: int, data: Any) -> None:
        self.depth += 1
        assert self.depth == 1
        assert threading.get_ident() == self.thread
        assert current_loop() is not None
        self.note(name, data)

    def act(self, observer: Observer) -> None:
        if observer.habit == "raise":
            self.depth -= 1
            raise ZeroDivisionError
        if observer.habit == "leave":
            self.subscriptions[observer.name].dispose()
        elif observer.habit == "chase":
            for name in list(self.subscriptions):
                if name == observer.name + 1:
                    self.subscriptions[name].dispose()
        elif observer.habit == "spawn":
            self.start(1000 + observer.name, observer.key, "listen")

    def start(self, name: int, key: str, habit: str) -> None:
        observer = Observer(self, name, key, habit)
        self.subscriptions[name] = self.client.channel(key).subscribe(observer)

    # -- the model's side ----------------------------------------------------------------------

    def predict(self, channel: str, data: int) -> None:
        found = [(k, n, h) for k in KEYS_OF[channel] for n, h in self.observing[k].items()]
        for key, name, habit in found:
            if name not in self.observing[key]:
                continue
            self.expected.append((name, data))
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.counts[name] == 2:
                self.predict_habit(key, name, habit)

    def predict_habit(self, key: str, name: int, habit: str) -> None:
        if habit == "raise":
            self.expected.append((name, ZeroDivisionError))
        if habit in {"raise", "leave"}:
            del self.observing[key][name]
        elif habit == "chase":
            for observers in self.observing.values():
                observers.pop(name + 1, None)
        elif habit == "spawn":
            self.observing[key][1000 + name] = "listen"

    def wanted(self) -> set[str]:
        return {key for key, observers in self.observing.items() if observers}

    # -- steps ---------------------------------------------------------------------------------

    def subscribe(self) -> None:
        key, habit = self.random.choice(CHANNELS), self.random.choice(HABITS)
        self.next_name += 1
        self.observing[key][self.next_name] = habit
        self.start(self.next_name, key, habit)

    def dispose(self) -> None:
        alive = [name for observers in self.observing.values() for name in observers]
        if alive:
            name = self.random.choice(alive)
            self.subscriptions[name].dispose()
            self.subscriptions[name].dispose()
            for observers in self.observing.values():
                observers.pop(name, None)

    def replace(self) -> None:
        """Dispose and subscribe in one turn: nothing is sent if the channel stays in use."""
        self.dispose()
        self.subscribe()

    def make_only(self) -> None:
        """Make an observable, and do not subscribe to it."""
        self.client.channel(self.random.choice(CHANNELS))

    async def publish(self) -> None:
        self.number += 1
        channel = self.random.choice(list(KEYS_OF))
        self.predict(channel, self.number)
        await self.server.publish(channel, self.number)

    async def burst(self) -> None:
        """Have several messages come in one payload."""
        with self.client.batch():
            sent: list[asyncio.Task[Any]] = []
            for _ in range(3):
                self.number += 1
                self.predict("/c", self.number)
                sent.append(asyncio.create_task(self.client.publish("/c", self.number)))
            await asyncio.sleep(0)
        await asyncio.gather(*sent)

    async def settled(self) -> None:
        """Wait for the replies to all requests so far: this one's is behind them.

        The server has no subscription any more before the client knows.
        """
        await self.client.publish("/behind", 0)

    async def lose_session(self) -> None:
        client_id = self.client.client_id
        await self.settled()  # else what has no reply yet would be lost, and sent again
        for key in self.wanted():
            self.requests[key] += 1
        self.server.faults.forget()
        self.server.faults.drop_link()
        await self.server.until(lambda: self.client.client_id not in {client_id, None})

    async def refuse(self) -> None:
        """Have a channel refused that nobody observes: its observers alone are told."""
        free = [key for key in CHANNELS if not self.observing[key]]
        if free:
            key = self.random.choice(free)
            # Else the server might have it from before, for all the client knows, and would be
            # asked once more to unsubscribe.
            await self.settled()
            self.server.faults.refuse_subscribe(key, "403::no")
            self.next_name += 1
            self.requests[key] += 1
            self.expected.append((self.next_name, ServerError))
            self.start(self.next_name, key, "listen")
            await self.until_told()
            self.server.faults.clear()

    async def until_told(self) -> None:
        async with asyncio.timeout(30):
            while len(self.log) < len(self.expected):
                self.told.clear()
                await self.told.wait()

    async def step(self) -> None:
        before = self.wanted()
        deed = self.random.choice(
            [self.subscribe, self.subscribe, self.dispose, self.replace, self.make_only]
            + [self.publish] * 4
            + [self.burst, self.lose_session, self.refuse]
        )
        outcome = deed()
        if outcome is not None:
            await outcome
        await self.until_told()
        after = self.wanted()
        for key in after - before:
            self.requests[key] += 1
        for key in before - after:
            self.ends[key] += 1
        await self.server.until(lambda: self.subscribed() == after)
        self.check()

    def subscribed(self) -> set[str]:
        sessions = [
            s for s in self.server.sessions.values() if s.client_id == self.client.client_id
        ]
        return {key for session in sessions for key in session.subscriptions}

    def check(self) -> None:
        assert self.log == self.expected
        for key in CHANNELS:
            assert names(self.server).count(key) == self.requests[key], key
            assert names(self.server, "/meta/unsubscribe").count(key) == self.ends[key], key

    async def end(self) -> None:
        alive = {name for observers in self.observing.values() for name in observers}
        told = len(self.expected)
        await self.client.close()
        assert self.log[:told] == self.expected
        assert sorted(self.log[told:]) == sorted((name, "|") for name in alive)


@pytest.mark.parametrize("seeds", [range(n, n + 20) for n in range(0, LIVES, 20)], ids=str)
async def test_every_delivery_is_predicted(seeds: range) -> None:
    for seed in seeds:
        kind = list(ConnectionType)[seed % 2]
        async with BayeuxServer() as server, client_of(server, kind) as client:
            life = Life(server, client, seed)
            for _ in range(STEPS):
                await life.step()
            await life.end()
