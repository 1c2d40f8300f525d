"""Spans around what processes messages."""

from __future__ import annotations

from typing import Any

import pytest
import reactivex
from opentelemetry import trace
from opentelemetry.trace import NoOpTracerProvider, StatusCode

from rx_cometd import InvalidChannelError
from rx_cometd.operators import traced
from tests.integration.telemetry.collected import Collected

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def event(channel: str, **ext: Any) -> dict[str, Any]:
    return {"channel": channel, "data": 1, "ext": ext}


def test_each_item_is_processed_in_a_span_of_its_own() -> None:
    seen = Collected()
    items = [event("/a", traceparent=PARENT), event("/b"), 7]
    got: list[Any] = []
    ends: list[str] = []
    reactivex.from_iterable(items).pipe(traced(**seen.providers)).subscribe(
        got.append, on_completed=lambda: ends.append("completed")
    )
    assert got == items
    assert ends == ["completed"]
    first, second, third = seen.spans()
    assert [span.name for span in (first, second, third)] == ["process /a", "process /b", "process"]
    assert first.parent is not None
    assert f"{first.parent.trace_id:032x}" in PARENT
    assert f"{first.parent.span_id:016x}" in PARENT
    assert second.parent is None
    assert not second.links


def test_what_the_observer_raises_is_told_and_goes_on() -> None:
    seen = Collected()

    @traced(**seen.providers)
    def handle(message: Any, factor: int) -> int:
        return int(message["data"]) * factor // 0

    with pytest.raises(ZeroDivisionError):
        handle(event("/a"), factor=2)
    span = seen.span("process /a")
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "ZeroDivisionError"
    ((labels, count),) = seen.points()["messaging.process.duration"]
    assert (labels["error.type"], count) == ("ZeroDivisionError", 1)


async def test_a_coroutine_function_stays_one() -> None:
    seen = Collected()

    @traced(templates=["/user/{id}"], **seen.providers)
    async def handle(message: Any) -> int:
        """Double."""
        return 2 * int(message["data"])

    assert await handle(event("/user/7")) == 2
    assert handle.__doc__ == "Double."
    attributes = seen.span("process /user/{id}").attributes or {}
    assert attributes["messaging.destination.name"] == "/user/7"


def test_the_destination_of_an_item_can_be_told() -> None:
    seen = Collected()
    reactivex.of("x").pipe(traced(destination=lambda item: f"/of/{item}", **seen.providers)).run()
    assert seen.spans("process /of/x")


def test_a_template_that_is_no_channel_is_refused() -> None:
    with pytest.raises(InvalidChannelError):
        traced(templates=["user/{id}"])


def test_where_nobody_traces_the_trace_of_the_message_is_handed_on() -> None:
    within: list[int] = []

    @traced(tracer_provider=NoOpTracerProvider())
    def handle(_: Any) -> None:
        within.append(trace.get_current_span().get_span_context().trace_id)

    handle(event("/a", traceparent=PARENT))
    handle(event("/a"))
    first, second = within
    assert f"{first:032x}" in PARENT
    assert second == 0
