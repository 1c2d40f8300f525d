"""Channels as observables: filter them, loop over them, publish."""

import asyncio
import random

from reactivex import operators as ops

from rx_cometd import Client, Event
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer


async def trade(server: BayeuxServer) -> None:
    """Publish prices on the embedded server."""
    while True:
        symbol = random.choice(["ACME", "GLOB"])
        await server.publish(f"/stock/{symbol}", {"symbol": symbol, "price": random.gauss(100, 5)})
        await asyncio.sleep(0.01)


def is_expensive(message: Event) -> bool:
    return bool(message["data"]["price"] > 100)


async def main() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        market = asyncio.create_task(trade(server))

        # Cold: nothing is sent yet. Any ReactiveX operator works on a channel.
        prices = client.channel("/stock/*").pipe(ops.filter(is_expensive), cometd_ops.data())

        # Now one subscribe request goes out, however many observers there are.
        subscription = prices.pipe(ops.take(3)).subscribe(lambda quote: print("observer:", quote))

        # The same stream, pulled; leaving the loop disposes of the subscription.
        async for quote in prices.pipe(ops.take(5), cometd_ops.to_async_iterable()):
            print("loop:    ", quote)

        reply = await client.publish("/orders", {"buy": 1, "symbol": "ACME"})
        print("reply:   ", reply)

        subscription.dispose()
        market.cancel()


if __name__ == "__main__":
    asyncio.run(main())
