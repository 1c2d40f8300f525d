"""What OpenTelemetry is given: spans around requests, metrics read from what clients count.

Needs ``opentelemetry-api``; `rx_cometd.extensions.telemetry` imports it when it is called.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from opentelemetry.metrics import Observation

from rx_cometd._flow.open_telemetry import (
    CALL,
    ERROR_TYPE,
    PUBLISH,
    Destinations,
    Tracing,
    attributes_of,
    error_type,
    meter,
)
from rx_cometd.extension import Extension

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.types import AttributeValue

    from rx_cometd.extension import Joined, Request

    #: Attributes as something that can be looked up.
    _Labels: TypeAlias = tuple[tuple[str, AttributeValue], ...]
    _Observed: TypeAlias = Iterator[tuple[dict[str, AttributeValue], float]]

__all__ = ["Telemetry"]

_OPERATIONS: Final = {"publish": PUBLISH, "call": CALL}


class Telemetry(Extension):
    """The extension that `telemetry` makes."""

    def __init__(
        self,
        templates: Iterable[str],
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
    ) -> None:
        self._destinations = Destinations(templates)
        self._tracing = Tracing(self._destinations, tracer_provider)
        self._clients: WeakKeyDictionary[Joined, _Known] = WeakKeyDictionary()
        #: Metrics may be collected by another thread than that of the clients.
        self._lock = threading.Lock()
        self._sent: dict[_Labels, int] = {}
        made = meter(meter_provider)
        self._duration = made.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="Duration of a publish or a call, until the server's reply.",
        )
        self._observe(made)

    def __repr__(self) -> str:
        return "<Telemetry>"

    def join(self, client: Joined) -> None:
        """Have the metrics tell of a client."""
        counting = client.counting_channels()
        counting.__enter__()  # for as long as the client lives
        with self._lock:
            self._clients[client] = _Known(_server(client), counting)

    @contextmanager
    def around_request(self, request: Request) -> Generator[None]:
        """Have a span around a publish or a call."""
        operation = _OPERATIONS[request.kind]
        known = self._clients.get(request.client)
        server = _server(request.client) if known is None else known.server
        labels = {
            **attributes_of(operation),
            **self._destinations.labels(request.channel),
            **server,
        }
        begun = time.perf_counter()
        try:
            with self._tracing.span(operation, request.channel, more=server):
                yield
        except BaseException as error:
            labels[ERROR_TYPE] = error_type(error)
            raise
        finally:
            self._duration.record(time.perf_counter() - begun, labels)
            key = tuple(labels.items())
            with self._lock:
                self._sent[key] = self._sent.get(key, 0) + 1

    # -- metrics -------------------------------------------------------------------------------

    def _observe(self, made: Meter) -> None:
        """Make the instruments that are read when metrics are collected."""
        counter, up_down = made.create_observable_counter, made.create_observable_up_down_counter
        gauge = made.create_observable_gauge
        for create, name, unit, observe, combine in (
            (counter, "messaging.client.sent.messages", "{message}", self._of_sent, sum),
            (counter, "messaging.client.consumed.messages", "{message}", self._of_consumed, sum),
            (up_down, "cometd.client.count", "{client}", self._of_states, sum),
            (counter, "cometd.client.reconnects", "{reconnect}", self._of_reconnects, sum),
            (up_down, "cometd.client.pending.messages", "{message}", self._of_pending, sum),
            (counter, "cometd.client.dropped.messages", "{message}", self._of_drops, sum),
            (counter, "cometd.client.suspensions", "{suspension}", self._of_suspensions, sum),
            (gauge, "cometd.client.last_event.age", "s", self._of_last_events, max),
            (gauge, "cometd.client.marker.age", "s", self._of_markers, max),
        ):
            create(name, callbacks=[_callback(observe, combine)], unit=unit)

    def _each(self) -> Iterator[tuple[Joined, dict[str, AttributeValue]]]:
        with self._lock:
            clients = list(self._clients.items())
        return ((client, known.server) for client, known in clients)

    def _of_sent(self) -> _Observed:
        with self._lock:
            sent = list(self._sent.items())
        return ((dict(labels), count) for labels, count in sent)

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
    """What is known of a client: how it is told of, and what has its channels counted."""

    server: dict[str, AttributeValue]
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
