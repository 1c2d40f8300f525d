"""``async for message in client``, beside aiocometd's, from the socket to the loop's body.

    pip install aiocometd-noloop
    python benchmarks/pull.py [--messages N] [--rounds N]

Both clients take turns on the same feed, over a WebSocket, with the same JSON function. (The
original aiocometd does not run on Python 3.10 and later; ``aiocometd-noloop`` is the fork that
does, with the same code where it matters here.)
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import time
import warnings
from typing import Any

from feed import CHANNEL, PUSH, feed

from rx_cometd import Client, ConnectionType


async def ours(url: str, messages: int, per_frame: int) -> float:
    """Receive with rx_cometd. Gives seconds."""
    async with Client(url, ConnectionType.WEBSOCKET, max_pending_count=0) as client:
        return await _measure(client, messages, per_frame)


async def theirs(url: str, messages: int, per_frame: int) -> float:
    """Receive with aiocometd. Gives seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aiocometd: Any = importlib.import_module("aiocometd_noloop")  # untyped, and it warns

        client: Any = aiocometd.Client(url, aiocometd.ConnectionType.WEBSOCKET, max_pending_count=0)
        async with client:
            return await _measure(client, messages, per_frame)


async def _measure(client: Any, messages: int, per_frame: int) -> float:
    await client.subscribe(CHANNEL)
    push = asyncio.ensure_future(
        client.publish(PUSH, {"messages": messages, "per_frame": per_frame})
    )
    begun = time.perf_counter()
    received = 0
    async for _ in client:
        received += 1
        if received == messages:
            break
    taken = time.perf_counter() - begun
    push.cancel()
    return taken


async def compare(url: str, messages: int, rounds: int) -> None:
    """Measure both in turns, and print the best of the rounds."""
    print(f"{'per frame':>9} {'rx_cometd/s':>12} {'aiocometd/s':>12} {'ratio':>6}")
    for per_frame in (1, 10, 100):
        best = [float("inf")] * 2
        for _ in range(rounds):
            taken = [await receive(url, messages, per_frame) for receive in (ours, theirs)]
            best = [min(pair) for pair in zip(best, taken, strict=True)]
        rates = [messages / seconds for seconds in best]
        print(f"{per_frame:>9} {rates[0]:>12,.0f} {rates[1]:>12,.0f} {rates[0] / rates[1]:>6.1f}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with feed() as url:
        asyncio.run(compare(url, arguments.messages, arguments.rounds))


if __name__ == "__main__":
    main()
