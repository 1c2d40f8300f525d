"""The fragments about statistics, OpenTelemetry and logging."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, Event
from rx_cometd.extensions import MemoryStore
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import Recorder
from tests.integration.telemetry.collected import Collected
from tests.project.pages.fragment import fragments_of, going_on, run
from tests.project.pages.printed import Printed

if TYPE_CHECKING:
    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")


@fragments_of("observability.md", "Statistics")
async def test_messages_are_counted_while_a_block_wants_it(blocks: list[Block]) -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        recorder = Recorder(client.channel("/news"))
        await server.until(lambda: server.subscribers("/news"))

        class Meanwhile:
            """What the ten seconds of the page are for, sooner."""

            @staticmethod
            async def sleep(seconds: float) -> None:
                assert seconds == 10
                for number in range(3):
                    await server.publish("/news", number)
                await recorder.until(lambda: len(recorder.items) == 3)

        names: dict[str, Any] = {"client": client, "asyncio": Meanwhile}
        names["print"] = printed = Printed()
        await run(blocks[0], names)
        name, rate, age, pending, drops = await printed.next()
    assert (name, pending, drops) == ("/news", 0, 0)
    assert rate > 0
    assert 0 <= age < 5


@fragments_of("observability.md", "OpenTelemetry")
async def test_one_trace_goes_to_the_handler(blocks: list[Block]) -> None:
    collected = Collected()
    handled = asyncio.Event()

    async def handle(event: Event) -> str:
        assert event["data"]["text"] == "hello"
        handled.set()
        return "done"

    async with BayeuxServer(salesforce=True) as server:
        names: dict[str, Any] = {"url": server.url, "handle": handle, "store": MemoryStore()}
        names["providers"] = collected.providers
        names["tracer"] = {"tracer_provider": collected.tracer_provider}
        replace = {
            "telemetry(templates=templates)": "telemetry(templates=templates, **providers)",
            "traced_store(store, templates": "traced_store(store, **tracer, templates",
            "traced(templates=templates)": "traced(templates=templates, **providers)",
        }
        async with going_on(run(blocks[0], names, replace=replace)):
            await server.until(lambda: server.subscribers("/user/7/inbox"))
            await server.publish("/user/7/inbox", {"text": "hello"})
            await handled.wait()
            await names["client"].close()
        assert names["store"].load("/user/7/inbox") is not None
    spans = {span.name for span in collected.spans()}
    assert {"process /user/{id}/inbox", "settle /user/{id}/inbox"} <= spans
    attributes = [found for found, _ in collected.points()["messaging.client.consumed.messages"]]
    assert "/user/{id}/inbox" in [a.get("messaging.destination.template") for a in attributes]


@fragments_of("observability.md", "Logging")
async def test_a_structured_formatter(blocks: list[Block]) -> None:
    names: dict[str, Any] = {"json": json, "logging": logging, "WANTED": {"event", "state"}}
    await run(blocks[0], names)
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keep(logging.INFO)
    handler.setFormatter(names["AsJson"]())
    log = logging.getLogger("rx_cometd")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        async with BayeuxServer() as server, Client(server.url):
            pass
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    told = [json.loads(line) for line in lines]
    assert {line["event"] for line in told} == {"state_changed"}
    assert {"connected", "disconnected"} <= {line["state"] for line in told}
    assert all(line["text"] for line in told)
