from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
import pytest

from rx_cometd.relay import BrokerUnavailableError, Relay, operations
from rx_cometd.relay.operations import metrics
from rx_cometd.testing import BayeuxServer
from tests.unit.relay.notebook import Notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.relay import Lease

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
            async with asyncio.timeout(60):
                while (answer := await ask("/readyz"))[0] != wanted:  # noqa: ASYNC110 - it is asked
                    await asyncio.sleep(0.02)
            return answer[1]

        async with operations([relay], port=0) as port:
            running = asyncio.create_task(relay.run())
            await ready(wanted=200)
            await server.publish("/a", {"n": 1})
            async with asyncio.timeout(60):
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
    channel = 'relay="the \\"first\\"",channel="/a"'
    for figure in ("events_total", "bytes_total", "refused_total", "pending"):
        assert f"rx_cometd_relay_channel_{figure}{{{channel}}} " in text
    assert f"rx_cometd_relay_channel_events_total{{{channel}}} 1\n" in text
    assert f"bytes_total{{{channel}}} {len(notebook.records[0].value)}\n" in text
    assert told == 'not ready: the "first"\n'


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


class Taken:
    """A lease that another relay has, in a broker that may be away."""

    def __init__(self) -> None:
        self.away = False

    async def acquire(self) -> bool:
        if self.away:
            raise BrokerUnavailableError("nobody there")
        return False

    async def renew(self) -> None:
        raise NotImplementedError

    async def release(self) -> None:
        raise NotImplementedError


class Shared(Notebook):
    """A broker with that lease."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = Taken()

    def lease(self, seconds: float) -> Lease:
        return self.taken


async def test_who_stands_by_is_ready_as_long_as_another_is_at_work() -> None:
    broker = Shared()
    relay = Relay("http://127.0.0.1:1", ["/a"], broker, lease=5)
    assert not relay.ready
    running = asyncio.create_task(relay.run())
    await until(lambda: relay.ready)
    broker.taken.away = True
    await until(lambda: not relay.ready)
    relay.stop()
    await running


async def test_what_the_broker_refuses_is_counted_by_channel() -> None:
    notebook = Notebook()
    notebook.refuses = lambda record: record.subject == "cometd./a/x"
    async with BayeuxServer() as server:
        relay = Relay(server.url, ["/a/*", "/b"], notebook)
        running = asyncio.create_task(relay.run())
        await until(lambda: server.subscribers("/a/x") and server.subscribers("/b"))
        for channel in ("/a/x", "/a/y", "/b"):
            await server.publish(channel, 1)
        await until(lambda: relay.counts.written == 2 and relay.counts.refused == 1)
        text = metrics([relay])
        relay.stop()
        await running
    assert 'relay_channel_refused_total{relay="relay",channel="/a/*"} 1\n' in text
    assert 'relay_channel_refused_total{relay="relay",channel="/b"} 0\n' in text
