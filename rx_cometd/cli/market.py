"""A stock exchange that makes its prices up: the feed of ``demo`` and of ``serve --ticker``."""

from __future__ import annotations

import asyncio
import math
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rx_cometd.testing import BayeuxServer

__all__ = ["COMPANIES", "Company", "Market"]

#: Seconds between two looks at the clock; quotes of one such turn are published together.
_TURN = 0.02
#: Quotes of a company in one such turn, at most: what no machine can keep up with must not
#: keep it from ending on time.
_MAX_QUOTES = 25


class Company(NamedTuple):
    """A listed company.

    Attributes:
        symbol: What its channel is called after.
        price: What a share costs at the opening.
        volatility: Standard deviation of a quote's change, relative to the price.
        pace: Quotes per second, on average.
    """

    symbol: str
    price: float
    volatility: float
    pace: float


COMPANIES = (
    Company("ACME", 128.40, 0.0012, 55.0),
    Company("CYBR", 42.15, 0.0016, 42.0),
    Company("DUFF", 18.92, 0.0009, 34.0),
    Company("GLOB", 311.05, 0.0007, 28.0),
    Company("HOOL", 96.70, 0.0013, 22.0),
    Company("INIT", 7.48, 0.0020, 17.0),
    Company("MASS", 64.33, 0.0008, 12.0),
    Company("STRK", 540.00, 0.0011, 8.0),
    Company("TYRL", 233.10, 0.0010, 5.0),
    Company("WAYN", 187.65, 0.0006, 2.5),
)


class Market:
    """Publishes quotes on ``/stock/<SYMBOL>``: symbol, open, price, number, and time.

    The ``number`` counts all quotes of the market, so that one who listens to all of them can
    tell whether any was lost; ``time`` is in seconds since the epoch.

    Args:
        server: Where to publish.
        speed: How many times the usual pace: 225 quotes per second, all companies together.
        rng: The source of randomness; tests give a seeded one.
    """

    def __init__(
        self, server: BayeuxServer, speed: float = 1.0, rng: random.Random | None = None
    ) -> None:
        self._server = server
        self._speed = speed
        self._rng = random.Random() if rng is None else rng  # noqa: S311 - no cryptography
        self._prices = {company.symbol: company.price for company in COMPANIES}
        self._due = dict.fromkeys(COMPANIES, 0.0)
        self._number = 0

    async def run(self) -> None:
        """Trade until cancelled."""
        opened = time.monotonic()
        while True:
            await self.trade(time.monotonic() - opened)
            await asyncio.sleep(_TURN)

    async def trade(self, elapsed: float, limit: int = _MAX_QUOTES) -> None:
        """Publish what is due since the last time; what is more than a machine can do is left out.

        Args:
            elapsed: Seconds since the opening.
            limit: Quotes of each company, at most.
        """
        for company in COMPANIES:
            for _ in range(limit):
                if self._due[company] > elapsed:
                    break
                # Exponential waits: quotes come as a Poisson process, in bunches and lulls.
                self._due[company] += self._rng.expovariate(company.pace * self._speed)
                quote = self._quote(company)
                await self._server.publish(f"/stock/{company.symbol}", quote)
            else:
                self._due[company] = elapsed

    def _quote(self, company: Company) -> dict[str, Any]:
        change = self._rng.gauss(0.0, company.volatility)
        # Drawn back to the opening price a little, so that nobody is ruined over a long demo.
        pull = 0.002 * math.log(company.price / self._prices[company.symbol])
        self._prices[company.symbol] *= math.exp(change + pull)
        self._number += 1
        return {
            "symbol": company.symbol,
            "open": company.price,
            "price": round(self._prices[company.symbol], 2),
            "number": self._number,
            "time": time.time(),
        }
