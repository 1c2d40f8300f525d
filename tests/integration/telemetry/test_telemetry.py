"""Spans and metrics of a client: as the conventions have them, name by name."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, Sum
from opentelemetry.semconv._incubating.attributes import (  # pyright: ignore[reportMissingTypeStubs]
    messaging_attributes,
)
from opentelemetry.semconv._incubating.metrics import (  # pyright: ignore[reportMissingTypeStubs]
    messaging_metrics,
)
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.semconv.schemas import Schemas
from opentelemetry.trace import SpanKind, StatusCode

from rx_cometd import Client, ConnectionType, Overflow, ServerError
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, replay, telemetry, traced_store
from rx_cometd.testing import BayeuxServer, ReplayLog, ServiceRequest
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed
from tests.integration.telemetry.collected import Collected

pytestmark = pytest.mark.usefixtures("nothing_left")

M = messaging_attributes
#: ExplicitBucketBoundaries of the conventions ("Messaging metrics").
ADVISED = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


@BOTH
async def test_a_publish_is_a_span(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(templates=["/user/{id}/inbox"], **seen.providers)]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:
        await client.publish("/user/42/inbox", "hello")
        span = seen.span("publish /user/{id}/inbox")
    assert span.kind is SpanKind.PRODUCER
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes == {
        M.MESSAGING_SYSTEM: "cometd",
        M.MESSAGING_OPERATION_NAME: "publish",
        M.MESSAGING_OPERATION_TYPE: M.MessagingOperationTypeValues.SEND.value,
        M.MESSAGING_DESTINATION_NAME: "/user/42/inbox",
        M.MESSAGING_DESTINATION_TEMPLATE: "/user/{id}/inbox",
        server_attributes.SERVER_ADDRESS: "127.0.0.1",
        server_attributes.SERVER_PORT: client.url.port,
    }
    scope = span.instrumentation_scope
    assert scope is not None
    assert scope.schema_url == Schemas.V1_44_0.value


@BOTH
async def test_a_refused_publish_tells_why(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(**seen.providers)]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:
        server.faults.refuse("/a", "403::no")
        with pytest.raises(ServerError):
            await client.publish("/a", 1)
        span = seen.span("publish /a")
        points = seen.points()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})[error_attributes.ERROR_TYPE] == "403"
    ((labels, count),) = points[messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES]
    assert (labels[error_attributes.ERROR_TYPE], count) == ("403", 1)


@BOTH
async def test_a_call_is_a_span(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(**seen.providers)]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:

        @server.service("/service/echo")
        async def echo(request: ServiceRequest) -> object:
            return request.data

        await client.call("/service/echo", 1)
        span = seen.span("call /service/echo")
    assert span.kind is SpanKind.CLIENT
    assert (span.attributes or {})[M.MESSAGING_OPERATION_NAME] == "call"


@BOTH
async def test_a_marker_that_is_written_is_a_span(kind: ConnectionType) -> None:
    seen = Collected()
    store = traced_store(
        MemoryStore(), templates=["/event/{name}"], tracer_provider=seen.tracer_provider
    )
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        client_of(server, kind, extensions=[replay(store)]) as client,
    ):
        events = Recorder(client.channel("/event/E__e"))
        await subscribed(server, "/event/E__e")
        await server.publish("/event/E__e", {"payload": {}})
        (event,) = await events.count(1)
    span = seen.span("settle /event/{name}")
    replay_id = event["data"]["event"]["replayId"]
    assert store.load("/event/E__e") == replay_id
    attributes = span.attributes or {}
    assert attributes[M.MESSAGING_OPERATION_TYPE] == M.MessagingOperationTypeValues.SETTLE.value
    assert attributes[M.MESSAGING_MESSAGE_ID] == str(replay_id)


@BOTH
async def test_metrics_have_the_names_and_labels_of_the_conventions(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(templates=["/user/{id}"], **seen.providers)]
    async with BayeuxServer() as server, client_of(server, kind, extensions=extensions) as client:
        got = Recorder(client.channel("/user/*"))
        await subscribed(server, "/user/*")
        for user in range(3):
            await client.publish(f"/user/{user}", "hello")
        await got.count(3)
        points = seen.points()
        address = {"server.address": "127.0.0.1", "server.port": client.url.port}
    labels = {M.MESSAGING_SYSTEM: "cometd", M.MESSAGING_DESTINATION_TEMPLATE: "/user/{id}"}
    published = {**labels, **address, M.MESSAGING_OPERATION_NAME: "publish"}
    received = {**labels, **address, M.MESSAGING_OPERATION_NAME: "receive"}
    assert points[messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES] == [(published, 3)]
    assert points[messaging_metrics.MESSAGING_CLIENT_OPERATION_DURATION] == [(published, 3)]
    assert points[messaging_metrics.MESSAGING_CLIENT_CONSUMED_MESSAGES] == [(received, 3)]


async def test_instruments_are_those_of_the_conventions() -> None:
    seen, conventions = Collected(), Collected()
    made = conventions.meter_provider.get_meter("conventions")
    messaging_metrics.create_messaging_client_sent_messages(made).add(1)
    messaging_metrics.create_messaging_client_consumed_messages(made).add(1)
    messaging_metrics.create_messaging_client_operation_duration(made).record(1)
    messaging_metrics.create_messaging_process_duration(made).record(1)
    async with (
        BayeuxServer() as server,
        client_of(server, extensions=[telemetry(**seen.providers)]) as client,
    ):
        got = Recorder(client.channel("/a").pipe(cometd_ops.traced(**seen.providers)))
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        await got.count(1)
        ours = seen.metrics()
    for name, wanted in conventions.metrics().items():
        metric = ours[name]
        assert (metric.unit, metric.description) == (wanted.unit, wanted.description)
        assert type(metric.data) is type(wanted.data)
        match metric.data, wanted.data:
            case Sum() as sum_, Sum() as wanted_sum:  # a Counter's, read when it is collected
                assert sum_.is_monotonic == wanted_sum.is_monotonic
                assert sum_.aggregation_temporality == wanted_sum.aggregation_temporality
            case data, _:
                (point,) = data.data_points
                assert isinstance(point, HistogramDataPoint)
                assert tuple(point.explicit_bounds) == ADVISED


async def test_durations_can_be_left_out() -> None:
    seen = Collected()
    extensions = [telemetry(durations=False, **seen.providers)]
    async with (
        BayeuxServer() as server,
        client_of(server, ConnectionType.WEBSOCKET, extensions=extensions) as client,
    ):
        await client.publish("/a", 1)
        metrics = seen.points()
    ((_, count),) = metrics[messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES]
    assert count == 1
    assert messaging_metrics.MESSAGING_CLIENT_OPERATION_DURATION not in metrics


async def test_what_was_sent_stays_sent_when_its_client_is_gone() -> None:
    seen = Collected()
    shared = telemetry(**seen.providers)
    async with BayeuxServer() as server:
        for _ in range(2):
            async with client_of(server, ConnectionType.WEBSOCKET, extensions=[shared]) as client:
                await client.publish("/a", 1)
            del client
            gc.collect()
    ((_, count),) = seen.points()[messaging_metrics.MESSAGING_CLIENT_SENT_MESSAGES]
    assert count == 2


def test_a_tracer_provider_may_be_set_up_later() -> None:
    program = """
