from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, ClientState, ConnectionType
from rx_cometd.cli import quotes
from rx_cometd.cli.quotes import Lane, Link, Quote, Row, Update, updates

if TYPE_CHECKING:
    from rx_cometd.testing import BayeuxServer

WS, LP = ConnectionType


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(quotes, "time", clock)
    return clock


def quote(number: int, price: float = 1.0, via: ConnectionType = WS) -> Quote:
    return Quote(via, "ACME", 100.0, price, number, 0.5)


def test_a_quote_is_made_of_the_data_of_a_message(clock: Clock) -> None:
    data = {"symbol": "ACME", "open": 100.0, "price": 101.0, "number": 7, "time": 999.75}
    made = Quote.of(LP, data)
    assert made == Quote(LP, "ACME", 100.0, 101.0, 7, 0.25)
    clock.now = 0.0  # clocks may be set back
    assert Quote.of(LP, data).delay == 0.0


def test_a_row_follows_the_newest_quote_whichever_transport_brings_it(clock: Clock) -> None:
    row = Row()
    for q in (quote(1, 100.0), quote(2, 103.0, LP), quote(2, 103.0), quote(1, 100.0, LP)):
        row = row.after(q)
    assert row.price == 103.0
    assert row.change == pytest.approx(0.03)
    assert row.number == 2
    clock.now += 1
    assert row.rate.per_second() == 2.0  # each quote counts once


def test_a_trend_has_a_point_for_each_step_of_time(clock: Clock) -> None:
    row = Row()
    for number in range(100):
        row = row.after(quote(number + 1, float(number)))
        clock.now += quotes.TREND_STEP / 4
    assert len(row.trend) == quotes.TREND
    assert list(row.trend)[-3:] == [91.0, 95.0, 99.0]


def test_a_rate_falls_when_nothing_comes(clock: Clock) -> None:
    lane = Lane()
    for number in range(40):
        lane = lane.after(quote(number))
        clock.now += 0.1
    assert lane.rate.per_second() == pytest.approx(10, abs=1)
    clock.now += quotes.WINDOW + 0.1
    assert lane.rate.per_second() == 0.0


def test_a_lane_counts_what_is_lost_and_what_comes_again() -> None:
    lane = Lane()
    for number in (10, 11, 11, 10, 12, 15):
        lane = lane.after(quote(number))
    assert (lane.received, lane.lost, lane.repeated) == (4, 2, 2)
    assert lane.delay == pytest.approx(0.5)


def test_updates_of_the_same_thing_have_the_same_key() -> None:
    assert Row().after(quote(1)).key == Row().after(quote(2)).key == "ACME"
    assert Lane().after(quote(1)).key != Lane().after(quote(1, via=LP)).key
    assert Lane().after(quote(1)).key != Row().after(quote(1)).key


async def test_updates_of_two_clients(bayeux_server: BayeuxServer) -> None:
    async with Client(bayeux_server.url, WS) as first, Client(bayeux_server.url, LP) as second:
        seen: list[Update] = []
        subscription = updates([(WS, first), (LP, second)]).subscribe(seen.append)
        await bayeux_server.until(lambda: len(bayeux_server.subscribers("/stock/A")) == 2)
        for number, symbol in enumerate("AABAB", 1):
            data = {"symbol": symbol, "open": 1.0, "price": 1.0, "number": number}
            await bayeux_server.publish(f"/stock/{symbol}", {**data, "time": time.time()})
        while len(seen) < 2 + 2 * 2 * 5:  # noqa: ASYNC110 - all that come, in turns
            await asyncio.sleep(0)
        subscription.dispose()
    links = [update for update in seen if isinstance(update, Link)]
    assert [link.change.state for link in links] == [ClientState.CONNECTED] * 2
    lanes = {update.via: update for update in seen if isinstance(update, Lane)}
    assert {via: (lane.received, lane.lost) for via, lane in lanes.items()} == {
        WS: (5, 0),
        LP: (5, 0),
    }
    assert {update.symbol for update in seen if isinstance(update, Row)} == {"A", "B"}
