"""A client behind a network with all its faults, against a model of what it has to come back to.

Random lives: what the user does is what the model knows, what network and server do the seed says.
At rest there is one session, on the server it has exactly the channels that are observed, each
request has had its end, nothing was published twice, and with acknowledgements nothing was lost.
The client is closed and drained in the middle of its life, and opened again: with replay markers
nothing is lost even so, and what was drained was processed, all of it, and its marker says so.
`test_contract_model` predicts deliveries without faults; the protocol alone, and that it has one
connect outstanding, is `test_protocol_simulation`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, ClientState, CometDError, ConnectionType, Event
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, ReplayOption, ack, replay
from rx_cometd.testing import BayeuxServer, FaultProxy, ReplayLog
from tests.integration.client_driver import BOTH, Recorder, client_of, requests, subscribed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.usefixtures("nothing_left")

CHANNELS = ["/a", "/b", "/c/*"]
#: Events on the one are acknowledged; those on the other have replay markers as well.
FEED, DURABLE = "/feed", "/durable"
DEEDS = 60


class Feed:
    """What consumes both feeds for as long as its client is open, and works on each durable event.

    Attributes:
        plain: What came of the one.
        arrived: What came of the other.
        worked: What came of the work on it.
        done: What was worked on, in the order in which the work was done.
    """

    def __init__(self, client: Client, dice: random.Random) -> None:
        self._dice = dice
        self.done: list[int] = []
        self.plain = Recorder(client.channel(FEED))
        channel = client.channel(DURABLE)
        self.worked = Recorder(channel.pipe(cometd_ops.map_async(self._work)))
        self.arrived = Recorder(channel)

    async def _work(self, event: Event) -> int:
        await asyncio.sleep(self._dice.choice([0, 0, 0.002, 0.01]))
        self.done.append(event["data"]["payload"])
        return self.done[-1]

    @property
    def numbers(self) -> list[int]:
        return [data["payload"] for data in self.arrived.data]

    @property
    def marker(self) -> int:
        """The marker that there has to be when all that arrived is processed."""
        return int(self.arrived.data[-1]["event"]["replayId"])

    def facts(self) -> tuple[int, ...]:
        return (
            len(self.plain.items),
            len(self.arrived.items),
            len(self.worked.items),
            len(self.done),
        )

    def check_plain(self, *, kept: bool) -> list[int]:
        """Check the order of the acknowledged events, and that none is missing; gives them."""
        numbers = [data["payload"] for data in self.plain.data]
        assert numbers == sorted(set(numbers)), "out of order, or repeated"
        if kept and numbers:
            assert numbers == list(range(numbers[0], numbers[-1] + 1)), "lost"
        return numbers


class Life:
    """One client, its observers, and what is to be true of them."""

    def __init__(
        self,
        server: BayeuxServer,
        proxy: FaultProxy,
        client: Client,
        store: MemoryStore,
        *,
        seed: int,
        forgets: bool,
    ) -> None:
        self.server, self.proxy, self.client, self.store = server, proxy, client, store
        self.dice = random.Random(seed)
        self.feeds = [Feed(client, self.dice)]
        self.endings: list[tuple[Feed, tuple[int, ...]]] = []
        self.observers: list[tuple[str, Recorder]] = []
        self.publishes: list[asyncio.Task[Any]] = []
        self.fed = 0
        user: list[Callable[[], Awaitable[None]]] = [
            *[self.observe, self.dispose, self.publish, self.feed] * 2,
            self.cancel,
        ]
        network = [self.cut, self.end, self.stall, self.truncate, self.unavailable, self.refuse]
        moods = [self.forget, self.restart, self.deny] if forgets else []
        self.deeds = [*user, *user, *network, *moods, self.close, self.drain]

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
        self.publishes.append(asyncio.ensure_future(self.client.publish("/x", {"n": number})))

    async def cancel(self) -> None:
        if self.publishes:
            self.dice.choice(self.publishes).cancel()

    def wanted(self) -> frozenset[str]:
        return frozenset(
            {FEED, DURABLE} | {name for name, seen in self.observers if not seen.ended}
        )

    async def close(self) -> None:
        """Close with something pending, and begin anew."""
        await self.feed()
        await self.client.close()
        await self.ended()

    async def drain(self) -> None:
        """Drain with something pending, on a network that may fail meanwhile, and begin anew."""
        await self.feed()
        draining = asyncio.ensure_future(self.client.drain(30))
        await asyncio.sleep(self.dice.choice([0, 0.005]))
        await self.dice.choice([self.end, self.cut, self.feed])()
        await draining
        feed = self.feeds[-1]
        assert feed.done == feed.worked.items == feed.numbers, "drained, but not processed"
        if feed.arrived.items:
            assert self.store.load(DURABLE) == feed.marker, "marked is what was processed, no more"
        await self.ended()

    async def ended(self) -> None:
        """Check that everything has come to its end, and open the client again."""
        feed = self.feeds[-1]
        seen = [
            feed.worked,
            feed.arrived,
            feed.plain,
            *(observer for _, observer in self.observers),
        ]
        assert self.client.state is ClientState.DISCONNECTED
        assert self.client.subscriptions == frozenset()
        await feed.worked.until(lambda: feed.worked.ended, 30)  # what is buffered is worked on yet
        assert all(observer.ended for observer in seen)
        assert feed.worked.completed
        assert feed.arrived.completed
        self.endings.append((feed, feed.facts()))
        async with asyncio.timeout(30):
            await asyncio.gather(*self.publishes, return_exceptions=True)
        await self.client.open()
        self.feeds.append(Feed(self.client, self.dice))

    # -- the server and the network ------------------------------------------------------------

    async def feed(self) -> None:
        for _ in range(5):
            for channel in (FEED, DURABLE):
                await self.server.publish(channel, {"payload": self.fed})
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
        await self.server.until(self._rests, 30.0)
        assert self.client.state is ClientState.CONNECTED
        assert self.client.subscriptions == self.wanted()
        for outcome in await asyncio.gather(*self.publishes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, CometDError | asyncio.CancelledError), repr(outcome)
        published = Counter(message["data"]["n"] for message in requests(self.server, "/x"))
        assert max(published.values(), default=0) <= 1, "something was published twice"
        assert all(feed.facts() == then for feed, then in self.endings), "something came after it"

    def check_feeds(self, *, kept: bool) -> None:
        """Check what came over all the times that the client was open."""
        numbers = [feed.check_plain(kept=kept) for feed in self.feeds]
        assert numbers[-1][-1] == self.fed - 1
        done, reached = [number for feed in self.feeds for number in feed.done], -1
        for number in done:
            assert number <= reached + 1, "an event was left out"
            reached = max(reached, number)
        assert reached == self.fed - 1

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
    store = MemoryStore()
    async with (
        BayeuxServer(timeout=0.2, max_interval=3.0, replay=ReplayLog(gaps=(1,))) as server,
        FaultProxy(server.url, seed=seed) as proxy,
        client_of(
            proxy.url,
            kind,
            extensions=[
                ack(deduplicate=True),
                replay(store, initial=ReplayOption.ALL_EVENTS, channels=[DURABLE]),
            ],
            connection_timeout=None,
            max_network_delay=0.3,
            max_pending_count=0,
        ) as client,
    ):
        life = Life(server, proxy, client, store, seed=seed, forgets=forgets)
        await subscribed(server, FEED)
        await life.run()
        await life.rest()
        await life.feed()
        await life.feeds[-1].worked.until(lambda: life.feeds[-1].done[-1:] == [life.fed - 1])
        await life.feeds[-1].plain.until(
            lambda: life.feeds[-1].plain.data[-1]["payload"] == life.fed - 1
        )
        life.check_feeds(kept=not forgets)
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
