"""Spans and metrics of a client, as OpenTelemetry's conventions for messaging have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd._flow.arguments import check_choice
from rx_cometd._flow.extras import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from rx_cometd.extensions.open_telemetry import Telemetry

__all__ = ["telemetry"]


def telemetry(
    *,
    templates: Iterable[str] = (),
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    durations: bool = True,
) -> Telemetry:
    """Make the extension that reports what a client does to OpenTelemetry.

    Each publish is a span ``publish {destination}``, each call a span ``call {destination}``.
    The metrics are listed in the documentation, "Observability"; all but the duration of requests
    are read, when they are collected, from counters that the client has anyway, so a message
    costs nothing extra. Make one for all clients of a process: instruments cannot be removed.

    Args:
        templates: Templates of channels, such as ``/user/{id}/inbox``, used in the names of spans
            and as attributes of metrics. Of the channels that match none, metrics list the first
            ten by name and the others together.
        tracer_provider: Where spans go; OpenTelemetry's global provider if ``None``.
        meter_provider: Where metrics go, likewise.
        durations: Whether to record how long each publish and call took. That is one call of the
            SDK's histogram for each, which costs several times as much as all the other metrics.

    Returns:
        The extension, to be put into ``Client(extensions=[...])`` of any number of clients.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).
        TypeError: ``templates`` is not a list of templates, or ``durations`` not a bool.
        InvalidChannelError: A template is not a valid channel name.
    """
    try:
        from rx_cometd.extensions.open_telemetry import Telemetry  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = f"telemetry needs OpenTelemetry: {how_to_install('otel')}"
        raise ImportError(text) from error
    check_choice("durations", durations)
    return Telemetry(templates, tracer_provider, meter_provider, durations=durations)
