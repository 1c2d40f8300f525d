"""Spans and metrics of a client, as OpenTelemetry's conventions for messaging have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd._flow.arguments import check_choice

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
    """Make the extension that gives OpenTelemetry what a client does.

    Each publish is a span ``publish {destination}``, each call a span ``call {destination}``.
    The metrics are listed in the documentation, "Observability"; all but the duration of requests
    are read from what the client counts anyhow when they are collected, so that a message costs
    no more for them. Make one for all clients of a process: instruments cannot be taken back.

    Args:
        templates: Templates of channels, as ``/user/{id}/inbox``. Spans are named by them, and
            metrics tell them apart; of the channels that fit none, metrics tell the first ten
            by name and the others together.
        tracer_provider: Where spans go; OpenTelemetry's global provider if ``None``.
        meter_provider: Where metrics go, likewise.
        durations: Whether to record how long each publish and call took. That is one call of the
            SDK's histogram for each, which costs several times as much as all the other metrics.

    Returns:
        The extension, to be put into ``Client(extensions=[...])`` of any number of clients.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).
        TypeError: ``templates`` is no list of them, or ``durations`` no bool.
        InvalidChannelError: A template cannot be that of a channel.
    """
    try:
        from rx_cometd.extensions.open_telemetry import Telemetry  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = "telemetry needs OpenTelemetry: pip install rx-cometd[otel]"
        raise ImportError(text) from error
    check_choice("durations", durations)
    return Telemetry(templates, tracer_provider, meter_provider, durations=durations)
