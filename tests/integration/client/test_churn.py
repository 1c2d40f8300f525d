"""Many tasks that come and go, cancelled at random while links are cut: what is left is wanted."""

from __future__ import annotations

import asyncio
import os
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from rx_cometd import CometDError
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer, ServiceRequest
from tests.integration.client_driver import BOTH, Recorder, client_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rx_cometd import Client, ConnectionType

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(900)]

TASKS, SECONDS = (1000, 20.0) if os.environ.get("FULL_SIZE") else (150, 1.5)
CHANNELS = [f"/churn/{number}" for number in range(12)]


class Churn:
    """Random work with a client, by a seed.

    Attributes:
        observed: How many observers of each channel are left to live on.
    """

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._dice = random.Random(seed)
        self.observed: dict[str, int] = {}
        self.left: list[Recorder] = []

    async def task(self) -> None:
        """Do some things, each cancelled after a random time, if it takes longer."""
        for _ in range(self._dice.randint(1, 6)):
            name = self._dice.choice(CHANNELS)
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
                await self._cancelled(self._client.publish(name, 1))
            elif kind == "call":
                await self._cancelled(self._client.call("/service/echo", 1, timeout=1))
            else:
                await self._cancelled(self._client.receive())

    async def _observe(self, name: str) -> None:
        recorder = Recorder(self._client.channel(name))
        try:
            await asyncio.sleep(self._dice.random() * 0.03)
        finally:
            if self._dice.random() < 0.02:
                self.left.append(recorder)
                self.observed[name] = self.observed.get(name, 0) + 1
            else:
                recorder.subscription.dispose()

    async def _cancelled(self, work: Awaitable[object]) -> None:
        with suppress(CometDError, TimeoutError):
            async with asyncio.timeout(self._dice.choice([0.0, 0.001, 0.01, 0.05, 1.0])):
                await work


async def _cut(server: BayeuxServer, seed: int) -> None:
    dice = random.Random(seed)
    while True:
        await asyncio.sleep(dice.random() * 0.2)  # the time between two cuts
        server.faults.drop_link()


async def _at_rest(client: Client, server: BayeuxServer, wanted: set[str]) -> bool:
    there = {name for name in CHANNELS if server.subscribers(name)}
    return set(client.subscriptions) == wanted == there


@BOTH
@pytest.mark.parametrize("seed", range(3))
async def test_what_is_left_of_churn_is_wanted(kind: ConnectionType, seed: int) -> None:
    """The measurement of issue 9; ``FULL_SIZE=1`` makes it one of 1,000 tasks and 20 s."""
    async with BayeuxServer(timeout=2) as server:

        @server.service("/service/echo")
        def echo(request: ServiceRequest) -> object:
            return request.data

        client = client_of(server, kind, extensions=[ack()], max_pending_count=0)
        async with client:
            churn = Churn(client, seed)
            cutting = asyncio.create_task(_cut(server, seed))
            dice = random.Random(seed)
            tasks: list[asyncio.Task[None]] = []
            for _ in range(TASKS):
                tasks.append(asyncio.create_task(churn.task()))
                await asyncio.sleep(SECONDS / TASKS)
                if dice.random() < 0.3:
                    dice.choice(tasks).cancel()
            cutting.cancel()
            began = time.monotonic()
            await asyncio.wait(tasks, timeout=30)
            assert all(task.done() for task in tasks)
            wanted = set(churn.observed)
            while not await _at_rest(client, server, wanted):
                await asyncio.sleep(0.02)  # polled: client and server are both waited for
                assert time.monotonic() - began < 10, (
                    client.subscriptions ^ wanted,
                    {name for name in CHANNELS if server.subscribers(name)} ^ wanted,
                )
            await asyncio.gather(cutting, *tasks, return_exceptions=True)
