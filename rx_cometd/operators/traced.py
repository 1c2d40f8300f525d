"""Spans around what processes messages."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from reactivex import Observable

from rx_cometd._flow.arguments import check_plain_function
from rx_cometd._flow.extras import how_to_install
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from reactivex import abc

    from rx_cometd._flow.measured import Timed
    from rx_cometd._flow.open_telemetry import Destinations

__all__ = ["Traced", "traced"]

_T = TypeVar("_T")
_F = TypeVar("_F", bound="Callable[..., Any]")


def traced(
    *,
    templates: Iterable[str] = (),
    destination: Callable[[Any], str] | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> Traced:
    """Record the processing of each message as an OpenTelemetry span, ``process {destination}``.

    .. marble::
        :alt: traced

        --1--2--3-|
        [ traced() ]      a span is open while the observer is called
        --1--2--3-|

    As an operator, the span is around the observer and the operators behind it, as far as they
    work at once. Asynchronous work has a span of its own if its function is given to `traced`
    instead: ``map_async(traced()(store))``. A span has the kind CONSUMER; it is a child of the one
    that the message carries (`rx_cometd.extensions.trace_context`), and linked to it. Its duration
    is recorded as ``messaging.process.duration``.

    Args:
        templates: Templates of channels, as ``/user/{id}/inbox``, by which spans are named and
            metrics are told apart.
        destination: Gives the channel of an item; that of the message if ``None``. An item that
            has none is processed in a span without destination.
        tracer_provider: Where spans go; OpenTelemetry's global provider if ``None``.
        meter_provider: Where durations go, likewise.

    Errors:
        Those of the source. What the observer raises is recorded in the span, and raised on.

    Returns:
        A pipeable operator, and a decorator of functions and coroutine functions.

    Raises:
        ImportError: The package ``opentelemetry-api`` is not installed (``rx-cometd[otel]``).
        TypeError: An argument is of the wrong kind.
        InvalidChannelError: A template is not a valid channel name.

    Example:
        >>> import reactivex
        >>> event = {"channel": "/news", "data": "rain"}
        >>> subscription = reactivex.of(event).pipe(traced()).subscribe(print)
        {'channel': '/news', 'data': 'rain'}
        >>> traced()(len)([7, 7])
        2
    """
    try:
        from rx_cometd._flow.open_telemetry import Destinations  # noqa: PLC0415 - an extra
    except ImportError as error:
        text = f"traced needs OpenTelemetry: {how_to_install('otel')}"
        raise ImportError(text) from error
    if destination is not None:
        check_plain_function("destination", destination)
    channel_of = _channel if destination is None else destination
    return Traced(Destinations(templates), channel_of, tracer_provider, meter_provider)


def _channel(item: Any) -> str | None:
    channel = cast("dict[str, Any]", item).get("channel") if isinstance(item, dict) else None
    return channel if isinstance(channel, str) else None


class Traced:
    """The operator and decorator that `traced` makes."""

    def __init__(
        self,
        destinations: Destinations,
        channel_of: Callable[[Any], str | None],
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        from rx_cometd._flow import measured  # noqa: PLC0415 - an extra
        from rx_cometd._flow import open_telemetry as telemetry  # noqa: PLC0415 - an extra

        self._channel_of = channel_of
        self._tracing = telemetry.Tracing(destinations, tracer_provider)
        self._measured = measured.Measured(telemetry.PROCESS, destinations)
        self._timed = measured.Timed
        self._record = measured.duration(
            telemetry.meter(meter_provider),
            "messaging.process.duration",
            "Duration of processing operation.",
        )

    @overload
    def __call__(self, target: Observable[_T], /) -> Observable[_T]: ...
    @overload
    def __call__(self, target: _F, /) -> _F: ...
    def __call__(self, target: Any, /) -> Any:
        """Apply to an observable, or wrap a function whose first argument is the message."""
        if isinstance(target, Observable):
            source: Observable[Any] = target  # pyright: ignore[reportUnknownVariableType]
            return self._operator(source)
        if inspect.iscoroutinefunction(target):

            @functools.wraps(target)
            async def work(message: Any, *args: Any, **kwargs: Any) -> Any:
                with self._processing(message):
                    return await target(message, *args, **kwargs)

            return work

        @functools.wraps(target)
        def handle(message: Any, *args: Any, **kwargs: Any) -> Any:
            with self._processing(message):
                return target(message, *args, **kwargs)

        return handle

    def _operator(self, source: Observable[_T]) -> Observable[_T]:
        def subscribe(
            observer: abc.ObserverBase[_T], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(item: _T) -> None:
                with self._processing(item):
                    observer.on_next(item)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return derive(source, subscribe)

    def _processing(self, item: Any) -> Timed:
        channel = self._channel_of(item)
        span = self._tracing.processing(channel, item)
        return self._timed(span, self._measured.of(channel), self._record)
