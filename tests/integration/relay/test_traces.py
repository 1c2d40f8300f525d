"""A trace goes from who publishes through relay and broker to who consumes."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client
from rx_cometd.extensions import telemetry, trace_context
from rx_cometd.operators import traced
from rx_cometd.relay import Relay, sink_for, traced_sink
from rx_cometd.testing import BayeuxServer
from tests.integration.relay.test_consuming import consumed, until
from tests.integration.telemetry.collected import Collected, check_one_trace

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.integration.relay.brokers import Broker

pytestmark = pytest.mark.usefixtures("everything_closed")


@asynccontextmanager
async def relaying(
    broker: Broker, server: BayeuxServer, channel: str, seen: Collected
) -> AsyncGenerator[None]:
    name = uuid.uuid4().hex
    sink = traced_sink(sink_for(broker.url, name), tracer_provider=seen.tracer_provider)
    relay = Relay(server.url, [channel], sink, name=name)
    running = asyncio.create_task(relay.run())
    try:
        await until(lambda: server.subscribers(channel))
        yield
    finally:
        relay.stop()
        await running


async def test_one_trace_from_the_publisher_to_the_consumer(broker: Broker) -> None:
    channel = f"/news/{uuid.uuid4().hex}"
    seen, events = Collected(), list[Any]()
    extensions = [telemetry(**seen.providers), trace_context()]
    async with (
        BayeuxServer() as server,
        Client(server.url, extensions=extensions) as client,
        relaying(broker, server, channel, seen),
    ):
        await client.publish(channel, {"n": 1})
        await until(lambda: seen.spans("send"))
        await server.publish(channel, {"n": 2})  # by somebody who knows of no traces
        with consumed(broker, channel).pipe(traced(**seen.providers)).subscribe(events.append):
            await until(lambda: len(events) == 2)
    with_trace, without = seen.spans(f"send cometd.{channel[1:].replace('/', '.')}")
    published = seen.span(f"publish {channel}")
    assert published.context is not None
    first, second = seen.spans(f"process {channel}")
    check_one_trace(published, first)
    assert [link.context.span_id for link in with_trace.links] == [published.context.span_id]
    check_one_trace(without, second)
    assert (without.attributes or {})["messaging.system"] == broker.url.partition(":")[0]
