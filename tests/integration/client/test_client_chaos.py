"""Random lives: callers that come, go and are cancelled, on a server with bad days.

Whatever happens, nobody waits for ever, nothing is left behind, no observer gets a message twice,
and in the end the client works.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, CometDError, ConnectionType
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("nothing_left")

CHANNELS = ["/a", "/b", "/c/d", "/c/*", "/service/x"]


class Life:
    """One random life."""

    def __init__(self, server: BayeuxServer, client: Client, seed: int) -> None:
        self.server = server
        self.client = client
        self.random = random.Random(seed)
        self.observers: list[Recorder] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self.happenings: list[asyncio.Future[Any]] = []
        self.number = 0
        user: list[Callable[[], object]] = [
            self.observe,
            self.observe,
            self.leave,
            self.publish,
            self.publish,
            self.cancel,
            lambda: self.begin(self.client.subscribe(self.any_channel())),
            lambda: self.begin(self.client.unsubscribe(self.any_channel())),
            lambda: self.begin(self.client.receive()),
            lambda: self.begin(self.client.open()),
            lambda: self.begin(self.client.call("/service/x", 1, timeout=0.05)),
        ]
        nature: list[Callable[[], object]] = [
            server.faults.drop_link,
            server.faults.forget,
            lambda: server.faults.refuse_subscribe(self.any_channel(), count=1),
            lambda: server.faults.lose_replies(count=1),
            lambda: server.faults.respond_with(503, count=2),
            lambda: server.faults.delay_replies(0.02, count=2),
            lambda: server.faults.refuse_connect("402::x", {"reconnect": "handshake"}),
            lambda: self.happen(server.faults.garbage("garbage")),
            lambda: self.happen(server.publish("/a", self.next())),
            lambda: self.happen(server.publish("/c/d", self.next())),
        ]
        self.deeds: list[Callable[[], object]] = [
            *user,
            *user,
            *nature,
            lambda: self.begin(self.client.close()),
        ]

    def any_channel(self) -> str:
        return self.random.choice(CHANNELS)

    def next(self) -> int:
        self.number += 1
        return self.number

    def begin(self, awaitable: Awaitable[Any]) -> None:
        self.tasks.append(asyncio.ensure_future(awaitable))

    def happen(self, awaitable: Awaitable[Any]) -> None:
        """Have the server do something, which may find its sockets closing."""
        self.happenings.append(asyncio.ensure_future(awaitable))

    def observe(self) -> None:
        self.observers.append(Recorder(self.client.channel(self.any_channel())))

    def leave(self) -> None:
        if self.observers:
            self.random.choice(self.observers).subscription.dispose()

    def publish(self) -> None:
        self.begin(self.client.publish("/a", self.next()))

    def cancel(self) -> None:
        if self.tasks:
            self.random.choice(self.tasks).cancel()

    async def run(self, deeds: int) -> None:
        for _ in range(deeds):
            self.random.choice(self.deeds)()
            for _ in range(self.random.choice([0, 0, 1, 2, 5, 20])):
                await asyncio.sleep(0)
            if self.random.random() < 0.1:
                await asyncio.sleep(self.random.random() * 0.03)  # chance is the test

    async def end(self) -> None:
        """Close, and see everybody come to an end."""
        self.server.faults.clear()
        async with asyncio.timeout(20):
            await self.client.close()
            outcomes = await asyncio.gather(*self.tasks, return_exceptions=True)
            await asyncio.gather(*self.happenings, return_exceptions=True)
            await self.client.close()  # an open() may have begun after the first close()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, CometDError | asyncio.CancelledError), repr(outcome)
        for observer in self.observers:
            assert not _repeats(observer), observer.items


def _repeats(observer: Recorder) -> bool:
    """Tell whether a number came twice."""
    numbers = [m["data"] for m in observer.items if isinstance(m["data"], int)]
    return len(set(numbers)) != len(numbers)


@BOTH
@pytest.mark.parametrize("seed", range(8))
async def test_a_random_life(kind: ConnectionType, seed: int) -> None:
    async with BayeuxServer(timeout=0.1) as server:
        client = client_of(server, kind, max_network_delay=0.3, connection_timeout=1.0)
        life = Life(server, client, seed)
        await life.run(150)
        await life.end()
        assert client.closed
        async with client:
            seen = Recorder(client.channel("/last"))
            await subscribed(server, "/last")
            await client.publish("/last", "works")
            await seen.count(1)
