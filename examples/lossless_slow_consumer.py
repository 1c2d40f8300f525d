"""A consumer slower than the feed that loses nothing, in little memory: flow control."""

import asyncio
from typing import Any

from reactivex import operators as ops

from rx_cometd import Client, ConnectionType
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import ack
from rx_cometd.operators import Overflow
from rx_cometd.testing import BayeuxServer

COUNT = 400
BOUND = 50


async def publish(server: BayeuxServer) -> None:
    """Publish on the embedded server, much faster than it is worked off."""
    for number in range(COUNT):
        await server.publish("/work", number)
        if number % 10 == 0:
            await asyncio.sleep(0.01)


async def work(number: Any) -> int:
    await asyncio.sleep(0.002)
    return int(number)


async def consume(url: str, server: BayeuxServer, kind: ConnectionType) -> None:
    # While the buffer is full the client holds back its next connect, and the server keeps what
    # it has for it. Over a WebSocket that takes the acknowledgement extension. Once it may, the
    # server sends all it has in one payload, so more than the bound can wait for a while.
    async with Client(url, kind, extensions=[ack()]) as client:
        results = client.channel("/work").pipe(
            cometd_ops.data(),
            cometd_ops.map_async(work, max_pending_count=BOUND, overflow=Overflow.SUSPEND),
            ops.take(COUNT),
            cometd_ops.to_async_iterable(0),
        )
        numbers: list[int] = []
        most = 0
        async with aiter(results) as done:
            await server.until(lambda: server.subscribers("/work"))
            publisher = asyncio.create_task(publish(server))
            async for number in done:
                numbers.append(number)
                most = max(most, client.pending_count)
            await publisher
        print(
            f"{kind.value:>12}: {len(numbers)} of {COUNT}, in order: {numbers == sorted(numbers)};"
            f" at most {most} waited; the client held back {client.statistics().suspensions} times"
        )


async def main() -> None:
    async with BayeuxServer(timeout=2.0) as server:
        for kind in ConnectionType:
            await consume(server.url, server, kind)


if __name__ == "__main__":
    asyncio.run(main())
