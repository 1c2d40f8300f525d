"""How OpenTelemetry's conventions apply to CometD."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry import trace

from rx_cometd import ServerError
from rx_cometd._flow.open_telemetry import Destinations, error_type, extract


def test_the_first_template_that_fits_names_a_channel() -> None:
    known = Destinations(["/user/me", "/user/{id}", "/{kind}/{id}/inbox"])
    assert known.template("/user/me") == "/user/me"
    assert known.template("/user/42") == "/user/{id}"
    assert known.template("/user/42/inbox") == "/{kind}/{id}/inbox"
    assert known.template("/user") is None
    assert known.shown("/user") == "/user"


def test_metrics_tell_few_names_apart() -> None:
    known = Destinations(["/user/{id}"])
    told = [known.labels(f"/room/{number}") for number in range(12)]
    names = [labels["messaging.destination.name"] for labels in told]
    assert names == [*(f"/room/{number}" for number in range(10)), "_OTHER", "_OTHER"]
    assert known.labels("/room/3") == told[3]
    assert known.labels("/user/1") == {"messaging.destination.template": "/user/{id}"}


def test_names_without_end_take_no_memory_without_end() -> None:
    known = Destinations([])
    for number in range(25_000):
        known.template(f"/a/{number}")
    assert len(vars(known)["_found"]) <= 10_000


@pytest.mark.parametrize(
    "message",
    [None, 7, {}, {"ext": None}, {"ext": {"traceparent": 7}}, {"ext": {"traceparent": "00-x"}}],
)
def test_what_carries_no_context_begins_a_trace(message: Any) -> None:
    assert not trace.get_current_span(extract(message)).get_span_context().is_valid


LATER = """
import time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rx_cometd._flow.open_telemetry import PUBLISH, UNTRACED, Destinations, Tracing

proxy = trace.get_tracer_provider()
known = [Tracing(Destinations([]), given) for given in (None, proxy)]
assert all(tracing.span(PUBLISH, "/a") is UNTRACED for tracing in known)
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
deadline = time.monotonic() + 30
for tracing in known:
    while (span := tracing.span(PUBLISH, "/a")) is UNTRACED:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with span:
        pass
assert [span.name for span in spans.get_finished_spans()] == 2 * ["publish /a"]
"""


def test_a_provider_that_is_set_up_later_is_found() -> None:
    # In a process of its own, for it can be set up once only.
    subprocess.run([sys.executable, "-c", LATER], check=True, timeout=100)


def test_an_error_is_told_by_its_code_or_its_class() -> None:
    assert error_type(ServerError("no", {"error": "403:a:denied"})) == "403"
    assert error_type(ServerError("no", {"error": "denied"})) == "ServerError"
    assert error_type(TimeoutError()) == "TimeoutError"
