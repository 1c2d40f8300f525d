"""What OpenTelemetry is given: spans around requests, metrics read from what clients count.

Needs ``opentelemetry-api``; `rx_cometd.extensions.telemetry` imports it when it is called.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from opentelemetry.metrics import Observation

from rx_cometd._flow.measured import Measured, Timed, duration
from rx_cometd._flow.open_telemetry import CALL, PUBLISH, Destinations, Tracing, meter
from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from rx_cometd._flow.measured import Record
    from rx_cometd.extension import Joined, Request

    #: Attributes as something that can be looked up.
    _Labels: TypeAlias = tuple[tuple[str, AttributeValue], ...]
    _Observed: TypeAlias = Iterator[tuple[dict[str, AttributeValue], float]]

__all__ = ["Telemetry"]

_OPERATIONS: Final = {"publish": PUBLISH, "call": CALL}


class _Instrument(NamedTuple):
    """The names of an instrument."""

    name: str
    unit: str
    description: str


# After "Messaging metrics" of the conventions.
_DURATION: Final = "Duration of messaging operation initiated by a producer or consumer client."
_SENT: Final = _Instrument(
    "messaging.client.sent.messages",
    "{message}",
    "Number of messages producer attempted to send to the broker.",
)
_CONSUMED: Final = _Instrument(
    "messaging.client.consumed.messages",
    "{message}",
    "Number of messages that were delivered to the application.",
)
# Our own.
_COUNT: Final = _Instrument("cometd.client.count", "{client}", "Clients by their state.")
_RECONNECTS: Final = _Instrument("cometd.client.reconnects", "{reconnect}", "Links regained.")
_PENDING: Final = _Instrument(
    "cometd.client.pending.messages", "{message}", "Messages that wait in buffers."
)
_DROPPED: Final = _Instrument(
    "cometd.client.dropped.messages", "{message}", "Messages that buffers dropped."
)
_SUSPENSIONS: Final = _Instrument(
    "cometd.client.suspensions", "{suspension}", "Times that a buffer held back the connect."
)
_LAST_EVENT_AGE: Final = _Instrument(
    "cometd.client.last_event.age", "s", "Time since the last event message came."
)
_MARKER_AGE: Final = _Instrument(
    "cometd.client.marker.age", "s", "Time that a replay marker stood still while events waited."
)


class Telemetry(Extension):
    """The extension that `telemetry` makes."""

    def __init__(
        self,
        templates: Iterable[str],
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        durations: bool,
    ) -> None:
        self._destinations = Destinations(templates)
        self._tracing = Tracing(self._destinations, tracer_provider)
        #: By `id`, as long as they live: found faster than in a dictionary with weak keys.
        self._clients: dict[int, _Known] = {}
        #: Metrics may be collected by another thread than that of the clients.
        self._lock = threading.Lock()
        #: Outlive the clients: what was sent stays sent.
        self._requests: dict[_Labels, dict[str, Measured]] = {}
        made = meter(meter_provider)
        self._record: Record | None = None
        if durations:
            self._record = duration(made, "messaging.client.operation.duration", _DURATION)
        self._observe(made)

    def __repr__(self) -> str:
        return "<Telemetry>"

    def join(self, client: Joined) -> None:
        """Have the metrics tell of a client."""
        server = _server(client)
        counting = client.counting_channels()
        counting.__enter__()  # for as long as the client lives
        clients, key = self._clients, id(client)
        alive = weakref.ref(client, lambda _: clients.pop(key, None))
        with self._lock:
            clients[key] = _Known(alive, server, self._requests_to(server), counting)

    def _requests_to(self, server: dict[str, AttributeValue]) -> dict[str, Measured]:
        """Give what is measured of requests to a server, by the kind of request."""
        made = {kind: Measured(of, self._destinations, server) for kind, of in _OPERATIONS.items()}
        return self._requests.setdefault(tuple(server.items()), made)

    def around_request(self, request: Request) -> AbstractContextManager[object]:
        """Have a span around a publish or a call, and measure it."""
        known = self._clients[id(request.client)]
        operation = _OPERATIONS[request.kind]
        span = self._tracing.span(operation, request.channel, more=known.server)
        return Timed(span, known.requests[request.kind].of(request.channel), self._record)

    # -- metrics -------------------------------------------------------------------------------

    def _observe(self, made: Meter) -> None:
        """Make the instruments that are read when metrics are collected."""
        counter, up_down = made.create_observable_counter, made.create_observable_up_down_counter
        gauge = made.create_observable_gauge
        for create, (name, unit, description), observe, combine in (
            (counter, _SENT, self._of_sent, sum),
            (counter, _CONSUMED, self._of_consumed, sum),
            (up_down, _COUNT, self._of_states, sum),
            (counter, _RECONNECTS, self._of_reconnects, sum),
            (up_down, _PENDING, self._of_pending, sum),
            (counter, _DROPPED, self._of_drops, sum),
            (counter, _SUSPENSIONS, self._of_suspensions, sum),
            (gauge, _LAST_EVENT_AGE, self._of_last_events, max),
            (gauge, _MARKER_AGE, self._of_markers, max),
        ):
            create(name, [_callback(observe, combine)], unit, description)

    def _each(self) -> Iterator[tuple[Joined, dict[str, AttributeValue]]]:
        with self._lock:
            clients = self._clients.copy()
        for known in clients.values():
            client = known.client()
            if client is not None:
                yield client, known.server

    def _of_sent(self) -> _Observed:
        with self._lock:
            by_server = list(self._requests.values())
        for requests in by_server:
            for measured in requests.values():
                for series in measured:
                    if series.count:
                        yield series.attributes, series.count

    def _of_consumed(self) -> _Observed:
        told: dict[str, AttributeValue] = {
            "messaging.system": "cometd",
            "messaging.operation.name": "receive",
        }
        for client, server in self._each():
            for channel, known in client.channel_statistics().items():
                if known.messages:
                    labels = {**told, **self._destinations.labels(channel), **server}
                    yield labels, known.messages

    def _of_states(self) -> _Observed:
        for client, server in self._each():
            yield {**server, "cometd.client.state": client.state.value}, 1

    def _of_reconnects(self) -> _Observed:
        for client, server in self._each():
            told = client.statistics()
            yield {**server, "cometd.session.resumed": True}, told.resumed
            yield {**server, "cometd.session.resumed": False}, told.reconnects - told.resumed

    def _of_pending(self) -> _Observed:
        for client, server in self._each():
            yield server, client.statistics().pending

    def _of_drops(self) -> _Observed:
        for client, server in self._each():
            for policy, count in client.statistics().drops_by_policy.items():
                yield {**server, "cometd.buffer.policy": policy}, count

    def _of_suspensions(self) -> _Observed:
        for client, server in self._each():
            yield server, client.statistics().suspensions

    def _of_last_events(self) -> _Observed:
        now = time.time()
        for client, server in self._each():
            last = client.statistics().last_event
            if last is not None:
                yield server, now - last

    def _of_markers(self) -> _Observed:
        for client, server in self._each():
            for channel, known in client.channel_statistics().items():
                if known.marker_age is not None:
                    yield {**server, **self._destinations.labels(channel)}, known.marker_age


class _Known(NamedTuple):
    """What is known of a client: its server, its requests, and what has its channels counted."""

    client: weakref.ref[Joined]
    server: dict[str, AttributeValue]
    requests: dict[str, Measured]
    counting: AbstractContextManager[None]


def _server(client: Joined) -> dict[str, AttributeValue]:
    url = client.url
    server: dict[str, AttributeValue] = {"server.address": url.host or ""}
    return server if url.port is None else {**server, "server.port": url.port}


def _callback(
    observe: Callable[[], _Observed], combine: Callable[[list[float]], float]
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Give each set of labels once: clients of one server, and channels of one template."""

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        found: dict[_Labels, list[Any]] = {}
        for labels, value in observe():
            found.setdefault(tuple(labels.items()), []).append(value)
        return [Observation(combine(values), dict(labels)) for labels, values in found.items()]

    return callback