import time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from rx_cometd import Client
from rx_cometd.extension import Request
from rx_cometd.extensions import telemetry

extension = telemetry()
client = Client("http://127.0.0.1:9/", extensions=[extension])
request = Request("publish", "/a", {}, client)
with extension.around_request(request):
    assert not trace.get_current_span().get_span_context().is_valid
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
deadline, found = time.monotonic() + 30, False
while not found and time.monotonic() < deadline:
    time.sleep(0.01)  # it is asked for now and then only
    with extension.around_request(request):
        found = trace.get_current_span().is_recording()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=100
    )
    assert done.stdout.count('"name": "publish /a"') == 1


@BOTH
async def test_our_own_metrics(kind: ConnectionType) -> None:
    seen = Collected()
    extensions = [telemetry(**seen.providers), replay(MemoryStore())]
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        client_of(server, kind, extensions=extensions) as client,
    ):
        got = Recorder(client.channel("/event/E__e"))
        never = client.channel("/event/E__e").pipe(
            cometd_ops.bounded_buffer(1, Overflow.DROP_OLDEST)
        )
        lost = never.subscribe(lambda _: None)
        await subscribed(server, "/event/E__e")
        for _ in range(3):
            await server.publish("/event/E__e", {"payload": {}})
        await got.count(3)
        server.faults.forget()
        states = Recorder(client.state_changes)
        await states.until(lambda: client.statistics().reconnects)
        points = seen.points()
        statistics = client.statistics()
        lost.dispose()
    assert [(labels["cometd.client.state"], n) for labels, n in points["cometd.client.count"]] == [
        ("connected", 1)
    ]
    regained = {
        labels["cometd.session.resumed"]: n for labels, n in points["cometd.client.reconnects"]
    }
    assert regained == {True: 0, False: 1}
    assert [n for _, n in points["cometd.client.pending.messages"]] == [statistics.pending]
    assert {
        labels["cometd.buffer.policy"]: n
        for labels, n in points.get("cometd.client.dropped.messages", [])
    } == statistics.drops_by_policy
    assert [n for _, n in points["cometd.client.suspensions"]] == [statistics.suspensions]
    ((_, age),) = points["cometd.client.last_event.age"]
    assert 0 <= age < 15
    ((labels, marker_age),) = points["cometd.client.marker.age"]
    assert labels[M.MESSAGING_DESTINATION_NAME] == "/event/E__e"
    assert 0 <= marker_age < 15


@pytest.mark.parametrize("templates", [[], ["/user/{id}/inbox"]], ids=["names", "template"])
async def test_ten_thousand_channels_are_at_most_twenty_sets_of_labels(
    templates: list[str],
) -> None:
    seen = Collected()
    extensions = [telemetry(templates=templates, **seen.providers)]
    async with (
        BayeuxServer() as server,
        client_of(server, ConnectionType.WEBSOCKET, extensions=extensions) as client,
    ):
        got = Recorder(client.channel("/user/**"))
        await subscribed(server, "/user/**")
        for user in range(10_000):
            await server.publish(f"/user/{user}/inbox", user)
        await got.until(lambda: len(got.items) == 10_000)
        points = seen.points()
    consumed = points["messaging.client.consumed.messages"]
    assert sum(count for _, count in consumed) == 10_000
    assert (
        len({tuple(sorted(labels.items())) for told in points.values() for labels, _ in told}) <= 20
    )
    assert len(consumed) == (1 if templates else 11)


async def test_metrics_keep_no_client_alive() -> None:
    seen = Collected()
    shared = telemetry(**seen.providers)
    client: Client | None = Client("http://127.0.0.1:9/", extensions=[shared])
    assert client is not None
    assert [n for _, n in seen.points()["cometd.client.count"]] == [1]
    client = None
    gc.collect()
    assert "cometd.client.count" not in seen.points()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("opentelemetry")]:
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("rx_cometd._flow.open_telemetry", "rx_cometd.extensions.open_telemetry"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=r"pip install 'rx-cometd\[otel\]'"):
        telemetry()
