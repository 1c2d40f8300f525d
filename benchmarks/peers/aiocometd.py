"""aiocometd-noloop as a peer: the fork of aiocometd that runs on today's Python.

It runs in an environment of its own, so nothing of ours is imported but `task`.
"""

from __future__ import annotations

import asyncio
import importlib
import time
import warnings
from typing import Any

from benchmarks.peers.task import Stopwatch, Task, latencies, perform


def _client(task: Task) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aiocometd: Any = importlib.import_module("aiocometd_noloop")  # untyped, and it warns
    dumps, loads = task.json_functions()

    def encoded(messages: Any) -> str:
        text = dumps(messages)
        return text if isinstance(text, str) else text.decode()

    return aiocometd.Client(
        task.url,
        aiocometd.ConnectionType(task.transport),
        ssl=task.ssl,
        max_pending_count=0,
        json_dumps=dumps if task.json == "json" else encoded,
        json_loads=loads,
    )


async def receive(task: Task) -> dict[str, float]:
    """Messages from the socket to ``async for message in client``."""
    async with _client(task) as client:
        await client.subscribe(task.names[0])
        await _push(client, task, task.warm_up)
        stopwatch = Stopwatch()
        await _push(client, task, task.messages)
        return stopwatch.stop(task.messages)


async def _push(client: Any, task: Task, messages: int) -> None:
    await client.publish("/push", task.order(messages))
    received = 0
    async for _ in client:
        received += 1
        if received == messages:
            return


async def latency(task: Task) -> dict[str, float]:
    """Microseconds from the generator's send to the loop's body."""
    delays: list[int] = []
    async with _client(task) as client:
        await client.subscribe(task.names[0])
        await client.publish("/push", task.order(task.messages))
        async for message in client:
            delays.append(time.monotonic_ns() - message["data"]["sent"])
            if len(delays) == task.messages:
                break
    return latencies(delays)


async def publish(task: Task) -> dict[str, float]:
    """Publishes whose replies are waited for."""
    data = {"symbol": "ACME", "price": 100.5, "volume": 7, "side": "buy"}
    async with _client(task) as client:

        async def one_by_one(messages: int) -> None:
            for _ in range(messages):
                await client.publish("/bench/0/x", data)

        async def in_flight(messages: int) -> None:
            each = messages // task.in_flight
            await asyncio.gather(*(one_by_one(each) for _ in range(task.in_flight)))

        await in_flight(task.warm_up)
        stopwatch = Stopwatch()
        await in_flight(task.messages)
        return stopwatch.stop(task.messages // task.in_flight * task.in_flight)


if __name__ == "__main__":
    perform({"receive": receive, "pull": receive, "latency": latency, "publish": publish})
