"""A feed in a ReactiveX pipeline: averages per symbol over windows of time."""

import asyncio
import random
from typing import Any, NamedTuple

from reactivex import Observable
from reactivex import operators as ops

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer

WINDOW = 0.4  # seconds


class Quote(NamedTuple):
    """A price."""

    symbol: str
    price: float


class Average(NamedTuple):
    """The prices of one symbol in one window."""

    symbol: str
    quotes: int
    mean: float


async def trade(server: BayeuxServer) -> None:
    """Publish prices on the embedded server."""
    while True:
        symbol = random.choice(["ACME", "GLOB", "WAYN"])
        quote = Quote(symbol, random.gauss(100, 5))
        await server.publish(f"/stock/{symbol}", quote._asdict())
        await asyncio.sleep(0.002)


def symbol_of(quote: Quote) -> str:
    return quote.symbol


def mean(window: list[Quote]) -> Average:
    total = sum(quote.price for quote in window)
    return Average(window[0].symbol, len(window), total / len(window))


def averages_of_one(quotes: Observable[Quote]) -> Observable[Average]:
    windows: Observable[list[Quote]] = quotes.pipe(ops.buffer_with_time(WINDOW))
    return windows.pipe(ops.filter(bool), ops.map(mean))


def averages(quotes: Observable[Quote]) -> Observable[Average]:
    """Average the quotes of each symbol over each window.

    No scheduler is given, and no thread is started: what comes from a channel is timed by the
    event loop.
    """
    by_symbol: Any = ops.group_by(symbol_of)
    result: Observable[Average] = quotes.pipe(by_symbol, ops.flat_map(averages_of_one))
    return result


async def main() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        market = asyncio.create_task(trade(server))
        quotes = client.channel("/stock/*").pipe(
            cometd_ops.data(), cometd_ops.decode(lambda data: Quote(**data))
        )
        async for average in quotes.pipe(averages, ops.take(9), cometd_ops.to_async_iterable()):
            print(f"{average.symbol}: {average.mean:6.2f} over {average.quotes} quotes")
        market.cancel()


if __name__ == "__main__":
    asyncio.run(main())
