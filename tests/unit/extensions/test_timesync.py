from __future__ import annotations

import time
from typing import Any

import pytest

from rx_cometd.extensions.timesync import TimeSync, timesync
from tests.unit.extensions.composed import Composed


class Clock:
    """Both clocks of the machine, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_000_000.0
        self.steady = 50.0

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "time", lambda: clock.wall)
    monkeypatch.setattr(time, "monotonic", lambda: clock.steady)
    return clock


def request(session: Composed, channel: str = "/meta/connect") -> dict[str, int]:
    message: dict[str, Any] = {"channel": channel}
    session.send(message)
    sent: dict[str, int] = message.get("ext", {}).get("timesync")
    return sent


def reply(session: Composed, fields: Any, *, successful: bool = True) -> None:
    session.receive(
        {"channel": "/meta/connect", "successful": successful, "ext": {"timesync": fields}}
    )


def synchronised(
    session: Composed, clock: Clock, *, ahead: float, lag: float, held: float = 0
) -> None:
    """One exchange with a server whose clock is ahead, over a link with a lag."""
    tc = request(session)["tc"]
    clock.advance(lag)
    ts = round((clock.wall + ahead) * 1000)
    clock.advance(held + lag)
    reply(session, {"tc": tc, "ts": ts, "p": round(held * 1000), "a": 0})


def test_offset_and_lag_of_one_exchange(clock: Clock) -> None:
    extension = timesync()
    synchronised(Composed(extension), clock, ahead=7.5, lag=0.04, held=30)
    assert extension.lag == pytest.approx(0.04)
    assert extension.offset == pytest.approx(7.5)
    assert extension.server_time() == pytest.approx(clock.wall + 7.5)


def test_requests_carry_what_is_known(clock: Clock) -> None:
    session = Composed(timesync())
    assert request(session, "/meta/handshake") == {"tc": 1_000_000_000, "l": 0, "o": 0}
    synchronised(session, clock, ahead=-2, lag=0.1)
    assert request(session) == {"tc": 1_000_000_200, "l": 100, "o": -2000}


def test_only_meta_messages_carry_it(clock: Clock) -> None:
    assert request(Composed(timesync()), "/a") is None


def test_mean_of_the_last_ten(clock: Clock) -> None:
    extension = timesync()
    session = Composed(extension)
    synchronised(session, clock, ahead=1000, lag=1)
    for _ in range(5):
        synchronised(session, clock, ahead=1, lag=0.01)
        synchronised(session, clock, ahead=3, lag=0.03)
    assert extension.offset == pytest.approx(2)
    assert extension.lag == pytest.approx(0.02)


def test_a_step_of_the_wall_clock_does_not_show_in_the_lag(clock: Clock) -> None:
    extension = timesync()
    session = Composed(extension)
    tc = request(session)["tc"]
    clock.advance(0.2)
    clock.wall += 3600
    reply(session, {"tc": tc, "ts": tc + 100, "p": 0, "a": 0})
    assert extension.lag == pytest.approx(0.1)


def test_lag_is_never_negative(clock: Clock) -> None:
    extension = timesync()
    session = Composed(extension)
    tc = request(session)["tc"]
    clock.advance(0.001)
    reply(session, {"tc": tc, "ts": tc, "p": 2, "a": 0})
    assert extension.lag == 0


@pytest.mark.parametrize(
    "fields",
    [
        None,
        "now",
        {},
        {"tc": 1, "ts": 2, "p": 0},
        {"tc": "1000000000", "ts": 2, "p": 0},
        {"tc": 1_000_000_000, "p": 0},
        {"tc": 1_000_000_000, "ts": [2]},
    ],
)
def test_replies_that_echo_nothing_we_sent_teach_nothing(clock: Clock, fields: Any) -> None:
    extension = timesync()
    session = Composed(extension)
    assert request(session)["tc"] == 1_000_000_000
    reply(session, fields)
    assert (extension.offset, extension.lag) == (0, 0)
    assert session.errors == []


def test_failed_replies_teach_nothing(clock: Clock) -> None:
    extension = timesync()
    session = Composed(extension)
    reply(session, {"tc": request(session)["tc"], "ts": 5, "p": 0}, successful=False)
    assert extension.offset == 0


def test_requests_never_answered_are_forgotten(clock: Clock) -> None:
    extension = timesync()
    session = Composed(extension)
    first = request(session)["tc"]
    for _ in range(64):
        clock.advance(1)
        request(session)
    reply(session, {"tc": first, "ts": first + 9000, "p": 0})
    assert extension.offset == 0


def test_tells_its_state(clock: Clock) -> None:
    extension = timesync()
    assert isinstance(extension, TimeSync)
    synchronised(Composed(extension), clock, ahead=2, lag=0.01)
    assert repr(extension) == "<TimeSync offset=2.000 lag=0.010>"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400])
@pytest.mark.parametrize("name", ["tc", "ts", "p"])
def test_numbers_that_no_clock_tells_are_passed_over(number: float, name: str) -> None:
    extension = timesync()
    session = Composed(extension)
    tc = request(session)["tc"]
    reply(session, {"tc": tc, "ts": tc, "p": 0, name: number})
    assert session.errors == []
    assert abs(extension.offset) < 60.0
