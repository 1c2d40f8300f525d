"""Peak memory of a client whose consumer is at least 100 times slower than the feed.

    python -m benchmarks.slow_consumer [--messages N] [--rate N] [--bound N]
        [--servers embedded,java] [--transports websocket,long-polling]
        [--policies error,drop_oldest,drop_newest,conflate,suspend]

One line for each server, transport and policy. The server and its feed run in this process (or,
for the Java server, in one more), the client in one of its own, so that what is measured is the
client's: how far the peak of its resident memory rises above what it was before the first
message. An observer that only counts stands beside the slow consumer, and keeps the feed coming
where the buffer fails.

The consumer takes ``SECONDS_EACH`` for a message for as long as the feed lasts. With ``SUSPEND``
the server keeps the rest meanwhile. When the feed is over the consumer takes the rest as fast as
it can, so the last payload is about as large as one can be.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from reactivex import operators as ops

from rx_cometd import Client, CometDError, ConnectionType, Extension, Overflow
from rx_cometd.extensions import ack
from rx_cometd.operators import to_async_iterable
from tests.conformance.embedded import EmbeddedServer
from tests.conformance.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rx_cometd import Payload
    from rx_cometd.operators.to_async_iterable import ObservableIterator
    from tests.conformance.differences import Name
    from tests.conformance.serving import Server

CHANNEL: Final = "/feed"
CONFIRMED: Final = "/confirmed"
SIZE: Final = 200
"""Bytes of the data of a message."""
BURST: Final = 200
"""Messages that the server publishes without a pause."""
SECONDS_EACH: Final = 0.02
"""What the consumer takes for a message: 50 a second, a 100th of a feed of 5,000 and more."""
MOST: Final = 20
"""MB that a client may grow by, whatever comes, under every policy but `SUSPEND`."""
LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a payload that the client accepts."""


class Run(NamedTuple):
    """What is measured.

    Attributes:
        kind: The transport.
        overflow: The policy.
        bound: Messages that may be pending; 0 is unbounded.
        messages: How many are published in all.
        rate: How many a second, at most.
    """

    kind: ConnectionType
    overflow: Overflow
    bound: int
    messages: int
    rate: int


class Outcome(NamedTuple):
    """What a client tells of its run.

    Attributes:
        growth: Of its resident memory, in MB.
        taken: Messages that the slow consumer got.
        drops: Messages that the buffer dropped.
        pending: The most that were pending.
        payload: The most messages that came in one piece.
        held: Times that connects were held back.
        sessions: How many there were.
        error: How the consumer ended.
    """

    growth: float
    taken: int
    drops: int
    pending: int
    payload: int
    held: int
    sessions: int
    error: str


# -- the client's process ------------------------------------------------------------------------


