"""Nothing grows: sessions opened and closed, links cut, observers that come and go.

What a process has (tasks, sockets and other descriptors, threads, memory) is where it was. CI does
a part of it; ``RX_COMETD_LEAKS=1`` does all: 1,000 sessions, 1,000 cuts, 10,000 observers.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from rx_cometd import CometDError, ConnectionType
from rx_cometd._session.deadlines import Deadline
from rx_cometd.testing import BayeuxServer, FaultProxy
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FULL = bool(os.environ.get("RX_COMETD_LEAKS"))
#: Sessions and cuts, each; ten times as many observers.
COUNT = 1000 if FULL else 40
#: Bytes that may be left of each round, deadlines among them: less than a session takes by far.
LEFT = 500
#: Bytes by which it may differ, whatever the number: Python keeps thousands of tuples for later.
FIXED = 150_000
#: How many of each there may be more, whatever the number: fewer than one for each round.
UNDER_WAY = 20

pytestmark = [
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are in /proc"),
]


class Held(NamedTuple):
    """What this process holds; objects are those of rx_cometd's classes."""

    tasks: int
    threads: int
    descriptors: int
    objects: int


def held() -> Held:
    """Count, what is garbage left out."""
    gc.collect()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    # By design a deadline stays until its time has passed, however early the reply comes.
    ours = [kind for kind in map(type, gc.get_objects()) if _is_ours(kind) and kind is not Deadline]
    return Held(len(asyncio.all_tasks()), threading.active_count(), descriptors, len(ours))


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith("rx_cometd.")


def half_closed() -> list[str]:
    """Give the TCP sockets of this process whose other end has gone (CLOSE_WAIT)."""
    inodes = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    lines = Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return [
        line
        for line in lines
        if line.split()[3] == "08" and f"socket:[{line.split()[9]}]" in inodes
    ]


async def settle(before: Held) -> Held:
    """Wait for the sockets of both sides to be closed; gives what is held then."""
    for _ in range(50):
        if all(now <= then for now, then in zip(held(), before, strict=True)):
            break
        await asyncio.sleep(0.05)  # the other side of a connection learns late that it is closed
    return held()


async def nothing_grows(deed: Callable[[], Awaitable[None]], count: int) -> None:
    """Do something often, and compare what is held with what was held after a few times."""
    tracemalloc.start()
    try:
        for _ in range(20):
            await deed()
        before, base = await settle(held()), tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            await deed()
        after, grown = await settle(before), tracemalloc.get_traced_memory()[0] - base
    finally:
        tracemalloc.stop()
    more = {name: getattr(after, name) - getattr(before, name) for name in Held._fields}
    print(f"\n{count} rounds: {more} more, {grown / count:.0f} bytes a round")
    assert max(more.values()) <= UNDER_WAY, more
    for _ in range(200):
        if not half_closed():
            break
        await asyncio.sleep(0.05)  # one that has just been closed is read a turn later
    assert half_closed() == []
    assert grown < FIXED + LEFT * count


@BOTH
async def test_sessions(kind: ConnectionType) -> None:
    async with BayeuxServer(max_received=10) as server:

        async def open_and_close() -> None:
            async with client_of(server, kind) as client:
                client.channel("/a").subscribe(lambda _: None)
                await client.publish("/b", 1)

        await nothing_grows(open_and_close, COUNT)
        assert server.sessions == {}


@BOTH
async def test_cuts(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(max_received=10) as server,
        FaultProxy(server.url) as proxy,
        client_of(proxy.url, kind, backoff=lambda: iter([0.001] * 10)) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")

        async def cut() -> None:
            seen.items.clear()
            proxy.requested.clear()
            proxy.cut()
            while True:
                with contextlib.suppress(CometDError):
                    await client.publish("/a", 1)
                    break
            await seen.until(lambda: seen.items)

        await nothing_grows(cut, COUNT)


@BOTH
async def test_observers(kind: ConnectionType) -> None:
    async with BayeuxServer(max_received=10) as server, client_of(server, kind) as client:
        number = 0

        async def come_and_go() -> None:
            nonlocal number
            number += 1
            channel = f"/a/{number % 10}"  # the server remembers names, not the client
            subscriptions = [client.channel(channel).subscribe(lambda _: None) for _ in range(10)]
            await subscribed(server, channel)
            for subscription in subscriptions:
                subscription.dispose()
            await subscribed(server, channel, 0)

        await nothing_grows(come_and_go, COUNT)
        await server.until(lambda: not client.subscriptions)
