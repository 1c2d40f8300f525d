"""A consumer that is killed in the middle of its stream: a client in a process of its own."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import ReplayOption, SqliteStore, replay
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.children import child

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Event

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(240)]

CHANNEL = "/event/X__e"
IN_FLIGHT = 3


async def consume(url: str, path: str) -> None:
    """Process the server's events, a few at a time, until killed (the child)."""

    async def process(message: Event) -> int:
        data: Any = message.get("data")
        # Those that arrive together are done in another order.
        await asyncio.sleep(0.001 * (3 - data["n"] % 4))
        print("processed", data["n"], flush=True)
        return int(data["n"])

    with SqliteStore(path) as store:
        extension = replay(store, initial=ReplayOption.ALL_EVENTS)
        async with Client(url, extensions=[extension], max_pending_count=0) as client:
            events = client.channel(CHANNEL)
            done = events.pipe(cometd_ops.map_async(process, max_concurrency=IN_FLIGHT))
            done.subscribe()
            await asyncio.Event().wait()


async def killed_when(condition: Callable[[list[int]], bool], url: str, path: Path) -> list[int]:
    """Run a consumer until a condition holds for the events that it has processed; give them."""
    source = (
        "import asyncio, sys; from tests.integration.extensions.test_killed import consume; "
        "asyncio.run(consume(*sys.argv[1:]))"
    )
    processed: list[int] = []
    async with child(
        *(sys.executable, "-c", source, url, str(path)),
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
    ) as consumer:
        assert consumer.stdout is not None
        async with asyncio.timeout(30):
            while not condition(processed):
                line = await consumer.stdout.readline()
                assert line, "the consumer ended by itself"
                processed.append(int(line.split()[1]))
        consumer.kill()
        rest = await consumer.stdout.read()
        assert await consumer.wait() == -signal.SIGKILL
    return processed + [
        int(line.split()[1]) for line in rest.splitlines(keepends=True) if line.endswith(b"\n")
    ]


async def test_each_event_at_least_once_and_again_only_what_was_in_flight(tmp_path: Path) -> None:
    runs: list[list[int]] = []
    seen: set[int] = set()
    everything = set(range(200))

    def is_enough(processed: list[int]) -> bool:
        # By number would not do for the last: the events that are done again come first.
        return len(processed) == 61 or seen.union(processed) == everything

    async with BayeuxServer(salesforce=True, replay=ReplayLog(), timeout=0.5) as server:
        for n in everything:
            await server.publish(CHANNEL, {"n": n})
        while seen != everything:
            processed = await killed_when(is_enough, server.url, tmp_path / "markers.db")
            runs.append(processed)
            seen.update(processed)
    assert len(runs) > 1
    for earlier, later in itertools.pairwise(runs):
        # Those that were done, or nearly so, behind one that was not.
        assert len(set(earlier) & set(later)) <= IN_FLIGHT
