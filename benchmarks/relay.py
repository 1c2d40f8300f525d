"""What a relay stands, and what it takes: drills at full size, and its throughput.

::

    python -m benchmarks.relay drill BROKER       kills and restarts at random
    python -m benchmarks.relay outage BROKER      the broker is away for two minutes
    python -m benchmarks.relay standby BROKER     the relay at work is killed, five times
    python -m benchmarks.relay behind BROKER      a relay, then a consumer, far behind: their memory
    python -m benchmarks.relay throughput BROKER  beside a bare loop of the same client library

BROKER is ``nats``, ``redis`` or ``kafka``; they are started here, as the tests do it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import redis.asyncio
from nats.aio.client import Client
from nats.js import JetStreamContext

from rx_cometd.operators import map_async
from rx_cometd.relay import Relay, from_kafka, from_nats, from_redis, sink_for
from rx_cometd.relay.kafka_client import aiokafka
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.integration.relay.brokers import BROKERS
from tests.integration.relay.drill import CHANNELS, Plan, drill, outage, standby

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from rx_cometd.messages import Event
    from tests.integration.relay.brokers import Broker


#: How many records the bare loops have under way, as many as a batch of the relay.
CHUNK = 500


async def run_drill(broker: Broker, directory: Path) -> None:
    """100,000 events, 50 SIGKILLs of the relay, 20 restarts of the broker."""
    plan = Plan(events=100_000, kills=50, restarts=20, seconds=200, seed=11)
    began = time.monotonic()
    print(await drill(broker, directory / "relay", plan))
    print(f"in {time.monotonic() - began:.0f} s")


async def run_outage(broker: Broker, directory: Path) -> None:
    """Two minutes without the broker, under 200 events a second."""
    outcome, memory = await outage(broker, directory / "relay", seconds=120, rate=200)
    print(outcome)
    before, during, after = (number / 1e6 for number in memory)
    print(
        f"RSS {before:.1f} MB before, at most {during:.1f} MB while away (+{during - before:.1f})"
    )
    print(f"at most {after:.1f} MB while catching up")


async def run_standby(broker: Broker, directory: Path) -> None:
    """Five times the relay at work is killed."""
    lease = 2.0
    outcome, takeovers = await standby(broker, directory, lease=lease, kills=5)
    print(outcome)
    print(f"lease {lease} s, taken over after", ", ".join(f"{t:.2f} s" for t in takeovers))


async def run_behind(broker: Broker, _: Path) -> None:
    """A relay and a consumer that begin 100,000 events behind, each in a process of its own."""
    count = 100_000
    async with BayeuxServer(
        salesforce=True, replay=ReplayLog(max_events=count), max_received=0
    ) as server:
        for number in range(count):
            await server.publish(CHANNELS[0], _data(number))
        await _program("catch-up", broker.url, server.url)
    await _program("consume", broker.url)


async def _program(*arguments: str) -> None:
    program = (sys.executable, "-m", "benchmarks.relay", *arguments)
    process = await asyncio.create_subprocess_exec(*program)
    if await process.wait():
        raise RuntimeError(f"{arguments[0]} failed")


async def catch_up(broker: str, source: str) -> None:
    """Relay 100,000 events that a source has kept; tell the memory."""
    relay = Relay(source, CHANNELS[:1], sink_for(broker, "behind"), name="behind", initial=-2)
    running = asyncio.create_task(relay.run())
    await _watched("relay", lambda: relay.counts.written)
    relay.stop()
    await running


async def consume(broker: str) -> None:
    """Consume 100,000 events, each with some asynchronous work; tell the memory."""
    subject, done = f"cometd.{CHANNELS[0][1:].replace('/', '.')}", 0

    async def work(_: Event) -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    events = {
        "nats": lambda: from_nats(broker, subject, "behind"),
        "redis": lambda: from_redis(broker, subject, "behind"),
        "kafka": lambda: from_kafka(broker, subject, group="behind"),
    }[broker.partition(":")[0]]()
    with events.pipe(map_async(work, max_concurrency=10)).subscribe():
        await _watched("consumer", lambda: done)
    await asyncio.sleep(1)  # what is under way is told to the broker


async def _watched(who: str, done: Callable[[], int]) -> None:
    """Wait until 100,000 events are done; tell how much memory that took at most."""
    began = time.perf_counter()
    before = most = _memory()
    while done() < 100_000:
        await asyncio.sleep(0.02)
        most = max(most, _memory())
    rate = 100_000 / (time.perf_counter() - began)
    print(f"{who}: RSS {before:.1f} MB before, at most {most:.1f} MB; {rate:.0f} events a second")


def _memory() -> float:
    """Give the resident memory of this process in MB."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE") / 1e6


async def run_throughput(broker: Broker, _: Path) -> None:
    """Rounds side by side: the relay from a source that has everything, and the bare loop.

    A round has to last some seconds: in less the brokers and their clients are not warm.
    """
    count, ratios = 150_000, list[tuple[float, float]]()
    for number in range(5):
        relayed = await _relayed(broker, f"r{number}", count)
        bare = await _LOOPS[type(broker).__name__](broker, f"bare{number}", count)
        ratio = bare.seconds / relayed.seconds, bare.cpu / relayed.cpu
        ratios.append(ratio)
        print(
            f"relay {count / relayed.seconds:6.0f}/s   bare loop {count / bare.seconds:6.0f}/s",
            end="",
        )
        print(f"   ratio {ratio[0]:.2f}, of CPU time {ratio[1]:.2f}")
    wall, cpu = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"median ratio {wall:.2f}, of CPU time {cpu:.2f}")


