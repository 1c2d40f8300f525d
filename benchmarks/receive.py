"""Messages per second from the socket to ``on_next``, beside a bare aiohttp and JSON loop.

    python benchmarks/receive.py [--messages N] [--json json|orjson] [--rounds N]

A server in a process of its own pushes the same frames, made beforehand, to whoever connects:
as fast as the socket takes them, so that the receiver is what is measured. Bare loop and client
take turns in the same run; what counts is their ratio. With 1, 10 and 100 messages a frame, over
a WebSocket, without extensions and with one and three synchronous ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
from feed import CHANNEL, PUSH, feed
from reactivex import operators as ops

from rx_cometd import Client, ConnectionType, Extension

if TYPE_CHECKING:
    from collections.abc import Callable


async def bare(url: str, loads: Callable[[Any], Any], messages: int, per_frame: int) -> float:
    """Receive with aiohttp and a JSON function alone. Gives seconds."""
    push = {"channel": PUSH, "data": {"messages": messages, "per_frame": per_frame}}
    async with aiohttp.ClientSession() as http, http.ws_connect(url, decode_text=False) as socket:
        begun = time.perf_counter()
        await socket.send_str(json.dumps([push]))
        received = 0
        while received < messages:
            frame = await socket.receive()
            received += len(loads(frame.data))
        return time.perf_counter() - begun


async def client(
    url: str, loads: Callable[[Any], Any], messages: int, per_frame: int, extensions: int
) -> float:
    """Receive with rx_cometd, to the ``on_next`` of one observer. Gives seconds."""
    done = asyncio.Event()
    received = 0

    def on_next(_: object) -> None:
        nonlocal received
        received += 1
        if received == messages:
            done.set()

    seen: list[int] = []
    chosen = [
        Extension.of(inbound=ops.do_action(lambda payload: seen.append(len(payload.messages))))
        for _ in range(extensions)
    ]
    async with Client(url, ConnectionType.WEBSOCKET, json_loads=loads, extensions=chosen) as cometd:
        await cometd.subscribe("/confirmed")  # the observer's request travels along
        cometd.channel(CHANNEL).subscribe(on_next)
        await asyncio.sleep(0.05)
        begun = time.perf_counter()
        push = asyncio.ensure_future(
            cometd.publish(PUSH, {"messages": messages, "per_frame": per_frame})
        )
        await done.wait()
        taken = time.perf_counter() - begun
        push.cancel()
        return taken


async def compare(url: str, loads: Callable[[Any], Any], messages: int, rounds: int) -> None:
    """Measure everything in turns, and print the best of the rounds."""
    heads = ("bare/s", "client/s", "ratio", "1 ext", "3 ext")
    print("per frame {:>10} {:>10} {:>6} {:>6} {:>6}".format(*heads))
    for per_frame in (1, 10, 100):
        best = [float("inf")] * 4
        for _ in range(rounds):
            taken = [
                await bare(url, loads, messages, per_frame),
                *[await client(url, loads, messages, per_frame, n) for n in (0, 1, 3)],
            ]
            best = [min(pair) for pair in zip(best, taken, strict=True)]
        rates = [messages / seconds for seconds in best]
        ratios = [rate / rates[0] for rate in rates[1:]]
        print(
            f"{per_frame:>9} {rates[0]:>10,.0f} {rates[1]:>10,.0f} "
            + " ".join(f"{ratio:>6.2f}" for ratio in ratios)
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", choices=["json", "orjson"], default="json")
    arguments = parser.parse_args()
    loads: Callable[[Any], Any] = json.loads
    if arguments.json == "orjson":
        import orjson  # noqa: PLC0415 - only where it is wanted

        loads = orjson.loads
    with feed() as url:
        asyncio.run(compare(url, loads, arguments.messages, arguments.rounds))


if __name__ == "__main__":
    main()
