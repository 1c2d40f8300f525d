"""The event loop stands still: what came meanwhile is read before anything is judged to be late.

``FULL_SIZE=1`` has it stand still for 3, 15 and 40 s, with the default `max_network_delay` of 10 s.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from rx_cometd import ClientState, TransportError, TransportTimeoutError
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    Recorder,
    client_of,
    held,
    requests,
    subscribed,
)
from tests.integration.elsewhere import Elsewhere
from tests.raw_server import port_of_nobody
from tests.unit.transports.clock import Clock

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
#: Seconds, and what part of them a reply may be late.
STALLS = pytest.mark.parametrize("seconds", [3.0, 15.0, 40.0] if FULL_SIZE else [1.0, 2.0])
MAX_NETWORK_DELAY = 10.0 if FULL_SIZE else 0.4


def stand_still(seconds: float) -> None:
    time.sleep(seconds)


@BOTH
@STALLS
async def test_replies_that_came_meanwhile_are_read(kind: ConnectionType, seconds: float) -> None:
    with Elsewhere() as server:
        server.server.faults.delay_replies(0.1, "/a")
        client = client_of(server.url, kind, max_network_delay=MAX_NETWORK_DELAY)
        async with client:
            publishing = [asyncio.create_task(client.publish("/a", n)) for n in range(5)]
            await asyncio.sleep(0.02)  # they are on their way, and the replies are not
            stand_still(seconds)
            replies = await asyncio.gather(*publishing)
        assert all(reply["successful"] for reply in replies)


@BOTH
@STALLS
async def test_messages_that_came_meanwhile_are_read(kind: ConnectionType, seconds: float) -> None:
    with Elsewhere(timeout=0.2, max_interval=60.0) as server:
        client = client_of(server.url, kind, max_network_delay=MAX_NETWORK_DELAY)
        async with client:
            seen = Recorder(client.channel("/a"))
            await server.subscribed("/a")
            session = client.client_id
            server.publish("/a", 20)
            stand_still(seconds)
            await seen.count(20)
            assert seen.data == list(range(20))
            assert client.client_id == session


@BOTH
async def test_nobody_gives_up_before_an_attempt_was_made(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=1.5, backoff=lambda: iter([1.0]))
        await client.open()
        changes = Recorder(client.state_changes)
        await held(server)
        server.faults.respond_with(503)
        server.faults.drop_link()
        await changes.until(lambda: changes.items[-1].error)
        stand_still(2.0)
        await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
        await client.close()


async def test_who_is_gone_is_given_up_in_the_end() -> None:
    server = BayeuxServer()
    await server.start()
    client = client_of(server, LONG_POLLING, connection_timeout=0.3)
    await client.open()
    seen = Recorder(client.channel("/a"))
    await subscribed(server, "/a")
    await server.stop()
    with suppress(TransportError):
        await client.publish("/a", 1)
    stand_still(0.5)
    began = time.monotonic()
    assert isinstance(await seen.fails(), TransportError)
    assert time.monotonic() - began < 8
    await client.close()
    assert requests(server, "/meta/connect")


@BOTH
async def test_a_loop_that_is_always_slow_gives_up_all_the_same(
    kind: ConnectionType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its turns is a stall, and an outage that began anew with each would never end."""
    loop = asyncio.get_running_loop()
    clock = Clock.of_running_loop(monkeypatch)
    over = False

    def turn() -> None:
        clock.advance(0.15)
        if not over:
            loop.call_soon(turn)

    loop.call_soon(turn)
    with port_of_nobody() as port:
        client = client_of(f"http://127.0.0.1:{port}/cometd", kind, connection_timeout=1.0)
        try:
            with pytest.raises(TransportTimeoutError, match=r"no link for 1\.0 s"):
                await client.open()
            await client.close()
        finally:
            over = True
