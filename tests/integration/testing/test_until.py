"""Waiting for the server to be in a state: what it says when that never happens."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from rx_cometd import Client
from rx_cometd.testing import BayeuxServer


async def test_the_error_tells_the_state_of_the_server() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        await client.subscribe("/news")
        with pytest.raises(TimeoutError) as raised:
            await server.until(lambda: server.subscribers("/sport"), timeout=0.05)
        text = str(raised.value)
        assert re.match("the condition did not hold within 0.05 s; the server is running, ", text)
        assert f"{client.client_id} (websocket, " in text
        assert "subscribed to /news" in text


async def test_it_tells_of_a_server_without_sessions() -> None:
    async with BayeuxServer() as server:
        server.faults.stall()
        with pytest.raises(TimeoutError, match=r"is stalled.*these sessions: none"):
            await server.until(lambda: server.sessions, timeout=0.05)


def test_a_server_of_a_loop_that_does_not_run_is_an_error_at_once() -> None:
    async def use(server: BayeuxServer) -> None:
        with pytest.raises(RuntimeError, match="started on another event loop"):
            Client(server.url)
        with pytest.raises(RuntimeError, match="the same loop_scope for both"):
            await server.until(lambda: True)

    with asyncio.Runner() as fixture:
        server = BayeuxServer()
        fixture.run(server.start())
        try:
            with asyncio.Runner() as test:
                test.run(use(server))
            # Without a loop, as where a fixture hands the address on.
            assert server.url.startswith("http://127.0.0.1:")
        finally:
            fixture.run(server.stop())


async def test_time_in_which_the_loop_stood_still_does_not_count() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        waiting = asyncio.create_task(server.until(lambda: server.subscribers("/news"), 0.5))
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251 - a machine that stalls
        client.channel("/news").subscribe()
        await waiting
