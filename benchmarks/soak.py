"""Hours of random faults: what gets lost, what comes twice, how late it comes, what it costs.

    python -m benchmarks.soak [--minutes N] [--server java] [--seed N] [--rate N] [--channels N]

A publisher with a good link publishes numbered messages on many channels. Over each transport a
client observes them through a `FaultProxy`, which cuts, refuses, stalls, delays, truncates and
answers 503 at random. Both have the ack extension, so that nothing may be lost or come twice. In
the end the links are good, and everything has to arrive.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from array import array
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rx_cometd import Client, ConnectionType
from rx_cometd.extensions import ack
from rx_cometd.testing import FaultProxy
from tests.conformance.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rx_cometd.states import StateChange
    from rx_cometd.testing.direction import Direction
    from tests.conformance.differences import Name
    from tests.conformance.serving import Server

#: Seconds that the server keeps a session without a link: longer than a run of faults may last.
MAX_INTERVAL: Final = 600.0
#: Seconds to wait in the end for what is still on its way.
PATIENCE: Final = 60.0


class Weather:
    """What a proxy does, at random.

    What it does lasts for a while and is over then, whether anybody met it or not: answers of 503
    that were kept for the next attempts would be met by many in a row, one spell after the other.
    """

    def __init__(self, proxy: FaultProxy, dice: random.Random) -> None:
        self.proxy, self.dice = proxy, dice
        self.faults: Counter[str] = Counter()

    async def blow(self) -> None:
        """Have one fault after the other, until cancelled."""
        deeds: dict[str, Callable[[], Awaitable[object]]] = {
            "reset": self.reset,
            "fin": self.fin,
            "refuse": self.refuse,
            "stall": self.stall,
            "slow": self.slow,
            "truncate": self.truncate,
            "503": self.unavailable,
        }
        while True:
            await asyncio.sleep(self.dice.expovariate(1.0))
            name = self.dice.choice(list(deeds))
            self.faults[name] += 1
            await deeds[name]()
            self.proxy.requested.clear()  # what it remembers would be most of what grows

    async def reset(self) -> None:
        """Cut with RST."""
        self.proxy.cut()

    async def fin(self) -> None:
        """Cut with FIN."""
        self.proxy.cut(reset=False)

    async def refuse(self) -> None:
        """Take no connections for a while."""
        await self.proxy.refuse()
        await asyncio.sleep(self.dice.uniform(0.1, 3.0))
        await self.proxy.restore()

    async def stall(self) -> None:
        """Be silent for a while, one way or both."""
        ways: list[FaultProxy | Direction] = [
            self.proxy,
            self.proxy.requests,
            self.proxy.replies,
        ]
        way = self.dice.choice(ways)
        way.stall()
        await asyncio.sleep(self.dice.uniform(0.1, 5.0))
        way.resume()

    async def slow(self) -> None:
        """Be late, and in pieces, for a while."""
        self.proxy.replies.delay(0.1, 0.2)
        self.proxy.replies.split(100)
        await asyncio.sleep(self.dice.uniform(0.5, 3.0))
        self.proxy.clear()

    async def truncate(self) -> None:
        """Cut in the middle of a frame or a body."""
        self.proxy.replies.truncate(self.dice.randrange(2000))
        await asyncio.sleep(self.dice.uniform(0.1, 3.0))
        self.proxy.clear()

    async def unavailable(self) -> None:
        """Answer 503 for a while."""
        self.proxy.respond(503, count=None)
        self.proxy.cut()
        await asyncio.sleep(self.dice.uniform(0.1, 3.0))
        self.proxy.clear()


class Witness:
    """A client behind a proxy, and what it received."""

    def __init__(self, proxy: FaultProxy, kind: ConnectionType) -> None:
        self.kind = kind
        self.client = Client(
            proxy.url,
            kind,
            extensions=[ack(deduplicate=True)],
            connection_timeout=None,
            max_network_delay=2.0,
        )
        #: How many times each number of a channel came; arrays, so that what grows is the client's.
        self.times: defaultdict[str, array[int]] = defaultdict(lambda: array("B"))
        self.received = self.repeated = self.out_of_order = 0
        self.latencies: array[float] = array("d")
        self.errors: list[Exception] = []
        self.sessions: set[str] = set()
        self.client.state_changes.subscribe(self._note_session)

    def _note_session(self, change: StateChange) -> None:
        if change.client_id is not None:
            self.sessions.add(change.client_id)

    def observe(self, channel: str) -> None:
        """Observe a channel."""
        self.client.channel(channel).subscribe(self.receive, self.errors.append)

    def receive(self, message: Any) -> None:
        """Count a message."""
        number: int = message["data"]["n"]
        times = self.times[message["channel"]]
        times.extend(0 for _ in range(len(times), number + 1))
        self.received += times[number] == 0
        self.repeated += times[number] > 0
        self.out_of_order += number + 1 < len(times)
        times[number] = min(times[number] + 1, 255)
        self.latencies.append(time.monotonic() - message["data"]["t"])

    def report(self, sent: Mapping[str, int], weather: Weather) -> dict[str, Any]:
        """Give what is to be told in the end."""
        expected = sum(sent.values())
        cuts = statistics.quantiles(self.latencies, n=100) if len(self.latencies) > 1 else [0] * 99
        return {
            "transport": str(self.kind),
            "sent": expected,
            "received": self.received,
            "lost": expected - self.received,
            "repeated": self.repeated,
            "out_of_order": self.out_of_order,
            "errors": [repr(error) for error in self.errors],
            "sessions": len(self.sessions),
            "reconnects": self.client.statistics().reconnects,
            "faults": weather.faults.total(),
            "p50_ms": round(cuts[49] * 1000, 1),
            "p99_ms": round(cuts[98] * 1000),
        }


async def publish(client: Client, channels: list[str], rate: float, sent: Counter[str]) -> None:
    """Publish one message after the other, at most so many a second, until cancelled."""
    number = 0
    while True:
        channel = channels[number % len(channels)]
        data = {"n": sent[channel], "t": time.monotonic()}
        sent[channel] += 1
        number += 1
        await asyncio.shield(asyncio.ensure_future(client.publish(channel, data)))
        await asyncio.sleep(1 / rate)


def rss() -> int:
    """Give the resident memory of this process, in MB."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(text.partition("VmRSS:")[2].split()[0]) // 1024


