"""What a payload of event messages costs between the socket and its observer.

    python -m benchmarks.inbound

Payloads are fed into a connected session past its socket, so that nothing of aiohttp and asyncio
is in the figures. Nanoseconds for a payload, the best of many short runs taken in turns, beyond
those of ``orjson.loads`` and a loop that calls the observer with each message.
"""

from __future__ import annotations

import asyncio
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson
from reactivex import operators as ops

from benchmarks.peers.task import Counting
from rx_cometd import Client, Extension
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNS = 400
#: Messages in a run.
_MESSAGES = 1_000
_CHANNEL = "/bench/0/x"
#: Where a session takes what its socket brings; the public way in is the socket.
_way_in = attrgetter("_shared.current._exchanges._wire._received")


async def main() -> None:
    """Print the table."""
    print(
        "| extensions | messages in a payload | a payload, ns | a message, ns |\n|---|---|---|---|"
    )
    for extensions in (0, 1, 3):
        async with BayeuxServer() as server, _client(server.url, extensions) as client:
            counting = Counting()
            client.channel(_CHANNEL).subscribe(counting.on_next)
            while not client.subscriptions:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            for count in (1, 10, 100):
                cost = _cost(_way_in(client), counting, count)
                print(f"| {extensions} | {count} | {cost:.0f} | {cost / count:.0f} |")


def _client(url: str, extensions: int) -> Client:
    looking = [Extension.of(inbound=ops.do_action(_look)) for _ in range(extensions)]
    return Client(url, json_loads=orjson.loads, json_dumps=orjson.dumps, extensions=looking)


def _look(payload: object) -> None:
    del payload


def _cost(received: Callable[[bytes], None], counting: Counting, count: int) -> float:
    """Give the nanoseconds of a payload beyond decoding it and calling its observer."""
    data: dict[str, Any] = {"symbol": "ACME", "price": 100.5, "volume": 7, "side": "buy"}
    payload = orjson.dumps([{"channel": _CHANNEL, "data": data}] * count)
    received(payload)  # now the channel is known

    def bare(payload: bytes) -> None:
        for message in orjson.loads(payload):
            counting.on_next(message)

    times = max(1, _MESSAGES // (count + 1))
    found = [(_run(received, payload, times), _run(bare, payload, times)) for _ in range(_RUNS)]
    return min(ours for ours, _ in found) - min(floor for _, floor in found)


def _run(take: Callable[[bytes], None], payload: bytes, times: int) -> float:
    begun = time.perf_counter_ns()
    for _ in range(times):
        take(payload)
    return (time.perf_counter_ns() - begun) / times


if __name__ == "__main__":
    asyncio.run(main())
