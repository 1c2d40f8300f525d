"""Many clients through the restart of their server: all come back, and not all at once."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, ClientState
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import WEBSOCKET

if TYPE_CHECKING:
    from rx_cometd import StateChange

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(900)]

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
#: Clients, seconds that the server is away, and the connection_timeout; scaled where not full.
CLIENTS, AWAY, TIMEOUT = (200, 9.0, 10.0) if FULL_SIZE else (20, 8.0, 10.0)


async def test_nobody_is_given_up_who_could_be_back() -> None:
    """Away for most of ``connection_timeout``, with the default backoff."""
    server = BayeuxServer(timeout=30)
    await server.start()
    loop = asyncio.get_running_loop()
    back: list[float] = []

    async with AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
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
        async with asyncio.timeout(60):  # who is given up says so
            await everybody.wait()
        assert len(back) == CLIENTS
        assert not any(client.closed for client in clients)
        delays = sorted(moment - started for moment in back)
        histogram = [sum(1 for d in delays if n <= d * 10 < n + 1) for n in range(11)]
        print(f"{CLIENTS} clients back, by tenths of a second: {histogram}")
