"""A broker whose writes are spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd._flow.extras import how_to_install
from rx_cometd.relay.record import TRACE, Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import TracerProvider

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Record
    from rx_cometd.relay.sink import Lease, Sink

__all__ = ["traced_sink"]


def traced_sink(sink: Sink, *, tracer_provider: TracerProvider | None = None) -> Sink:
    """Have each batch that is written be a span of OpenTelemetry, ``send {subject}``.

    The span begins a trace of its own, with a link to each trace that an event of the batch
    carries; one that carries none is written with the ``traceparent`` of the span. So what
    `rx_cometd.operators.traced` makes of it behind `from_nats` and its like belongs to the trace of
    the publisher, or where there is none to that of the relay.

    Args:
        sink: Any sink that a `Relay` takes.
        tracer_provider: Where spans go; OpenTelemetry's global provider if ``None``.

    Returns:
        A sink that does what the given one does.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).

    Example:
        >>> from rx_cometd.relay import StdoutSink
        >>> traced_sink(StdoutSink())
        <traced <StdoutSink>>
    """
    try:
        from rx_cometd._flow.open_telemetry import Destinations, Tracing  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = f"traced_sink needs OpenTelemetry: {how_to_install('otel')}"
        raise ImportError(text) from error
    return _TracedSink(sink, Tracing(Destinations(()), tracer_provider))


class _TracedSink:
    """The given sink, but for what is written."""

    def __init__(self, sink: Sink, tracing: Any) -> None:
        from rx_cometd._flow import open_telemetry  # noqa: PLC0415 - as above

        self._sink = sink
        self._tracing = tracing
        self._telemetry = open_telemetry
        self.system = sink.system

    def __repr__(self) -> str:
        return f"<traced {self._sink!r}>"

    def subject(self, template: str, channel: str) -> str:
        return self._sink.subject(template, channel)

    async def markers(self) -> Mapping[str, ReplayId]:
        return await self._sink.markers()

    async def write(self, batch: Batch) -> None:
        if not batch.records:  # a marker alone
            await self._sink.write(batch)
            return
        telemetry = self._telemetry
        subjects = {record.subject for record in batch.records}
        more: dict[str, Any] = {telemetry.SYSTEM: self.system}
        if len(batch.records) > 1:
            more[telemetry.BATCH_COUNT] = len(batch.records)
        traces = [trace for record in batch.records if (trace := _trace_of(record))]
        subject = subjects.pop() if len(subjects) == 1 else None
        with self._tracing.sending(subject, traces, more=more):
            carried: dict[str, str] = {}
            telemetry.inject(carried)
            records = [_with_trace(record, carried) for record in batch.records]
            await self._sink.write(batch._replace(records=records))

    def lease(self, seconds: float) -> Lease:
        return self._sink.lease(seconds)

    async def aclose(self) -> None:
        await self._sink.aclose()


def _trace_of(record: Record) -> dict[str, str]:
    return {name: record.headers[name] for name in TRACE if name in record.headers}


def _with_trace(record: Record, carried: Mapping[str, str]) -> Record:
    if TRACE[0] in record.headers:
        return record
    return record._replace(headers={**record.headers, **carried})
