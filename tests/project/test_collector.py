"""Spans and metrics arrive at a real collector of OpenTelemetry, over OTLP."""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, replay, telemetry, trace_context, traced_store
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.integration.client_driver import Recorder, client_of, subscribed
from tests.integration.stores.servers import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


DOCS = Path(__file__).parents[2] / "docs" / "observability.md"
#: Where .ci/install-collector.sh builds it.
BUILT = Path.home() / ".cache" / "rx_cometd" / "collector" / "collector"
COLLECTOR = shutil.which("otelcol") or (str(BUILT) if BUILT.exists() else None)

ORDERS = 5

CONFIGURATION = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
"""


class Span(NamedTuple):
    """A span as the collector tells of it."""

    trace: str
    parent: str
    id: str
    name: str
    kind: str


def spans_in(text: str) -> list[Span]:
    fields = ("Trace ID", "Parent ID", "ID", "Name", "Kind")
    line = r"\s+{}\s*: *(.*)\n"
    return [Span(*found) for found in re.findall("".join(line.format(f) for f in fields), text)]


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"Descriptor:\n\s+-> Name: (\S+)", text))


def metrics_told() -> set[str]:
    table = DOCS.read_text(encoding="utf-8").partition("| metric |")[2].partition("\n\n")[0]
    return set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE))


@asynccontextmanager
async def collector(directory: Path) -> AsyncGenerator[tuple[str, Callable[[], str]]]:
    """Run a collector; give where it takes OTLP, and what tells all that it has written."""
    port = free_port()
    configuration, written = directory / "collector.yaml", directory / "collector.txt"
    configuration.write_text(CONFIGURATION.format(port=port), encoding="utf-8")
    with written.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            COLLECTOR or "otelcol", "--config", str(configuration), stdout=output, stderr=output
        )
    try:
        while "Everything is ready" not in written.read_text(encoding="utf-8"):
            assert process.returncode is None, written.read_text(encoding="utf-8")
            await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", lambda: written.read_text(encoding="utf-8")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def observed(tracers: TracerProvider, meters: MeterProvider) -> None:
    """Have something to see in each metric, and spans from the publisher to the marker."""
    extensions = [
        telemetry(tracer_provider=tracers, meter_provider=meters),
        trace_context(),
        replay(traced_store(MemoryStore(), tracer_provider=tracers)),
    ]
    traced = cometd_ops.traced(tracer_provider=tracers, meter_provider=meters)
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        client_of(server, extensions=extensions) as client,
    ):
        got = Recorder(client.channel("/orders").pipe(traced))
        events = Recorder(client.channel("/event/Order__e"))
        dropping = cometd_ops.bounded_buffer(1, cometd_ops.Overflow.DROP_OLDEST)
        slow = client.channel("/quotes").pipe(dropping).subscribe(lambda _: None)
        for channel in ("/orders", "/quotes", "/event/Order__e"):
            await subscribed(server, channel)
        for number in range(ORDERS):
            await client.publish("/orders", number)
        # In one turn, so in one payload: the buffer of one has to drop.
        await asyncio.gather(*(client.publish("/quotes", number) for number in range(3)))
        await server.publish("/event/Order__e", {"payload": {}})
        await got.count(ORDERS)
        await events.count(1)
        slow.dispose()
        await asyncio.to_thread(meters.force_flush)
    await asyncio.to_thread(tracers.force_flush)


@pytest.mark.skipif(COLLECTOR is None, reason="run .ci/install-collector.sh")
@pytest.mark.timeout(240)
async def test_spans_and_metrics_arrive(tmp_path: Path) -> None:
    async with collector(tmp_path) as (url, written), asyncio.timeout(180):
        tracers, meters = (
            TracerProvider(),
            MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))]),
        )
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
        await observed(tracers, meters)
        for provider in (tracers, meters):
            await asyncio.to_thread(provider.shutdown)
        # What was flushed is there, for the exporters wait for the answer.
        spans, metrics = spans_in(written()), metrics_in(written())
    assert metrics == metrics_told()
    published = {span.id: span for span in spans if span.name == "publish /orders"}
    processed = [span for span in spans if span.name == "process /orders"]
    assert len(published) == len(processed) == ORDERS
    for span in processed:
        assert span.trace == published[span.parent].trace
    assert {span.kind for span in published.values()} == {"Producer"}
    assert {span.kind for span in processed} == {"Consumer"}
    assert "settle /event/Order__e" in {span.name for span in spans}
