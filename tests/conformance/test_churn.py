"""Long random lives: whatever happened on the way, in the end client and server agree."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import CometDError
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import ack
from rx_cometd.states import ClientState
from tests.conformance.observing import Seen, confirmed, data_of, eventually, numbers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rx_cometd import Client
    from rx_cometd.testing import FaultProxy
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.serving import Server


class Life:
    """One client's random life: it observes, disposes and publishes, while links are cut and
    its session is forgotten."""

    def __init__(
        self, client: Client, server: Server, proxy: FaultProxy, channel: str, seed: int
    ) -> None:
        self._client = client
        self._server = server
        self._proxy = proxy
        self._dice = random.Random(seed)
        self.channels = [f"{channel}/{number}" for number in range(6)]
        self.observers: dict[str, list[Seen[Any]]] = {name: [] for name in self.channels}
        self.publishing: list[asyncio.Task[Any]] = []

    @property
    def desired(self) -> frozenset[str]:
        return frozenset(name for name, observers in self.observers.items() if observers)

    async def step(self) -> None:
        """Do something, most often within the same turn of the loop as the step before."""
        kinds = ["observe", "dispose", "publish", "pause", "cut", "forget"]
        (kind,) = self._dice.choices(kinds, weights=[6, 5, 6, 4, 0.5, 0.3])
        name = self._dice.choice(self.channels)
        observers = self.observers[name]
        if kind == "observe":
            observers.append(Seen(self._client.channel(name)))
        elif kind == "dispose" and observers:
            observers.pop(self._dice.randrange(len(observers))).dispose()
        elif kind == "publish":
            publishing = self._client.publish(name, {"n": -1})
            self.publishing.append(asyncio.create_task(publishing))
        elif kind == "pause":
            await asyncio.sleep(self._dice.choice([0, 0, 0.001, 0.02]))
        elif kind == "cut":
            self._proxy.cut()
        elif kind == "forget" and self._client.client_id in await self._server.sessions():
            await self._server.control("forget", client_id=self._client.client_id)

    async def agreed(self) -> bool:
        """Whether the server knows of exactly what is wanted."""
        if self._client.state is not ClientState.CONNECTED:
            return False
        if self._client.subscriptions != self.desired:
            return False
        for name in self.channels:
            subscribed = self._client.client_id in await self._server.subscribers(name)
            if subscribed != (name in self.desired):
                return False
        return True


class WildLife(Life):
    """The same, with a network and a server that do their worst meanwhile."""

    async def step(self) -> None:
        fate = self._dice.random()
        if fate < 0.008:
            only_replies = self._dice.random() < 0.5
            (self._proxy.replies if only_replies else self._proxy).stall()
            delay = self._dice.choice([0.01, 0.1, 0.5])
            asyncio.get_running_loop().call_later(delay, self._proxy.resume)
        elif fate < 0.012:
            await self._proxy.refuse()
            await asyncio.sleep(self._dice.choice([0, 0.03, 0.2]))
            await self._proxy.restore()
        elif fate < 0.014:
            await self._server.restart()
        elif fate < 0.017:
            self._server.pause()
            await asyncio.sleep(self._dice.choice([0.01, 0.4]))
            self._server.unpause()
        else:
            await super().step()


@pytest.mark.parametrize("seed", range(2))
async def test_churn(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str, seed: int
) -> None:
    """Scenarios 58 and 63 (starred) at random: no observer is lost or doubled, no subscription
    forgotten on either side, and each publish has an outcome."""
    proxy = await start_proxy(server)
    async with make_client(proxy, max_network_delay=2.0, backoff=no_backoff) as client:
        life = Life(client, server, proxy, channel, seed)
        for _ in range(150):
            await life.step()
        await end_well(life, client)


@pytest.mark.parametrize("seed", [4])
async def test_wild_churn(
    own_server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str, seed: int
) -> None:
    """The same with links stalled and refused, and the server paused and killed."""
    proxy = await start_proxy(own_server)
    async with make_client(proxy, max_network_delay=0.3, backoff=no_backoff) as client:
        life = WildLife(client, own_server, proxy, channel, seed)
        for _ in range(300):
            await life.step()
        await proxy.restore()
        await end_well(life, client)


def no_backoff() -> Iterator[float]:
    return itertools.repeat(0.01)


async def end_well(life: Life, client: Client) -> None:
    """Check that in the end everything is as the observers want it."""
    outcomes = await asyncio.gather(*life.publishing, return_exceptions=True)
    assert all(isinstance(outcome, dict | CometDError) for outcome in outcomes)
    await eventually(life.agreed)
    for number, name in enumerate(life.channels):
        await client.publish(name, {"n": number})
    for number, name in enumerate(life.channels):
        for seen in life.observers[name]:
            await saw(seen, number)


async def saw(seen: Seen[Any], number: int) -> None:
    """Check that an observer gets a message once, and goes on."""
    await seen.until(lambda: number in numbers_of(seen.items))
    assert numbers_of(seen.items).count(number) == 1
    assert not seen.ended


@pytest.mark.needs("long_polling")
async def test_slow_consumer(server: Server, make_client: MakeClient, channel: str) -> None:
    """A consumer slower than the server, behind a small buffer: over long-polling the connect
    is held back meanwhile, the server keeps the messages, and none is lost."""
    await keep_up(server, make_client(server, max_pending_count=20), channel)


@pytest.mark.needs("ack")
async def test_slow_consumer_with_ack(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """The same with acknowledgements, which have a server keep messages on WebSockets, too."""
    client = make_client(server, max_pending_count=20, extensions=[ack()])
    await keep_up(server, client, channel)


async def keep_up(server: Server, client: Client, channel: str) -> None:
    count = 500
    async with client:
        arrived: list[int] = []
        messages = client.channel(channel).pipe(cometd_ops.to_async_iterable())
        consuming = asyncio.create_task(consume(messages, arrived, count))
        await confirmed(client, channel)
        for first in range(0, count, 20):
            await server.control("publish", channel=channel, count=20, first=first)
        await asyncio.wait_for(consuming, 60)
        assert arrived == list(range(count))
        await client.publish(channel, "control goes on")
        assert client.state is ClientState.CONNECTED


async def consume(messages: Any, arrived: list[int], count: int) -> None:
    async for message in messages:
        arrived.append(message["data"]["n"])
        if len(arrived) % 10 == 0:
            await asyncio.sleep(0.005)  # a slow consumer
        if len(arrived) == count:
            break


async def test_state_of_one_session_after_the_other(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 40 (starred), many times in a row: nothing adds up from session to session."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        for number in range(10):
            await confirmed(client, channel)
            await client.publish(channel, number)
            await seen.count(number + 1)
            await renewed(server, client)
        assert data_of(seen.items) == list(range(10))
        assert client.statistics().handshakes == 11


async def renewed(server: Server, client: Client) -> None:
    """Have the server forget the client's session, and wait for the next one."""
    session = client.client_id
    await server.control("forget", client_id=session)
    await eventually(
        lambda: client.client_id not in (None, session) and client.state is ClientState.CONNECTED
    )
