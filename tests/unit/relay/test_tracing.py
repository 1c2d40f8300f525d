from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from rx_cometd.relay import Batch, BrokerUnavailableError, Record, traced_sink
from tests.integration.telemetry.collected import Collected
from tests.unit.relay.notebook import Notebook

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
OTHER = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "tracestate": "x=1"}


def record(headers: Mapping[str, str], subject: str = "cometd.a") -> Record:
    return Record(subject, "/a", None, None, {"cometd-channel": "/a", **headers}, b"1")


async def test_a_batch_is_one_span_and_links_to_what_it_carries() -> None:
    seen, notebook = Collected(), Notebook()
    sink = traced_sink(notebook, tracer_provider=seen.tracer_provider)
    batch = Batch([record(FIRST), record(FIRST), record({}), record(OTHER)], {"/a": 4}, "token")
    await sink.write(batch)
    span = seen.span("send cometd.a")
    assert span.kind is SpanKind.PRODUCER
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [0xB7AD6B7169203331, int("b" * 16, 16)]
    assert dict(span.attributes or {}) == {
        "messaging.system": "notebook",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "cometd.a",
        "messaging.batch.message_count": 4,
    }
    (written,) = notebook.batches
    assert (written.markers, written.token) == ({"/a": 4}, "token")
    first, again, new, other = written.records
    assert (first, again, other) == (record(FIRST), record(FIRST), record(OTHER))
    assert span.context is not None
    trace, identity, flags = span.context.trace_id, span.context.span_id, span.context.trace_flags
    sent = f"00-{trace:032x}-{identity:016x}-{flags:02x}"
    assert new == record({"traceparent": sent})


async def test_records_for_several_subjects_have_no_destination_together() -> None:
    seen = Collected()
    sink = traced_sink(Notebook(), tracer_provider=seen.tracer_provider)
    await sink.write(Batch([record({}, "a"), record({}, "b")], {}, "token"))
    assert "messaging.destination.name" not in (seen.span("send").attributes or {})


async def test_an_attempt_that_fails_is_told() -> None:
    seen, notebook = Collected(), Notebook()
    notebook.away = 1
    sink = traced_sink(notebook, tracer_provider=seen.tracer_provider)
    batch = Batch([record({})], {}, "token")
    with pytest.raises(BrokerUnavailableError):
        await sink.write(batch)
    await sink.write(batch)
    failed, done = seen.spans("send cometd.a")
    assert failed.status.status_code is StatusCode.ERROR
    assert (failed.attributes or {})["error.type"] == "BrokerUnavailableError"
    assert done.status.status_code is StatusCode.UNSET
    assert "messaging.batch.message_count" not in (done.attributes or {})


async def test_a_marker_alone_is_no_message() -> None:
    seen, notebook = Collected(), Notebook()
    await traced_sink(notebook, tracer_provider=seen.tracer_provider).write(
        Batch([], {"/a": 1}, "token")
    )
    assert notebook.kept == {"/a": 1}
    assert seen.spans() == []


async def test_all_else_is_the_sinks() -> None:
    notebook = Notebook()
    notebook.kept = {"/a": 7}
    sink = traced_sink(notebook)
    assert sink.subject("x.{channel}", "/a") == notebook.subject("x.{channel}", "/a")
    assert await sink.markers() == {"/a": 7}
    assert sink.system == "notebook"
    with pytest.raises(NotImplementedError):
        sink.lease(1)
    await sink.aclose()
    assert notebook.closed


def test_the_extra_that_is_missing_is_named() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from rx_cometd import relay\n"
        "try: relay.traced_sink(relay.StdoutSink())\n"
        "except ImportError as error: print(error)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "pip install 'rx-cometd[otel]'" in outcome.stdout


async def test_without_a_tracer_records_stay_as_they_are() -> None:
    notebook = Notebook()
    batch = Batch([record({}), record(FIRST)], {}, "token")
    await traced_sink(notebook).write(batch)
    assert notebook.records == batch.records
