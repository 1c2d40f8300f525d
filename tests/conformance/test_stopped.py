"""The process of the client itself is stopped for a while: a laptop's sleep, a debugger, a cgroup.

``FULL_SIZE=1`` stops it for 60 s, six times as long as `connection_timeout` and
`max_network_delay` are by default; the figures are in `docs/proofs.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, ConnectionType
from rx_cometd.extensions import ack
from tests.conformance.observing import eventually, numbers_of, warmed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.conformance.conftest import MakeClient, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
#: Seconds for which it is stopped, and those of the client's two limits.
STOPPED, LIMIT = (60.0, 10.0) if FULL_SIZE else (1.8, 0.6)


async def stream(url: str, kind: str, channel: str) -> None:
    """Print what happens to a client, until its standard input ends (the child)."""

    def tell(**facts: Any) -> None:
        print(json.dumps(facts), flush=True)

    client = Client(
        url,
        ConnectionType(kind),
        extensions=[ack(deduplicate=True)],
        connection_timeout=LIMIT,
        max_network_delay=LIMIT,
    )
    async with client:
        client.state_changes.subscribe(lambda c: tell(state=c.state.name, session=c.client_id))
        client.channel(channel).subscribe(
            lambda m: tell(data=m["data"]), lambda e: tell(error=repr(e))
        )
        await asyncio.to_thread(sys.stdin.read)


class Child:
    """The client's process, and what it told.

    Attributes:
        told: Each line.
        times: When it came, by `time.monotonic`.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.told: list[dict[str, Any]] = []
        self.times: list[float] = []

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.told.append(json.loads(line))
            self.times.append(time.monotonic())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    @property
    def numbers(self) -> list[int]:
        return numbers_of([line for line in self.told if "data" in line])

    @property
    def sessions(self) -> set[str]:
        return {line["session"] for line in self.told if line.get("session")}

    def since(self, number: int, began: float) -> float:
        """Give how many seconds after a moment a message came."""
        place = next(i for i, line in enumerate(self.told) if line.get("data") == {"n": number})
        return self.times[place] - began


@asynccontextmanager
async def child_of(server: Server, target: Target, channel: str) -> AsyncGenerator[Child]:
    source = (
        "import asyncio, sys; from tests.conformance.test_stopped import stream; "
        "asyncio.run(stream(*sys.argv[1:]))"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", source),
        *(server.url, target.connection_type.value, channel),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    child = Child(process)
    reading = asyncio.create_task(child.read())
    try:
        await eventually(lambda: server.subscribers(channel), 60)
        yield child
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        reading.cancel()
        await asyncio.wait([reading])


@pytest.mark.timeout(200)
@pytest.mark.needs("ack")
async def test_while_the_server_keeps_the_session(
    target: Target,
    server: Server,
    start_server: StartServer,
    make_client: MakeClient,
    channel: str,
) -> None:
    """Scenario 40 with the client itself stopped: the session is resumed, nothing is lost of what
    came meanwhile, nothing comes twice, and no observer is told an error."""
    if FULL_SIZE:  # the other one keeps sessions for less than that
        server = await start_server(max_interval=2 * STOPPED)
    await warmed(server, make_client)
    async with child_of(server, target, channel) as child:
        began = await stopped(server, child, channel)
        await server.control("publish", channel=channel, count=1, first=30)
        await eventually(lambda: 30 in child.numbers, 60)
    print(f"\n{target}: stopped for {STOPPED:g} s, the first message {child.since(0, began):.3f} s")
    assert child.numbers == list(range(31))
    assert len(child.sessions) == 1
    assert not any("error" in line for line in child.told)


@pytest.mark.skipif(not FULL_SIZE, reason="takes a minute for each: FULL_SIZE=1")
@pytest.mark.timeout(200)
@pytest.mark.needs("ack")
async def test_when_the_server_has_forgotten(
    target: Target, start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """Scenario 39 with the client itself stopped: there is a new session, with its subscriptions,
    and no observer is told an error."""
    server = await start_server(max_interval=STOPPED / 4)
    await warmed(server, make_client)
    async with child_of(server, target, channel) as child:
        began = await stopped(server, child, channel)
        await eventually(lambda: server.subscribers(channel), 60)
        await server.control("publish", channel=channel, count=1, first=30)
        await eventually(lambda: 30 in child.numbers, 60)
    print(f"\n{target}: stopped for {STOPPED:g} s, a new session {child.since(30, began):.3f} s")
    assert len(child.sessions) == 2
    assert not any("error" in line for line in child.told)


async def stopped(server: Server, child: Child, channel: str) -> float:
    """Stop the client, with messages published before, in the middle and at the end of it.

    Returns:
        When it went on.
    """
    child.signal(signal.SIGSTOP)
    for first in (0, 10, 20):
        await server.control("publish", channel=channel, count=10, first=first)
        await asyncio.sleep(STOPPED / 3)  # what is measured
    child.signal(signal.SIGCONT)
    return time.monotonic()
