"""The log line of a buffer that drops: at once, then at most one per second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rx_cometd._flow.drop_log import DropLog
from rx_cometd._flow.flow import Overflow

if TYPE_CHECKING:
    import pytest


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def drops_told(caplog: pytest.LogCaptureFixture) -> list[int]:
    return [record.__dict__["drops"] for record in caplog.records]


def test_the_first_drop_is_told_at_once_and_the_rest_of_the_second_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    log = DropLog(clock, 5, Overflow.DROP_OLDEST)
    for count in (1, 2, 3):
        log.dropped(count)
        clock.pass_(0.4)
    assert drops_told(caplog) == [1]
    log.dropped(4)
    assert drops_told(caplog) == [1, 4]


def test_a_second_later_to_the_tick_is_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = DropLog(clock, 5, Overflow.DROP_OLDEST)
    log.dropped(1)
    clock.pass_(1)
    log.dropped(2)
    assert drops_told(caplog) == [1, 2]


def test_it_says_how_many_of_what_bound_by_what_policy(caplog: pytest.LogCaptureFixture) -> None:
    DropLog(Clock(), 5, Overflow.DROP_NEWEST).dropped(7)
    (record,) = caplog.records
    assert record.getMessage() == (
        "a consumer is too slow: 7 messages dropped so far (max_pending_count=5, DROP_NEWEST)"
    )
    facts = record.__dict__
    assert (facts["event"], facts["max_pending_count"]) == ("buffer_dropped", 5)
    assert facts["policy"] == "drop_newest"


def test_a_policy_that_nobody_chose_is_the_default(caplog: pytest.LogCaptureFixture) -> None:
    DropLog(Clock(), 5, None).dropped(1)
    assert caplog.records[0].__dict__["policy"] == "default"


def test_each_buffer_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    DropLog(clock, 5, None).dropped(1)
    DropLog(clock, 6, None).dropped(1)
    assert len(caplog.records) == 2