class Taken(NamedTuple):
    """What a run took: seconds, from the first event on; CPU time of this process, in all."""

    seconds: float
    cpu: float


class Watch:
    """Measures a run."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self.begin()

    def begin(self) -> None:
        """Let the seconds begin now."""
        self._began = time.perf_counter()

    def taken(self) -> Taken:
        """Give what it took until now."""
        return Taken(time.perf_counter() - self._began, time.process_time() - self._cpu)


async def _relayed(broker: Broker, name: str, count: int) -> Taken:
    """Relay what a server in another process has kept."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.relay", "serve", str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    stdin = cast("asyncio.StreamWriter", server.stdin)
    url = (await cast("asyncio.StreamReader", server.stdout).readline()).decode().strip()
    relay = Relay(
        *(url, CHANNELS, sink_for(broker.url, name)),
        name=name,
        initial=-2,
        connection_types="long-polling",
    )
    watch = Watch()
    running = asyncio.create_task(relay.run())
    while not relay.counts.received:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.001)
    watch.begin()
    while relay.counts.written < count:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.01)
    taken = watch.taken()
    relay.stop()
    await running
    stdin.close()
    await server.wait()
    return taken


async def serve(number_of_events: str) -> None:
    """Keep so many events for who subscribes, until standard input ends."""
    count = int(number_of_events)
    log = ReplayLog(max_events=count)
    async with BayeuxServer(salesforce=True, replay=log) as server:
        for number in range(count):
            await server.publish(CHANNELS[number % 2], _data(number))
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _data(number: int) -> dict[str, object]:
    return {"n": number, "pad": "x" * 100}


def _chunks(name: str, count: int) -> Iterator[list[tuple[dict[str, str], bytes]]]:
    """Give what the bare loops write, made on the way: what a relay writes, 500 at a time."""
    for first in range(0, count, CHUNK):
        numbers = range(first, min(count, first + CHUNK))
        yield [
            (
                {
                    "cometd-channel": CHANNELS[n % 2],
                    "cometd-received": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "cometd-replay-id": str(n),
                    "Nats-Msg-Id": f"{name}:{n}",
                },
                json.dumps({**_data(n), "event": {"replayId": n}}).encode(),
            )
            for n in numbers
        ]


async def _nats_loop(broker: Broker, name: str, count: int) -> Taken:
    """Publishes with 500 acknowledgements outstanding."""
    client = Client()
    await client.connect(broker.url)
    stream = JetStreamContext(client, timeout=10)
    watch = Watch()
    for chunk in _chunks(name, count):
        published: list[Coroutine[Any, Any, Any]] = [
            stream.publish("cometd.bare", value, headers=headers) for headers, value in chunk
        ]
        await asyncio.gather(*published)
    taken = watch.taken()
    await client.close()
    return taken


async def _redis_loop(broker: Broker, name: str, count: int) -> Taken:
    """Transactions of 500 XADD."""
    untyped: Any = redis.asyncio.Redis
    async with untyped.from_url(broker.url) as client:
        watch = Watch()
        for chunk in _chunks(name, count):
            async with client.pipeline(transaction=True) as pipeline:
                for headers, value in chunk:
                    pipeline.xadd(name, {**headers, "data": value})
                await pipeline.execute()
        return watch.taken()


async def _kafka_loop(broker: Broker, name: str, count: int) -> Taken:
    """Transactions of 500 records."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=broker.url.removeprefix("kafka://"),
        transactional_id=name,
        max_batch_size=128 * 1024,
    )
    await producer.start()
    watch = Watch()
    for chunk in _chunks(name, count):
        async with producer.transaction():
            sent = [
                await producer.send(
                    "bare",
                    value,
                    key=b"bare",
                    headers=[(key, text.encode()) for key, text in headers.items()],
                )
                for headers, value in chunk
            ]
            await asyncio.gather(*sent)
    taken = watch.taken()
    await producer.stop()
    return taken


_LOOPS: Final = {"Nats": _nats_loop, "Redis": _redis_loop, "Kafka": _kafka_loop}
_RUNS: Final = {
    "drill": run_drill,
    "outage": run_outage,
    "standby": run_standby,
    "behind": run_behind,
    "throughput": run_throughput,
}
#: What the runs have other processes do.
_PARTS: Final[dict[str, Callable[..., Coroutine[Any, Any, None]]]] = {
    "serve": serve,
    "catch-up": catch_up,
    "consume": consume,
}


async def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="What a relay stands, and what it takes.")
    parser.add_argument("what", choices=[*_RUNS, *_PARTS])
    parser.add_argument("broker", help="nats, redis or kafka")
    parser.add_argument("source", nargs="?", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what in _PARTS:
        await _PARTS[arguments.what](*filter(None, (arguments.broker, arguments.source)))
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with BROKERS[arguments.broker](directory) as broker:
            await _RUNS[arguments.what](broker, directory)


if __name__ == "__main__":
    asyncio.run(main())
