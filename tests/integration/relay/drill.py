"""Failures on purpose: relays that are killed, brokers that are restarted, and what came of it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
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


def new_name() -> str:
    """Give a relay a name that the broker knows of no other, nor of an attempt that failed."""
    return f"drill-{uuid.uuid4().hex}"


class RelayProcess:
    """A relay that can be killed and started again.

    Args:
        url: The source.
        broker: The broker.
        log: The file that it logs to.
        name: Its name; what it writes has it, too.
        options: Others of ``child.main``.
    """

    def __init__(self, url: str, broker: Broker, log: Path, *, name: str, **options: Any) -> None:
        self._options = {"name": name, "channels": CHANNELS, **options}
        self._options |= {"url": url, "to": broker.url, "template": f"cometd.{{channel}}.{name}"}
        self._log = log
        self._log_start = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.relay.child"),
                json.dumps(self._options),
                cwd=ROOT,
                stderr=log,
            )

    @property
    def memory(self) -> int:
        """Its resident memory, in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    async def logged(self, *texts: str) -> float:
        """Wait until it has logged one of some texts since its start; gives the time it says."""
        while True:
            for line in self._log.read_bytes()[self._log_start :].decode().splitlines():
                if any(text in line for text in texts):
                    return float(line.split()[0])
            await asyncio.sleep(0.05)

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


async def stored_by(broker: Broker, name: str) -> list[tuple[str, int]]:
    """Read the channels and numbers that a broker has of a relay, in its order."""
    found: list[tuple[str, int]] = []
    for channel in CHANNELS:
        records = await broker.read(f"cometd.{channel[1:].replace('/', '.')}.{name}")
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


async def everything_stored(broker: Broker, name: str, count: int, *, timeout: float) -> Outcome:
    """Wait until the broker has what was published, or gets nothing more for so many seconds."""
    loop = asyncio.get_running_loop()
    missing, since = count + 1, 0.0
    while True:
        began = loop.time()
        outcome = judge(count, await stored_by(broker, name))
        if outcome.lost < missing:
            missing, since = outcome.lost, began
        if outcome.lost == 0 or began > since + timeout:
            return outcome
        # All is read each time: that must not take all the time there is.
        await asyncio.sleep(max(0.5, loop.time() - began))


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
    events, name = plan.events, new_name()
    server = BayeuxServer(
        salesforce=True, timeout=5.0, replay=ReplayLog(max_events=events), max_received=0
    )
    async with server:
        relay = RelayProcess(server.url, broker, log, name=name, **options)
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
                    broker.launch()
                    await asyncio.to_thread(broker.await_listening)
            await publishing
            outcome = await everything_stored(broker, name, events, timeout=60)
            assert await relay.stop() == 0, f"see {log}"
        finally:
            publishing.cancel()
            await relay.kill()
    return outcome


async def outage(
    broker: Broker, log: Path, *, seconds: float, rate: float
) -> tuple[Outcome, tuple[int, int, int]]:
    """Take the broker away while events go on coming.

    Gives the outcome, and the memory of the relay: before, the most while the broker was away,
    the most until it had caught up.
    """
    before, name = int(5 * rate), new_name()
    count = before + int(seconds * rate)
    async with BayeuxServer(
        salesforce=True, timeout=5.0, replay=ReplayLog(max_events=count), max_received=0
    ) as server:
        relay = RelayProcess(server.url, broker, log, name=name)
        await relay.start()
        try:
            await publish(server, range(before), rate)
            outcome = await everything_stored(broker, name, before, timeout=30)
            assert outcome.lost == 0
            settled = relay.memory
            await asyncio.to_thread(broker.kill)
            publishing = asyncio.create_task(publish(server, range(before, count), rate))
            away = await _most(relay, publishing)
            broker.launch()
            await asyncio.to_thread(broker.await_listening)
            storing = asyncio.create_task(everything_stored(broker, name, count, timeout=60))
            back = await _most(relay, storing)
            assert await relay.stop() == 0, f"see {log}"
            return storing.result(), (settled, away, back)
        finally:
            await relay.kill()


async def _most(relay: RelayProcess, meanwhile: asyncio.Task[Any]) -> int:
    most = 0
    while not meanwhile.done():
        most = max(most, relay.memory)
        await asyncio.wait({meanwhile}, timeout=0.1)
    meanwhile.result()
    return most


async def standby(
    broker: Broker, directory: Path, *, lease: float, kills: int
) -> tuple[Outcome, list[float]]:
    """Kill the relay at work, over and over; gives the outcome, and how long each takeover took.

    Two are there at any time: who was killed is started again, and stands by.
    """
    takeovers: list[float] = []
    begun = ("standing by", "at work")  # at once, where the machine stalled for longer than a lease
    count, rate, name = 400 * (kills + 1), 200.0, new_name()
    async with BayeuxServer(
        salesforce=True, timeout=5.0, replay=ReplayLog(max_events=count), max_received=0
    ) as server:
        leader, other = (
            RelayProcess(server.url, broker, directory / log, name=name, lease=lease)
            for log in ("one", "other")
        )
        publishing = asyncio.create_task(publish(server, range(count), rate))
        try:
            await leader.start()
            await leader.logged("at work")
            await other.start()
            await other.logged(*begun)
            for _ in range(kills):
                await asyncio.sleep(1)  # of work
                killed = time.time()
                await leader.kill()
                takeovers.append(await other.logged("at work") - killed)
                leader, other = other, leader
                await other.start()
                await other.logged(*begun)
            await publishing
            outcome = await everything_stored(broker, name, count, timeout=30)
            assert await leader.stop() == 0, f"see {directory}"
            return outcome, takeovers
        finally:
            publishing.cancel()
            await asyncio.gather(leader.kill(), other.kill())
