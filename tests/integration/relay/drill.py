"""Failures on purpose: relays that are killed, brokers that are restarted, and what came of it."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rx_cometd.testing import BayeuxServer, ReplayLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.relay.brokers import Broker

ROOT = Path(__file__).parents[3]
CHANNELS = ("/event/Order__e", "/event/Invoice__e")


class RelayProcess:
    """A relay that can be killed and started again."""

    def __init__(self, url: str, broker: Broker, log: Path, **options: Any) -> None:
        self._options = {"name": "drill", "channels": CHANNELS, **options}
        self._options |= {"url": url, "to": broker.url}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.relay.child"),
                json.dumps(self._options),
                cwd=ROOT,
                stderr=log,
            )

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end; gives its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(ProcessLookupError):
            process.send_signal(number)
        return await process.wait()


class Outcome(NamedTuple):
    """What a drill led to.

    Attributes:
        events: How many were published.
        lost: How many of them the broker does not have.
        repeated: How many it has more than once.
        disordered: How many have a later one of their channel before them.
    """

    events: int
    lost: int
    repeated: int
    disordered: int


def judge(published: int, stored: Iterable[tuple[str, int]]) -> Outcome:
    """Compare what the broker has with the numbers that were published, round robin."""
    expected = {(CHANNELS[n % len(CHANNELS)], n) for n in range(published)}
    seen = Counter(stored)
    assert set(seen) <= expected, "nobody published that"
    repeated = sum(count - 1 for count in seen.values())
    highest: dict[str, int] = {}
    disordered = 0
    for channel, number in seen:  # in the order in which each came first
        disordered += number < highest.get(channel, -1)
        highest[channel] = max(number, highest.get(channel, -1))
    return Outcome(published, len(expected) - len(seen), repeated, disordered)


async def stored_by(broker: Broker) -> list[tuple[str, int]]:
    """Read the channels and numbers that a broker has, in its order."""
    found: list[tuple[str, int]] = []
    for channel in CHANNELS:
        records = await broker.read(f"cometd.{channel[1:].replace('/', '.')}")
        found += [(r.headers["cometd-channel"], json.loads(r.value)["n"]) for r in records]
    return found


async def publish(server: BayeuxServer, numbers: Iterable[int], rate: float) -> None:
    """Publish numbered events at a rate (a second)."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for done, number in enumerate(numbers):
        data = {"n": number, "pad": "x" * 100}
        await server.publish(CHANNELS[number % len(CHANNELS)], data)
        if done % 20 == 0:
            await asyncio.sleep(max(0.0, began + done / rate - loop.time()))


async def everything_stored(broker: Broker, count: int, *, timeout: float) -> Outcome:
    """Wait until the broker has as many events as were published, or for so many seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        outcome = judge(count, await stored_by(broker))
        if outcome.lost == 0 or asyncio.get_running_loop().time() > deadline:
            return outcome
        await asyncio.sleep(0.5)


class Plan(NamedTuple):
    """What a drill does: how many events, over how long, and how often it fails what."""

    events: int
    kills: int
    restarts: int
    seconds: float
    seed: int

    def failures(self) -> list[tuple[float, str]]:
        """Draw the moments of the failures."""
        chance = random.Random(self.seed)
        kinds = ["kill"] * self.kills + ["restart"] * self.restarts
        return sorted((chance.uniform(0.5, self.seconds), kind) for kind in kinds)


async def drill(broker: Broker, log: Path, plan: Plan, **options: Any) -> Outcome:
    """Publish events over some time, meanwhile kill the relay and restart the broker at random."""
    events = plan.events
    server = BayeuxServer(
        salesforce=True, timeout=5.0, replay=ReplayLog(max_events=events), max_received=0
    )
    async with server:
        relay = RelayProcess(server.url, broker, log, **options)
        await relay.start()
        publishing = asyncio.create_task(publish(server, range(events), events / plan.seconds))
        try:
            began = asyncio.get_running_loop().time()
            for moment, what in plan.failures():
                await asyncio.sleep(began + moment - asyncio.get_running_loop().time())
                if what == "kill":
                    await relay.kill()
                    await relay.start()
                else:
                    await asyncio.to_thread(broker.kill)
                    await asyncio.to_thread(broker.start)
            await publishing
            outcome = await everything_stored(broker, events, timeout=60)
            assert await relay.stop() == 0, f"see {log}"
        finally:
            publishing.cancel()
            await relay.kill()
    return outcome
