"""What OpenTelemetry is told of operations."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import ServerError
from rx_cometd._flow.measured import Measured, Timed
from rx_cometd._flow.open_telemetry import PUBLISH, UNTRACED, Destinations

if TYPE_CHECKING:
    from collections.abc import Generator


def measured(*templates: str) -> Measured:
    return Measured(PUBLISH, Destinations(templates), {"server.address": "here"})


def test_a_series_is_made_once_for_each_destination() -> None:
    known = measured("/user/{id}")
    assert known.of("/user/1") is known.of("/user/2")
    assert known.of("/news") is known.of("/news")
    assert known.of("/news") is not known.of(None)
    assert known.of("/user/1").attributes == {
        "messaging.system": "cometd",
        "messaging.operation.name": "publish",
        "messaging.destination.template": "/user/{id}",
        "server.address": "here",
    }
    assert len([*known]) == 3


def test_channels_without_end_are_few_series_and_take_no_memory_without_end() -> None:
    known = measured()
    for number in range(25_000):
        known.of(f"/a/{number}")
    assert len([*known]) == 11
    assert len(vars(known)["_of_channel"]) <= 10_000


def test_what_ends_is_counted_and_timed() -> None:
    recorded: list[tuple[float, dict[str, Any]]] = []
    series = measured().of("/a")
    with Timed(UNTRACED, series, lambda s, a: recorded.append((s, a))):
        assert series.count == 0
    assert series.count == 1
    ((seconds, attributes),) = recorded
    assert 0 <= seconds < 10
    assert attributes is series.attributes


def test_a_span_is_within_which_it_is_timed() -> None:
    seen: list[str] = []

    @contextmanager
    def span() -> Generator[None]:
        seen.append("begun")
        yield
        seen.append("ended")

    with Timed(span(), measured().of("/a"), lambda _s, _a: seen.append("recorded")):
        seen.append("within")
    assert seen == ["begun", "within", "ended", "recorded"]


def test_errors_are_series_of_their_own() -> None:
    known = measured()
    series = known.of("/a")
    for _ in range(2):
        with pytest.raises(ServerError), Timed(UNTRACED, series, None):
            raise ServerError("no", {"error": "403:a:denied"})
    ok, refused = known
    assert (ok.count, refused.count) == (0, 2)
    assert refused.attributes == {**ok.attributes, "error.type": "403"}


def test_threads_lose_no_count() -> None:
    known = measured()

    def work() -> None:
        for _ in range(2_000):
            with Timed(UNTRACED, known.of("/a"), None):
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(series.count for series in known) == 8_000
