"""A display that is slower than the feed: always the latest quote of each symbol."""

import asyncio
import itertools
from typing import Any

from reactivex import operators as ops

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.operators import Overflow
from rx_cometd.testing import BayeuxServer


async def trade(server: BayeuxServer) -> None:
    """Publish quotes on the embedded server, a thousand per second."""
    for number in itertools.count():
        symbol = ("ACME", "GLOB", "WAYN")[number % 3]
        await server.publish(f"/stock/{symbol}", {"symbol": symbol, "number": number})
        if number % 10 == 0:
            await asyncio.sleep(0.01)


async def show(quote: dict[str, Any]) -> None:
    """Draw a quote; slow, as drawing is."""
    await asyncio.sleep(0.1)
    print(f"quote {quote['number']:>5} of {quote['symbol']}")


def symbol_of(quote: dict[str, Any]) -> str:
    return str(quote["symbol"])


async def main() -> None:
    replaced = 0

    def count_replaced(_quote: dict[str, Any], so_far: int) -> None:
        nonlocal replaced
        replaced = so_far

    async with BayeuxServer() as server, Client(server.url) as client:
        market = asyncio.create_task(trade(server))
        # Unbounded here means: as many as there are symbols. While one is drawn, quotes replace
        # each other by symbol; each symbol keeps its turn.
        quotes = client.channel("/stock/*").pipe(
            ops.take(1500),
            cometd_ops.data(),
            cometd_ops.to_async_iterable(
                0, Overflow.CONFLATE, key=symbol_of, on_overflow=count_replaced
            ),
        )
        async for quote in quotes:
            await show(quote)
        print("replaced by later ones:", replaced)
        market.cancel()


if __name__ == "__main__":
    asyncio.run(main())
