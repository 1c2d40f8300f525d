"""One trace, from whoever publishes to the handler of whoever receives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import telemetry, trace_context
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed
from tests.integration.telemetry.collected import Collected, check_one_trace

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


@BOTH
@pytest.mark.parametrize("telemetry_first", [True, False])
async def test_the_observer_is_called_within_the_trace(
    kind: ConnectionType, telemetry_first: bool
) -> None:
    seen = Collected()
    extensions = [telemetry(**seen.providers), trace_context()]
    if not telemetry_first:
        extensions.reverse()
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:
        within: list[int] = []
        traced = client.channel("/a").pipe(cometd_ops.traced(**seen.providers))
        got = Recorder(client.channel("/a"))
        traced.subscribe(
            lambda _: within.append(trace.get_current_span().get_span_context().span_id)
        )
        await subscribed(server, "/a")
        await client.publish("/a", 1, fields={"ext": {"mine": 7}})
        (message,) = await got.count(1)
        assert message["ext"]["mine"] == 7
        assert set(message["ext"]) == {"mine", "traceparent"}
        processed = seen.span("process /a")
        check_one_trace(seen.span("publish /a"), processed)
        assert processed.context is not None
        assert within == [processed.context.span_id]
        ((labels, count),) = seen.points()["messaging.process.duration"]
        assert (labels["messaging.operation.name"], count) == ("process", 1)


@BOTH
async def test_asynchronous_work_is_within_the_trace(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(**seen.providers), trace_context()]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:

        @cometd_ops.traced(**seen.providers)
        async def work(message: Any) -> int:
            await asyncio.sleep(0)
            inner = trace.get_tracer("mine", tracer_provider=seen.tracer_provider)
            with inner.start_as_current_span("mine"):
                return int(message["data"])

        got = Recorder(client.channel("/a").pipe(cometd_ops.map_async(work, max_concurrency=3)))
        await subscribed(server, "/a")
        await asyncio.gather(*(client.publish("/a", n) for n in range(3)))
        assert await got.count(3) == [0, 1, 2]
        by_trace = {s.context.trace_id: s for s in seen.spans("publish") if s.context}
        assert len(by_trace) == 3
        for processed in seen.spans("process"):
            assert processed.context is not None
            check_one_trace(by_trace[processed.context.trace_id], processed)
        assert {s.context.trace_id for s in seen.spans("mine") if s.context} == set(by_trace)


@BOTH
async def test_nothing_is_added_outside_of_a_trace(kind: ConnectionType) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[trace_context()]) as client,
    ):
        got = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        (message,) = await got.count(1)
        assert "ext" not in message
