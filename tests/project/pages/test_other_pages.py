"""The fragments of the pages about slow consumers, types, threads, testing, and the relay."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from nats.aio.client import Client as NatsClient
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from rx_cometd import Client
from rx_cometd.operators import to_async_iterable
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import Recorder
from tests.integration.relay.brokers import Nats
from tests.project.pages.fragment import PLACEHOLDER, code_of, fragments_of, going_on, run
from tests.project.pages.printed import Printed
from tests.project.programs import run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")

LOCAL_BROKER = "nats://localhost"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


@fragments_of("slow-consumers.md", "Leaving")
async def test_leaving_the_loop_ends_the_subscription(blocks: list[Block]) -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        names = {"channel": client.channel("/news"), "to_async_iterable": to_async_iterable}
        async with going_on(run(blocks[0], names)) as running:
            await server.until(lambda: server.subscribers("/news"))
            await server.publish("/news", 1)
            await running
            await server.until(lambda: not server.subscribers("/news"))
    assert names["message"] == {"channel": "/news", "data": 1}


@dataclass
class Quote:
    price: float


@fragments_of("typing.md", "Where a checker needs help")
async def test_a_function_with_types_in_place_of_a_lambda(blocks: list[Block]) -> None:
    names = await run(blocks[0], {"Quote": Quote}, replace={"(1.0)": "(0.01)"})
    async with BayeuxServer() as server, Client(server.url) as client:
        quotes = client.channel("/stock").map(lambda message: Quote(message["data"]))
        batches = Recorder(names["batches_of"](quotes))
        await server.until(lambda: server.subscribers("/stock"))
        await server.publish("/stock", 1)
        await batches.until(lambda: bool(batches.items))
        batches.subscription.dispose()
    assert batches.items == [[Quote(1)]]


@fragments_of("threads.md", "Jupyter")
async def test_cells_of_a_notebook(blocks: list[Block]) -> None:
    printed = Printed()
    async with BayeuxServer() as server:
        names: dict[str, Any] = {"Client": Client, "print": printed}
        await run(blocks[0], names, replace={PLACEHOLDER: server.url})
        await server.until(lambda: server.subscribers("/stock/ACME"))
        await server.publish("/stock/ACME", 1)
        assert (await printed.next())["data"] == 1
        await run(blocks[1], names)
        assert names["client"].closed
        assert not server.sessions


@fragments_of("testing.md", "The pytest fixture")
@pytest.mark.parametrize("number", [0, 1])
def test_a_test_of_ones_own_passes(blocks: list[Block], number: int, tmp_path: Path) -> None:
    (tmp_path / "test_orders.py").write_text(code_of(blocks[number]), encoding="utf-8")
    code_of(blocks[1 - number])  # by the other one of the two
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    outcome = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path)
    assert "1 passed" in outcome.stdout


@fragments_of("relay.md", "The relay")
async def test_a_relay_in_a_program(blocks: list[Block], broker: Nats) -> None:
    async with BayeuxServer(salesforce=True) as server:
        names = await run(blocks[0], replace={PLACEHOLDER: server.url, LOCAL_BROKER: broker.url})
        async with going_on(names["main"]()):
            await server.until(lambda: server.subscribers("/event/Order__e"))
            await server.publish("/event/Order__e", {"item": "book"})
            found: list[Any] = []
            async with asyncio.timeout(30):
                while not found:
                    with suppress(NotFoundError):  # the relay has not made the stream yet
                        stored = await broker.read("cometd.event.Order__e")
                        found = [record for record in stored if b"book" in record.value]
    assert b'"item": "book"' in found[0].value
    assert found[0].headers["cometd-channel"] == "/event/Order__e"


@fragments_of("relay.md", "Consuming")
async def test_out_of_the_broker_and_back(blocks: list[Block], broker: Nats) -> None:
    stored: asyncio.Queue[Any] = asyncio.Queue()
    connection = NatsClient()
    await connection.connect(broker.url)
    stream = JetStreamContext(connection)
    await stream.add_stream(name="orders", subjects=["orders.>"])
    try:
        await stream.stream_info("cometd")
    except NotFoundError:  # no relay has made it before
        await stream.add_stream(name="cometd", subjects=["cometd.>"])
    async with BayeuxServer() as server, Client(server.url) as client:
        names = await run(blocks[0], replace={LOCAL_BROKER: broker.url})
        names["store"] = stored.put
        ordered = Recorder(client.channel("/orders"))
        await server.until(lambda: server.subscribers("/orders"))
        await names["main"](client)
        headers = {"cometd-channel": "/event/Order__e"}
        await stream.publish("cometd.event.Order__e", b'{"item": "pen"}', headers=headers)
        await stream.publish("orders.new", b'{"buy": 1}')
        async with asyncio.timeout(30):
            while (event := await stored.get())["data"] != {"item": "pen"}:
                pass
            await ordered.until(lambda: bool(ordered.items))
    await connection.close()
    # The program on the page consumes for as long as it lives.
    consuming = [t for t in asyncio.all_tasks() if t.get_name() == "rx_cometd.relay.consume"]
    for task in consuming:
        task.cancel()
    await asyncio.wait(consuming)
    assert event["channel"] == "/event/Order__e"
    assert ordered.items[0]["data"] == {"buy": 1}
