"""What spans and metrics a test gave, read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Collected", "check_one_trace"]


class Collected:
    """Providers that keep what they are given."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader])

    @property
    def providers(self) -> dict[str, Any]:
        """The arguments that bring it into use."""
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    def spans(self, begin: str = "") -> list[ReadableSpan]:
        """Give the spans that ended, of those whose names begin so."""
        return [s for s in self._exporter.get_finished_spans() if s.name.startswith(begin)]

    def span(self, name: str) -> ReadableSpan:
        """Give the only span of a name."""
        (found,) = [span for span in self.spans(name) if span.name == name]
        return found

    def metrics(self) -> dict[str, Metric]:
        """Collect the metrics, by name."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self) -> dict[str, list[tuple[Mapping[str, Any], float]]]:
        """Collect the metrics: by name, their attributes and values; of a histogram the count."""
        return {
            name: [(p.attributes or {}, _value(p)) for p in metric.data.data_points]
            for name, metric in self.metrics().items()
        }


def _value(point: Any) -> float:
    if isinstance(point, HistogramDataPoint):
        return point.count
    assert isinstance(point, NumberDataPoint)
    return point.value


def check_one_trace(published: ReadableSpan, processed: ReadableSpan) -> None:
    """Check that a message was processed in the trace that it was published in."""
    sent, received = published.context, processed.context
    assert sent is not None
    assert received is not None
    assert sent.trace_id == received.trace_id
    assert processed.parent is not None
    assert processed.parent.span_id == sent.span_id
    (link,) = processed.links
    assert link.context.span_id == sent.span_id
    assert (published.kind, processed.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
