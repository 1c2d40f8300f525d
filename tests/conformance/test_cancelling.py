"""Many tasks that come and go, cancelled at random while links are cut: what is left is wanted.

``FULL_SIZE=1`` makes it 1,000 tasks in 20 seconds; the figures are in `docs/proofs.md`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import CometDError
from rx_cometd.extensions import ack
from tests.conformance.observing import Seen, eventually, numbers_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rx_cometd import Client
    from rx_cometd.testing import FaultProxy
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
TASKS, SECONDS = (1000, 20.0) if FULL_SIZE else (150, 1.5)
SEEDS = range(3 if FULL_SIZE else 1)
#: Seconds after the last cut in which everything has to be at rest.
PATIENCE = 20.0


class Churn:
    """Random work with a client, by a seed.

    Attributes:
        left: The observers that are left to live on, by channel.
        counts: How many deeds of each kind were begun, and how many of them were cancelled.
    """

    def __init__(self, client: Client, channel: str, seed: int) -> None:
        self._client = client
        self._dice = random.Random(seed)
        self.channels = [f"{channel}/{number}" for number in range(12)]
        self.left: dict[str, list[Seen[Any]]] = {}
        self.counts = {"begun": 0, "cancelled": 0}

    async def task(self) -> None:
        """Do some things, each cancelled after a random time, if it takes longer."""
        for _ in range(self._dice.randint(1, 6)):
            name = self._dice.choice(self.channels)
            kind = self._dice.choice(["observe", "subscribe", "publish", "call", "receive"])
            if kind == "observe":
                await self._observe(name)
            elif kind == "subscribe":
                try:
                    await self._cancelled(self._client.subscribe(name))
                    await asyncio.sleep(self._dice.random() * 0.02)
                finally:
                    await self._cancelled(self._client.unsubscribe(name))
            elif kind == "publish":
                await self._cancelled(self._client.publish(name, {"n": -1}))
            elif kind == "call":
                await self._cancelled(self._client.call("/service/echo", 1, timeout=1))
            else:
                await self._cancelled(self._client.receive())

    async def _observe(self, name: str) -> None:
        seen: Seen[Any] = Seen(self._client.channel(name))
        try:
            await asyncio.sleep(self._dice.random() * 0.03)
        finally:
            if self._dice.random() < 0.02:
                self.left.setdefault(name, []).append(seen)
            else:
                seen.dispose()

    async def _cancelled(self, work: Awaitable[object]) -> None:
        self.counts["begun"] += 1
        try:
            with suppress(CometDError):
                async with asyncio.timeout(self._dice.choice([0.0, 0.001, 0.01, 0.05, 1.0])):
                    await work
        except (TimeoutError, asyncio.CancelledError) as reason:
            self.counts["cancelled"] += 1
            if not isinstance(reason, TimeoutError):
                raise


async def cutting(proxy: FaultProxy, seed: int) -> None:
    """Cut the link at random, ten times a second, until cancelled."""
    dice = random.Random(seed)
    while True:
        await asyncio.sleep(dice.random() * 0.2)  # the time between two cuts
        proxy.cut(reset=dice.random() < 0.5)


async def at_rest(client: Client, server: Server, churn: Churn) -> bool:
    """Whether client and server have what is wanted, and nothing else."""
    if client.subscriptions != frozenset(churn.left):
        return False
    for name in churn.channels:
        wanted = [client.client_id] if name in churn.left else []
        if await server.subscribers(name) != wanted:
            return False
    return True


@pytest.mark.timeout(240)
@pytest.mark.needs("ack")
@pytest.mark.parametrize("seed", SEEDS)
async def test_tasks_cancelled_at_random(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
    *,
    seed: int,
) -> None:
    """Scenarios 58 and 63, with tasks that observe, subscribe, publish, call and receive, and are
    cancelled at random: at rest client and server have what is wanted, and it works."""
    proxy = await start_proxy(server)
    async with make_client(proxy, extensions=[ack()], max_pending_count=0) as client:
        churn = Churn(client, channel, seed)
        cuts = asyncio.create_task(cutting(proxy, seed))
        tasks = await _come_and_go(churn, random.Random(seed))
        cuts.cancel()
        began = time.monotonic()
        _, unfinished = await asyncio.wait(tasks, timeout=PATIENCE)
        assert not unfinished
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)
        await eventually(lambda: at_rest(client, server, churn), PATIENCE)
        print(
            f"\n{target}, seed {seed}: {TASKS} tasks, {churn.counts['begun']} deeds, "
            f"{churn.counts['cancelled']} cancelled, {client.statistics().reconnects} reconnects; "
            f"{len(churn.left)} channels wanted, at rest {time.monotonic() - began:.1f} s after "
            "the last cut"
        )
        for number, name in enumerate(churn.left):
            await client.publish(name, {"n": number})
        for number, name in enumerate(churn.left):
            for seen in churn.left[name]:
                await seen.until(partial(_saw, seen, number))
                assert numbers_of(seen.items).count(number) == 1


def _saw(seen: Seen[Any], number: int) -> bool:
    return number in numbers_of(seen.items)


async def _come_and_go(churn: Churn, dice: random.Random) -> list[asyncio.Task[None]]:
    """Begin one task after the other, and cancel three in ten of them at some time."""
    tasks: list[asyncio.Task[None]] = []
    for _ in range(TASKS):
        tasks.append(asyncio.create_task(churn.task()))
        await asyncio.sleep(SECONDS / TASKS)
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
    return tasks
