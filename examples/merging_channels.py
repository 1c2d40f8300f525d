"""Several channels, globs among them, in one stream; and the latest of two side by side."""

import asyncio
import itertools

import reactivex as rx
from reactivex import Observable
from reactivex import operators as ops

from rx_cometd import Client, Event
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer


async def publish(server: BayeuxServer) -> None:
    """Publish prices and news on the embedded server."""
    for number in itertools.count():
        await server.publish("/stock/ACME", {"price": 100 + number % 7})
        await server.publish("/stock/GLOB", {"price": 200 - number % 5})
        if number % 3 == 0:
            await server.publish("/news/sport", {"text": f"match {number} is over"})
        if number % 5 == 0:
            await server.publish("/news/weather/tomorrow", {"text": "rain"})
        await asyncio.sleep(0.02)


def describe(message: Event) -> str:
    return f"{message['channel']}: {message['data']}"


def difference_in_price(latest: tuple[Event, ...]) -> int:
    expensive, cheap = latest
    return int(expensive["data"]["price"] - cheap["data"]["price"])


async def main() -> None:
    async with BayeuxServer() as server, Client(server.url) as client:
        publisher = asyncio.create_task(publish(server))

        # `*` stands for one segment, `**` for one or more. The three subscribe requests are
        # made in one turn of the event loop, so they travel in one payload.
        everything = rx.merge(
            client.channel("/stock/ACME"), client.channel("/stock/GLOB"), client.channel("/news/**")
        )
        texts = everything.pipe(ops.map(describe), ops.take(20))
        async for text in texts.pipe(cometd_ops.to_async_iterable()):
            print(text)

        latest: Observable[tuple[Event, ...]] = rx.combine_latest(
            client.channel("/stock/GLOB"), client.channel("/stock/ACME")
        )
        spread: Observable[int] = latest.pipe(ops.map(difference_in_price))
        async for difference in spread.pipe(ops.take(5), cometd_ops.to_async_iterable()):
            print("GLOB is dearer by", difference)

        publisher.cancel()


if __name__ == "__main__":
    asyncio.run(main())
