"""One trace goes from whoever publishes through a server to the handler of whoever receives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import telemetry, trace_context
from tests.conformance.observing import Seen, confirmed
from tests.integration.telemetry.collected import Collected, check_one_trace

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeClient
    from tests.conformance.serving import Server


async def test_one_trace(server: Server, make_client: MakeClient, channel: str) -> None:
    """Two clients, as in two processes: they share the server only."""
    publisher, consumer = Collected(), Collected()
    extensions = [telemetry(**publisher.providers), trace_context()]

    @cometd_ops.traced(**consumer.providers)
    async def handle(_: Any) -> int:
        return trace.get_current_span().get_span_context().trace_id

    async with (
        make_client(server) as receiving,
        make_client(server, extensions=extensions) as sending,
    ):
        handled: Seen[int] = Seen(receiving.channel(channel).pipe(cometd_ops.map_async(handle)))
        await confirmed(receiving, channel)
        outer = trace.get_tracer("user", tracer_provider=publisher.tracer_provider)
        with outer.start_as_current_span("order") as order:
            await sending.publish(channel, {"buy": 1})
        (trace_id,) = await handled.count(1)
    assert trace_id == order.get_span_context().trace_id
    check_one_trace(publisher.span(f"publish {channel}"), consumer.span(f"process {channel}"))
