from __future__ import annotations

import asyncio

import aiohttp
import pytest

from rx_cometd.relay import Relay, operations
from rx_cometd.testing import BayeuxServer
from tests.unit.relay.notebook import Notebook

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_alive_ready_and_how_much() -> None:
    notebook = Notebook()
    async with (
        aiohttp.ClientSession() as session,
        BayeuxServer(salesforce=True) as server,
    ):
        relay = Relay(server.url, ["/a"], notebook, name='the "first"', initial=-2)

        async def ask(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, await response.text()

        async def ready(*, wanted: int) -> str:
            async with asyncio.timeout(20):
                while (answer := await ask("/readyz"))[0] != wanted:  # noqa: ASYNC110 - it is asked
                    await asyncio.sleep(0.02)
            return answer[1]

        async with operations([relay], port=0) as port:
            running = asyncio.create_task(relay.run())
            await ready(wanted=200)
            await server.publish("/a", {"n": 1})
            async with asyncio.timeout(20):
                while relay.counts.written < 1:  # noqa: ASYNC110 - counts change without an event
                    await asyncio.sleep(0.01)
            assert await ask("/healthz") == (200, "ok\n")
            status, text = await ask("/metrics")
            notebook.away = 1_000_000
            await server.publish("/a", {"n": 2})
            told = await ready(wanted=503)
            assert (await ask("/healthz"))[0] == 200
            notebook.away = 0
            await ready(wanted=200)
            relay.stop()
            await running
    assert status == 200
    assert "# TYPE rx_cometd_relay_written_total counter\n" in text
    assert 'rx_cometd_relay_written_total{relay="the \\"first\\""} 1\n' in text
    assert 'rx_cometd_relay_leading{relay="the \\"first\\""} 1\n' in text
    assert ',channel="/a"} 1\n' in text
    assert told == 'not ready: the "first"\n'
