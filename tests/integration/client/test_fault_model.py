"""A client behind a network with all its faults, against a model of what it has to come back to.

Random lives: what the user does is what the model knows, what network and server do the seed says.
At rest there is one session, on the server it has exactly the channels that are observed, each
request has had its end, nothing was published twice, and with acknowledgements nothing was lost.
`test_contract_model` predicts deliveries without faults; the protocol alone, and that it has one
connect outstanding, is `test_protocol_simulation`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, ClientState, CometDError, ConnectionType
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer, FaultProxy
from tests.integration.client_driver import BOTH, Recorder, client_of, requests, subscribed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("nothing_left")

CHANNELS = ["/a", "/b", "/c/*"]
FEED = "/feed"
DEEDS = 60


class Life:
    """One client, its observers, and what is to be true of them."""

    def __init__(
        self, server: BayeuxServer, proxy: FaultProxy, client: Client, seed: int, *, forgets: bool
    ) -> None:
        self.server, self.proxy, self.client = server, proxy, client
        self.dice = random.Random(seed)
        self.observers: list[tuple[str, Recorder]] = []
        self.publishes: list[asyncio.Task[Any]] = []
        self.fed = 0
        user: list[Callable[[], Awaitable[None]]] = [
            *[self.observe, self.dispose, self.publish, self.feed] * 2,
            self.cancel,
        ]
        network = [self.cut, self.end, self.stall, self.truncate, self.unavailable, self.refuse]
        moods = [self.forget, self.restart, self.deny] if forgets else []
        self.deeds = [*user, *user, *network, *moods]

    # -- the user ------------------------------------------------------------------------------

    async def observe(self) -> None:
        channel = self.dice.choice(CHANNELS)
        self.observers.append((channel, Recorder(self.client.channel(channel))))

    async def dispose(self) -> None:
        if self.observers:
            _, observer = self.observers.pop(self.dice.randrange(len(self.observers)))
            observer.subscription.dispose()

    async def publish(self) -> None:
        number = len(self.publishes)
        self.publishes.append(asyncio.ensure_future(self.client.publish("/x", number)))

    async def cancel(self) -> None:
        if self.publishes:
            self.dice.choice(self.publishes).cancel()

    def wanted(self) -> frozenset[str]:
        return frozenset({FEED} | {name for name, seen in self.observers if not seen.ended})

    # -- the server and the network ------------------------------------------------------------

    async def feed(self) -> None:
        for _ in range(5):
            await self.server.publish(FEED, self.fed)
            self.fed += 1

    async def cut(self) -> None:
        self.proxy.cut()

    async def end(self) -> None:
        self.proxy.cut(reset=False)

    async def stall(self) -> None:
        way = self.dice.choice([self.proxy.requests, self.proxy.replies])
        way.stall()
        await asyncio.sleep(self.dice.uniform(0, 0.4))  # now and then longer than a reply may take
        way.resume()

    async def truncate(self) -> None:
        self.proxy.replies.truncate(self.dice.randrange(300))

    async def unavailable(self) -> None:
        self.proxy.respond(503, count=2)
        self.proxy.cut()

    async def refuse(self) -> None:
        await self.proxy.refuse()
        await asyncio.sleep(self.dice.uniform(0, 0.1))  # the network is gone for a while
        await self.proxy.restore()

    async def forget(self) -> None:
        self.server.faults.forget()

    async def restart(self) -> None:
        await self.server.restart()

    async def deny(self) -> None:
        self.server.faults.refuse_subscribe(self.dice.choice(CHANNELS), "403::no", count=1)

    # -- the life ------------------------------------------------------------------------------

    async def run(self) -> None:
        for _ in range(DEEDS):
            await self.dice.choice(self.deeds)()
            await asyncio.sleep(self.dice.choice([0, 0, 0.01, 0.03]))  # anything may come between

    async def rest(self) -> None:
        self.proxy.clear()
        self.server.faults.clear()
        await self.server.until(self._rests, 15.0)
        assert self.client.state is ClientState.CONNECTED
        assert self.client.subscriptions == self.wanted()
        for outcome in await asyncio.gather(*self.publishes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, CometDError | asyncio.CancelledError), repr(outcome)
        published = Counter(message["data"] for message in requests(self.server, "/x"))
        assert max(published.values(), default=0) <= 1, "something was published twice"

    def _rests(self) -> bool:
        sessions = self.server.sessions
        session = sessions.get(self.client.client_id or "")
        return (
            self.client.state is ClientState.CONNECTED
            and len(sessions) == 1
            and session is not None
            and frozenset(session.subscriptions) == self.wanted()
            and self.client.subscriptions == self.wanted()
        )


async def live(kind: ConnectionType, seed: int, *, forgets: bool) -> None:
    async with (
        BayeuxServer(timeout=0.2, max_interval=3.0) as server,
        FaultProxy(server.url, seed=seed) as proxy,
        client_of(
            proxy.url,
            kind,
            extensions=[ack(deduplicate=True)],
            connection_timeout=None,
            max_network_delay=0.3,
        ) as client,
    ):
        feed = Recorder(client.channel(FEED))
        await subscribed(server, FEED)
        life = Life(server, proxy, client, seed, forgets=forgets)
        await life.run()
        await life.rest()
        await life.feed()
        await feed.until(lambda: feed.data[-1:] == [life.fed - 1])
        assert feed.data == sorted(set(feed.data)), "out of order, or repeated"
        if not forgets:
            assert feed.data == list(range(life.fed))
        for _, observer in life.observers:
            observer.subscription.dispose()


@BOTH
@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_while_the_server_keeps_the_session(
    kind: ConnectionType, seed: int
) -> None:
    await live(kind, seed, forgets=False)


@BOTH
@pytest.mark.parametrize("seed", range(4))
async def test_all_is_as_the_model_says_in_the_end(kind: ConnectionType, seed: int) -> None:
    await live(kind, seed, forgets=True)
