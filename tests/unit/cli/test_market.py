from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client
from rx_cometd.cli.market import COMPANIES, Market

if TYPE_CHECKING:
    from rx_cometd.testing import BayeuxServer


async def test_quotes_come_at_the_pace_of_their_company(bayeux_server: BayeuxServer) -> None:
    async with Client(bayeux_server.url, max_pending_count=0) as client:
        await client.subscribe("/stock/**")
        market = Market(bayeux_server, rng=random.Random(7))
        for tenth in range(101):
            await market.trade(tenth / 10)
        await bayeux_server.publish("/stock/END", None)
        quotes: list[dict[str, object]] = []
        while (message := await client.receive())["channel"] != "/stock/END":
            assert message["channel"] == f"/stock/{message['data']['symbol']}"
            quotes.append(message["data"])
    assert [quote["number"] for quote in quotes] == list(range(1, len(quotes) + 1))
    counts = Counter(quote["symbol"] for quote in quotes)
    for company in COMPANIES:
        expected = company.pace * 10
        assert counts[company.symbol] == pytest.approx(expected, abs=5 * expected**0.5 + 1)


async def test_prices_move_but_not_far_and_the_speed_can_be_set(
    bayeux_server: BayeuxServer,
) -> None:
    async with Client(bayeux_server.url, max_pending_count=0) as client:
        await client.subscribe("/stock/ACME")
        market = Market(bayeux_server, speed=10.0, rng=random.Random(7))
        await market.trade(1.0, limit=1000)
        await bayeux_server.publish("/stock/ACME", None)
        prices: list[float] = []
        while (data := (await client.receive())["data"]) is not None:
            assert data["open"] == COMPANIES[0].price
            prices.append(data["price"])
    assert 400 < len(prices) < 700
    assert len(set(prices)) > 50
    assert all(0.8 < price / COMPANIES[0].price < 1.25 for price in prices)
