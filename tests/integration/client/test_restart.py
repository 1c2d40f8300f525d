"""Many clients through the restart of their server: all come back, and not all at once."""

from __future__ import annotations

import asyncio
import os
import statistics
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, ClientState
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, WEBSOCKET, Recorder, client_of, held, subscribed

if TYPE_CHECKING:
    from rx_cometd import ConnectionType, StateChange

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(900)]

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
#: Clients, seconds that the server is away, and the connection_timeout; scaled where not full.
CLIENTS, AWAY, TIMEOUT = (200, 9.0, 10.0) if FULL_SIZE else (20, 1.7, 2.0)
CUTS = 1000 if FULL_SIZE else 20


async def test_nobody_is_given_up_who_could_be_back() -> None:
    """Away for nine tenths of ``connection_timeout``, with the default backoff."""
    server = BayeuxServer(timeout=30)
    await server.start()
    loop = asyncio.get_running_loop()
    back: list[float] = []

    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        for _ in range(CLIENTS):
            client = Client(server.url, WEBSOCKET, connection_timeout=TIMEOUT)
            clients.append(await stack.enter_async_context(client))

        everybody = asyncio.Event()

        def note(change: StateChange) -> None:
            if change.state is ClientState.CONNECTED:
                back.append(loop.time())
            if len(back) == CLIENTS or change.state is ClientState.DISCONNECTED:
                everybody.set()

        for client in clients:
            client.state_changes.subscribe(note)
        back.clear()  # they told that they are connected
        everybody.clear()
        await server.stop()
        stopped = loop.time()
        await asyncio.sleep(AWAY - (loop.time() - stopped))  # what is measured
        await server.start()
        started = loop.time()
        async with asyncio.timeout(TIMEOUT):
            await everybody.wait()
        assert len(back) == CLIENTS
        assert not any(client.closed for client in clients)
        delays = sorted(moment - started for moment in back)
        histogram = [sum(1 for d in delays if n <= d * 10 < n + 1) for n in range(11)]
        print(f"{CLIENTS} clients back, by tenths of a second: {histogram}")
    await server.stop()


@BOTH
async def test_the_first_message_after_a_cut(kind: ConnectionType) -> None:
    """A link that is back brings messages soon: by default, and at once by `reconnect_now`."""
    async with BayeuxServer(timeout=30) as server:
        client = client_of(server, kind, backoff=None, connection_timeout=None)
        async with client:
            seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
            await subscribed(server, "/a")
            times: dict[bool, list[float]] = {False: [], True: []}
            for cut in range(CUTS):
                times[cut % 2 == 1].append(await _cut(server, client, seen, changes, cut))
            default, now = (statistics.median(times[at_once]) for at_once in (False, True))
            print(f"first message after a cut: {default:.3f} s, {now:.3f} s by reconnect_now()")
            assert default < 1.5
            assert now < 0.1
            assert seen.data == list(range(CUTS))


async def _cut(
    server: BayeuxServer, client: Client, seen: Recorder, changes: Recorder, cut: int
) -> float:
    loop = asyncio.get_running_loop()
    await held(server)
    told = len(changes.items)
    began = loop.time()
    server.faults.drop_link()
    await changes.until(lambda: len(changes.items) > told)
    if cut % 2:
        client.reconnect_now()
    await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
    await server.publish("/a", cut)
    await seen.count(cut + 1)
    return loop.time() - began
