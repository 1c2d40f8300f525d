"""The trace context extension: which trace a message belongs to, for those who receive it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd._flow.extras import how_to_install
from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

    from rx_cometd.extension import Request

__all__ = ["trace_context"]


def trace_context() -> Extension:
    """Make the extension that puts ``traceparent`` into the ``ext`` of what is published.

    The form is that of the W3C recommendation "Trace Context": the fields ``traceparent``, and
    ``tracestate`` if there is one. A CometD server passes the ``ext`` of a message on to its
    receivers, so that `rx_cometd.operators.traced` there, or anything else that supports the
    recommendation, continues the trace. The span is the current one of the caller
    of ``publish`` or ``call``; with `telemetry`, the span of that request, in whatever order the
    two are listed. Outside of a span nothing is added.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).
    """
    try:
        from rx_cometd._flow.open_telemetry import inject  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = f"trace_context needs OpenTelemetry: {how_to_install('otel')}"
        raise ImportError(text) from error
    return _TraceContext(inject)


class _TraceContext(Extension):
    def __init__(self, inject: Callable[[MutableMapping[str, Any]], None]) -> None:
        self._inject = inject

    def __repr__(self) -> str:
        return "<TraceContext>"

    def fill_request(self, request: Request) -> None:
        ext = dict(request.fields.get("ext") or {})
        self._inject(ext)
        if ext:
            request.fields["ext"] = ext