class Gauge:
    """The peak of this process's resident memory, above what it was when the gauge was made."""

    def __init__(self) -> None:
        try:
            # The kernel forgets the peak so far (proc(5), clear_refs).
            Path("/proc/self/clear_refs").write_text("5")
            self._begun = _status("VmRSS")
        except OSError:
            self._begun = self._peak()

    @property
    def growth(self) -> float:
        """How far the peak rose, in MB."""
        return (self._peak() - self._begun) / 1000

    @staticmethod
    def _peak() -> float:
        try:
            return _status("VmHWM")
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _status(name: str) -> float:
    """Read a figure of this process from the kernel, in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return float(value.split()[0])
    raise OSError(name)


class Measurement:
    """One client with one slow consumer."""

    def __init__(self, url: str, run: Run) -> None:
        self._run = run
        extensions = [Extension.of(inbound=ops.do_action(self._count))]
        suspends = run.overflow is Overflow.SUSPEND
        acknowledges = suspends and run.kind is ConnectionType.WEBSOCKET
        if acknowledges:
            extensions.append(ack())
        #: Whether what comes in one piece is a frame or a response, not all frames of a connect.
        self._whole = not acknowledges
        self._client = Client(url, run.kind, extensions=extensions, max_message_size=LARGEST)
        self._arrived = 0
        self._received = 0
        self._error = ""
        self._peak_pending = 0
        self._payload = 0
        self._largest = 0
        self._sessions: set[str | None] = set()
        self._all_arrived = asyncio.Event()
        self._feed_is_over = asyncio.Event()

    async def outcome(self) -> Outcome:
        """Consume until everything arrived, and (with `SUSPEND`) was taken."""
        async with self._client as client:
            messages = aiter(client.channel(CHANNEL).pipe(self._operator()))
            client.channel(CHANNEL).subscribe(self._arrive)
            await client.subscribe(CONFIRMED)  # in the same payload
            self._sessions.add(client.client_id)
            gauge = Gauge()
            print("ready", flush=True)
            consuming = asyncio.create_task(self._consume(messages))
            waiting = asyncio.create_task(self._wait_for_the_end())
            await self._all_arrived.wait()
            await waiting
            if self._run.overflow in (Overflow.SUSPEND, Overflow.ERROR):
                await consuming
            consuming.cancel()
            await asyncio.wait([consuming])
            statistics = client.statistics()
            self._sessions.add(client.client_id)
            return Outcome(
                growth=gauge.growth,
                taken=self._received,
                drops=statistics.drops,
                pending=self._peak_pending,
                payload=max(self._largest, self._payload),
                held=statistics.suspensions,
                sessions=len(self._sessions),
                error=self._error,
            )

    def _operator(self) -> Any:
        # All messages are of one channel: conflated by number, 1000 keys compete for the buffer.
        key = _key if self._run.overflow is Overflow.CONFLATE else None
        return to_async_iterable(self._run.bound, self._run.overflow, key=key)

    async def _wait_for_the_end(self) -> None:
        """Wait for the other process to close the pipe, which it does after the feed."""
        await asyncio.to_thread(sys.stdin.read)
        self._feed_is_over.set()

    async def _consume(self, messages: ObservableIterator[Any]) -> None:
        try:
            async for _ in messages:
                self._received += 1
                if self._received == self._run.messages:
                    return
                if not self._feed_is_over.is_set():
                    await asyncio.sleep(SECONDS_EACH)
        except CometDError as error:
            self._error = type(error).__name__

    def _arrive(self, _: object) -> None:
        self._arrived += 1
        self._peak_pending = max(self._peak_pending, self._client.pending_count)
        if self._arrived == self._run.messages:
            self._all_arrived.set()

    def _count(self, payload: Payload) -> None:
        """Count the messages of each response, or, with acknowledgements, of each connect."""
        connected = self._whole
        for message in payload.messages:
            connected |= message.get("channel") == "/meta/connect"
            self._payload += "data" in message
        if connected:
            self._largest = max(self._largest, self._payload)
            self._payload = 0


def _key(message: Any) -> int:
    number: int = message["data"]["n"] % 1000
    return number


# -- the process of the server and the feed -------------------------------------------------------


async def feed(server: Server, run: Run) -> float:
    """Publish everything, at most so many a second. Gives messages per second."""
    begun = time.perf_counter()
    for first in range(0, run.messages, BURST):
        count = min(BURST, run.messages - first)
        await _publish(server, count, first)
        await asyncio.sleep(max(0.0, begun + (first + count) / run.rate - time.perf_counter()))
    return run.messages / (time.perf_counter() - begun)


async def _publish(server: Server, count: int, first: int) -> None:
    if isinstance(server, EmbeddedServer):
        for number in range(first, first + count):
            padding = "x" * (SIZE - len(json.dumps({"n": number, "padding": ""})))
            await server.bayeux.publish(CHANNEL, {"n": number, "padding": padding})
    else:
        await server.control("publish", channel=CHANNEL, count=count, first=first, size=SIZE)


async def measure(server: Server, run: Run) -> tuple[Outcome, float]:
    """Run one client against a server. Gives what it tells, and the rate of the feed."""
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.slow_consumer", "--client", server.url),
        *(run.kind.value, run.overflow.value, str(run.bound), str(run.messages)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    pipe, output = client.stdin, client.stdout
    if pipe is None or output is None:
        raise RuntimeError("the client has no pipes")
    try:
        ready = await output.readline()
        if ready != b"ready\n":
            raise RuntimeError(f"the client did not start: {ready!r}")
        rate = await feed(server, run)
        pipe.close()
        outcome = Outcome(*json.loads(await output.readline()))
        await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
    return outcome, rate


async def compare(names: Iterable[Name], runs: Iterable[Run]) -> int:
    """Make every run and print what comes of it. Gives how many grew more than they may."""
    heads = ("growth", "feed/s", *Outcome._fields[1:])
    print(f"{'':40}" + "".join(f"{head:>10}" for head in heads))
    too_much = 0
    for name in names:
        async with make_server(name, timeout=30.0, max_interval=10.0) as server:
            for run in runs:
                outcome, rate = await measure(server, run)
                figures = "".join(f"{figure:>10,}" for figure in outcome[1:-1])
                print(
                    f"{name + ' ' + run.kind.value + ' ' + run.overflow.name:40}"
                    f"{outcome.growth:>7.1f} MB{rate:>10,.0f}{figures}  {outcome.error or '-'}",
                    flush=True,
                )
                too_much += run.overflow is not Overflow.SUSPEND and outcome.growth >= MOST
    return too_much


def main() -> int:
    """Run the benchmark, or be one of its clients."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=10_000, help="messages a second, at most")
    parser.add_argument("--bound", type=int, default=100, help="0: unbounded")
    parser.add_argument("--servers", default="embedded,java")
    parser.add_argument("--transports", default=",".join(ConnectionType))
    parser.add_argument("--policies", default=",".join(policy.value for policy in Overflow))
    parser.add_argument("--client", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        logging.disable()  # what is dropped is counted
        url, kind, policy, bound, messages = arguments.client
        run = Run(ConnectionType(kind), Overflow(policy), int(bound), int(messages), 0)
        print(json.dumps(asyncio.run(_be_client(url, run))), flush=True)
        return 0
    figures = arguments.bound, arguments.messages, arguments.rate
    print(f"{arguments.messages} messages of {SIZE} bytes, bound {arguments.bound}")
    runs = [
        Run(ConnectionType(kind), Overflow(policy), *figures)
        for kind in arguments.transports.split(",")
        for policy in arguments.policies.split(",")
    ]
    return asyncio.run(compare(arguments.servers.split(","), runs))


async def _be_client(url: str, run: Run) -> Outcome:
    return await Measurement(url, run).outcome()


if __name__ == "__main__":
    sys.exit(main())