async def soak(
    seconds: float, server_name: Name, *, seed: int = 0, rate: float = 100, channels: int = 20
) -> dict[str, Any]:
    """Run, and give the report.

    Args:
        seconds: How long there are faults.
        server_name: Against which server.
        seed: Of all that is random.
        rate: Messages a second, of all channels together.
        channels: How many channels.
    """
    dice, sent = random.Random(seed), Counter[str]()
    names = [f"/soak/{number}" for number in range(channels)]
    async with AsyncExitStack() as stack:
        server: Server = await stack.enter_async_context(
            make_server(server_name, timeout=5.0, max_interval=MAX_INTERVAL)
        )
        witnesses: list[tuple[Witness, Weather]] = []
        for kind in ConnectionType:
            proxy = await stack.enter_async_context(FaultProxy(server.url, seed=seed))
            witness = Witness(proxy, kind)
            await stack.enter_async_context(witness.client)
            for name in names:
                witness.observe(name)
            witnesses.append((witness, Weather(proxy, dice)))
        await _until(lambda: all(w.client.subscriptions >= set(names) for w, _ in witnesses))
        publisher = await stack.enter_async_context(Client(server.url))
        memory = [rss()]
        publishing = asyncio.create_task(publish(publisher, names, rate, sent))
        blowing = [asyncio.create_task(weather.blow()) for _, weather in witnesses]
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            memory.append(rss())
        for task in (publishing, *blowing):
            task.cancel()
        await asyncio.gather(publishing, *blowing, return_exceptions=True)
        for _, weather in witnesses:
            await weather.proxy.restore()
            weather.proxy.resume()
        total = sum(sent.values())
        await _until(lambda: all(w.received >= total for w, _ in witnesses))
        reports = [witness.report(sent, weather) for witness, weather in witnesses]
        return {"seconds": seconds, "rss_mb": memory, "clients": reports}


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for something, but not for ever: what is missing then shows in the report."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:  # noqa: ASYNC110 - of two parties
        await asyncio.sleep(0.05)


def main() -> int:
    """Run for the minutes told; 1 if something was lost, repeated or out of order."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--server", choices=["embedded", "java", "java9"], default="java")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--channels", type=int, default=20)
    told = parser.parse_args()
    report = asyncio.run(
        soak(
            told.minutes * 60,
            told.server,
            seed=told.seed,
            rate=told.rate,
            channels=told.channels,
        )
    )
    print(json.dumps(report, indent=2))
    return any(c["lost"] or c["repeated"] or c["out_of_order"] for c in report["clients"])


if __name__ == "__main__":
    sys.exit(main())
