"""OpenTelemetry's conventions for messaging, and how they apply to CometD.

After the semantic conventions 1.44.0 (https://opentelemetry.io/docs/specs/semconv/messaging/),
whose part on messaging has the status "Development". Needs ``opentelemetry-api``, so that only
what was asked to trace or to measure imports this.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from rx_cometd._flow.arguments import check_methods
from rx_cometd._protocol.channel_names import validate_channel

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, MutableMapping

    from opentelemetry.util.types import AttributeValue

__all__ = [
    "BATCH_COUNT",
    "CALL",
    "ERROR_TYPE",
    "PROCESS",
    "PUBLISH",
    "REMEMBERED",
    "SETTLE",
    "SYSTEM",
    "UNTRACED",
    "Destinations",
    "Operation",
    "Tracing",
    "attributes_of",
    "error_type",
    "extract",
    "inject",
    "meter",
]

_SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
_LIBRARY: Final = "rx_cometd"

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION_NAME: Final = "messaging.destination.name"
DESTINATION_TEMPLATE: Final = "messaging.destination.template"
MESSAGE_ID: Final = "messaging.message.id"
BATCH_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"

#: Destinations that metrics tell apart by name, those of templates left aside.
_MOST_NAMES: Final = 10
#: What the conventions have for a value that is one too many.
_OTHER: Final = "_OTHER"
#: Channels remembered with their template; servers may make up names without end.
REMEMBERED: Final = 10_000

#: Links that a span keeps, unless it is told otherwise.
_MOST_LINKS: Final = 128

_PROPAGATOR: Final = TraceContextTextMapPropagator()
#: In place of a span where nobody traces.
UNTRACED: Final = nullcontext()
#: Seconds from one question whether an application has set up tracing by now to the next. Asking
#: takes as long as all else that a publish without a span costs.
_ASKED_AGAIN: Final = 0.1


class Operation(NamedTuple):
    """What is done with a message: the name here, the type in the conventions."""

    name: str
    type: str
    kind: trace.SpanKind


PUBLISH: Final = Operation("publish", "send", trace.SpanKind.PRODUCER)
CALL: Final = Operation("call", "send", trace.SpanKind.CLIENT)
SEND: Final = Operation("send", "send", trace.SpanKind.PRODUCER)
PROCESS: Final = Operation("process", "process", trace.SpanKind.CONSUMER)
SETTLE: Final = Operation("settle", "settle", trace.SpanKind.CLIENT)


class Destinations:
    """Which template a channel has, and how metrics name it.

    Args:
        templates: Names with placeholders for whole segments, as ``/user/{id}/inbox``.

    Raises:
        TypeError: They are no list, or other iterable, of templates.
        InvalidChannelError: A template cannot be that of a channel.

    Example:
        >>> known = Destinations(["/user/{id}/inbox"])
        >>> known.shown("/user/42/inbox"), known.shown("/news")
        ('/user/{id}/inbox', '/news')
    """

    def __init__(self, templates: Iterable[str]) -> None:
        given: Any = templates
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise TypeError(f"templates must be a list of templates, not {given!r}")
        self._templates = tuple((template, tuple(template.split("/"))) for template in templates)
        for _, segments in self._templates:
            validate_channel("/".join("x" if _is_placeholder(s) else s for s in segments))
        self._found: dict[str, str | None] = {}
        self._named: set[str] = set()

    def template(self, channel: str) -> str | None:
        """Give the first template that a channel fits, ``None`` if it fits none."""
        if channel in self._found:
            return self._found[channel]
        if len(self._found) >= REMEMBERED:
            self._found.clear()
        segments = channel.split("/")
        found = next((t for t, wanted in self._templates if _fits(wanted, segments)), None)
        self._found[channel] = found
        return found

    def shown(self, channel: str) -> str:
        """Give the name that a span has for a channel."""
        return self.template(channel) or channel

    def attributes(self, channel: str) -> dict[str, AttributeValue]:
        """Give what a span tells of a channel."""
        template = self.template(channel)
        named: dict[str, AttributeValue] = {DESTINATION_NAME: channel}
        return named if template is None else {DESTINATION_TEMPLATE: template, **named}

    def labels(self, channel: str) -> dict[str, AttributeValue]:
        """Give what metrics tell of a channel: as few values as one can look at."""
        template = self.template(channel)
        if template is not None:
            return {DESTINATION_TEMPLATE: template}
        if channel not in self._named:
            if len(self._named) >= _MOST_NAMES:
                return {DESTINATION_NAME: _OTHER}
            self._named.add(channel)
        return {DESTINATION_NAME: channel}


def _is_placeholder(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _fits(wanted: tuple[str, ...], segments: list[str]) -> bool:
    return len(wanted) == len(segments) and all(
        _is_placeholder(w) or w == s for w, s in zip(wanted, segments, strict=True)
    )


class Tracing:
    """Makes the spans; nothing where no tracer is.

    Args:
        destinations: The templates of channels.
        provider: Where spans go; the global one if ``None``.

    Raises:
        TypeError: The provider is none.
    """

    def __init__(
        self, destinations: Destinations, provider: trace.TracerProvider | None = None
    ) -> None:
        if provider is not None:
            check_methods("tracer_provider", provider, "get_tracer")
        self._destinations = destinations
        # The proxy stands for the global one, which may come later.
        asked = provider is None or isinstance(provider, trace.ProxyTracerProvider)
        self._tracer = None if asked else _tracer_of(provider)
        self._ask_at = -math.inf if asked else math.inf

    def _traced_by(self) -> trace.Tracer | None:
        """Give the tracer, ``None`` while there is none: applications may set one up later."""
        if self._tracer is None and (now := time.monotonic()) >= self._ask_at:
            self._ask_at = now + _ASKED_AGAIN
            self._tracer = _tracer_of(trace.get_tracer_provider())
        return self._tracer

    def span(
        self,
        operation: Operation,
        channel: str,
        *,
        more: Mapping[str, AttributeValue] | None = None,
    ) -> AbstractContextManager[object]:
        """Give a span to be within, which tells of the error that ends the block."""
        tracer = self._traced_by()
        return UNTRACED if tracer is None else self._within(tracer, operation, channel, more=more)

    def processing(self, channel: str | None, message: object) -> AbstractContextManager[object]:
        """Give the span of processing a message, linked to what the message carries.

        It is a child of the span that the message carries, and begins a trace if there is none.
        The current span does not count: mostly it is that within which the client was opened.
        """
        tracer = self._traced_by()
        if tracer is None and not _carried(message):
            return UNTRACED
        sent = extract(message)
        origin = trace.get_current_span(sent)
        if tracer is None:  # handed on all the same: what is published here belongs to that trace
            return trace.use_span(origin)
        link = _link(sent)
        links = [] if link is None else [link]
        return self._within(tracer, PROCESS, channel, context=sent, links=links)

    def sending(
        self,
        destination: str | None,
        carried: Iterable[Mapping[str, str]],
        *,
        more: Mapping[str, AttributeValue],
    ) -> AbstractContextManager[object]:
        """Give the span of sending several messages, linked to what their headers carry.

        It begins a trace, for they may belong to several.
        """
        tracer = self._traced_by()
        if tracer is None:
            return UNTRACED
        # Each once, and no more than a span keeps anyway.
        traces = list({tuple(sorted(headers.items())): headers for headers in carried}.values())
        contexts = (_PROPAGATOR.extract(headers, Context()) for headers in traces[:_MOST_LINKS])
        links = [link for link in map(_link, contexts) if link is not None]
        return self._within(tracer, SEND, destination, context=Context(), links=links, more=more)

    @contextmanager
    def _within(
        self,
        tracer: trace.Tracer,
        operation: Operation,
        channel: str | None,
        *,
        context: Context | None = None,
        links: list[trace.Link] | None = None,
        more: Mapping[str, AttributeValue] | None = None,
    ) -> Generator[None]:
        known = self._destinations
        destination = {} if channel is None else known.attributes(channel)
        name = operation.name if channel is None else f"{operation.name} {known.shown(channel)}"
        with tracer.start_as_current_span(
            name,
            context=context,
            kind=operation.kind,
            attributes={**attributes_of(operation, typed=True), **destination, **(more or {})},
            links=links,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute(ERROR_TYPE, error_type(error))
                raise


def _tracer_of(provider: trace.TracerProvider | None) -> trace.Tracer | None:
    if provider is None or isinstance(
        provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider
    ):
        return None
    return provider.get_tracer(_LIBRARY, schema_url=_SCHEMA_URL)


def attributes_of(operation: Operation, *, typed: bool = False) -> dict[str, AttributeValue]:
    """Give what spans and metrics tell of an operation; its type is for spans only."""
    told: dict[str, AttributeValue] = {SYSTEM: "cometd", OPERATION_NAME: operation.name}
    return {**told, OPERATION_TYPE: operation.type} if typed else told


def error_type(error: BaseException) -> str:
    """Name the kind of an error: the server's code where it refused, else the class."""
    code: object = getattr(error, "error_code", None)
    return type(error).__qualname__ if code is None else str(code)


def inject(ext: MutableMapping[str, Any]) -> None:
    """Put the current context into the ``ext`` of a message, as W3C Trace Context writes it."""
    _PROPAGATOR.inject(ext)


def extract(message: object) -> Context:
    """Give the context that a message carries in its ``ext``."""
    texts = {name: value for name, value in _carried(message).items() if isinstance(value, str)}
    return _PROPAGATOR.extract(texts, Context())


def _carried(message: object) -> dict[str, Any]:
    return _object(_object(message).get("ext"))


def _link(context: Context) -> trace.Link | None:
    carried = trace.get_current_span(context).get_span_context()
    return trace.Link(carried) if carried.is_valid else None


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def meter(provider: metrics.MeterProvider | None = None) -> metrics.Meter:
    """Give what makes the instruments.

    Raises:
        TypeError: The provider is none.
    """
    if provider is not None:
        check_methods("meter_provider", provider, "get_meter")
    return metrics.get_meter(_LIBRARY, meter_provider=provider, schema_url=_SCHEMA_URL)
