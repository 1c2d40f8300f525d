"""rx_cometd as a peer."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from reactivex import operators as ops

from benchmarks.peers.task import Counting, Stopwatch, Task, latencies, perform
from rx_cometd import Client, Extension, raw_json_loads
from rx_cometd import operators as cometd_ops

if TYPE_CHECKING:
    from reactivex import Observable

    from rx_cometd import Payload


def client_of(task: Task) -> Client:
    """Make the client of a task."""
    dumps, loads = task.json_functions()
    if task.json == "raw":
        loads = raw_json_loads
    return Client(
        task.url,
        task.transport,
        ssl=task.ssl,
        json_dumps=dumps,
        json_loads=loads,
        max_pending_count=0,
        compress=task.compress,
        extensions=[_looking() for _ in range(task.extensions)],
    )


def _looking() -> Extension:
    """Make an extension that looks at each payload, and lets it be."""
    seen = 0

    def look(payload: Payload) -> None:
        nonlocal seen
        seen += len(payload.messages)

    return Extension.of(inbound=ops.do_action(look))


def _observable(client: Client, name: str, task: Task) -> Observable[Any]:
    if not task.typed:
        return client.channel(name)
    # Only where it is wanted: what is imported is looked through by Python's garbage collector.
    from benchmarks.peers.quotes import TYPES  # noqa: PLC0415

    how, _, whose = task.typed.partition(" ")
    if how == "channel":
        return client.channel(name, type=TYPES[whose])
    return client.channel(name).pipe(cometd_ops.data(), cometd_ops.decode(TYPES[whose]))


async def receive(task: Task) -> dict[str, float]:
    """Messages from the socket to ``on_next``."""
    counting = Counting()
    async with client_of(task) as client:
        for name in task.names:
            for _ in range(task.observers):
                _observable(client, name, task).subscribe(counting.on_next)
        await _push(client, task, counting, task.warm_up)
        stopwatch = Stopwatch()
        await _push(client, task, counting, task.messages)
        return stopwatch.stop(task.messages)


async def _push(client: Client, task: Task, counting: Counting, messages: int) -> None:
    counting.expect(messages * task.observers)
    await client.publish("/push", task.order(messages))
    await counting.enough.wait()


async def pull(task: Task) -> dict[str, float]:
    """Messages from the socket to ``async for message in client``."""
    async with client_of(task) as client:
        await client.subscribe(task.names[0])
        stopwatch = None
        for messages in (task.warm_up, task.messages):
            stopwatch = Stopwatch()
            await client.publish("/push", task.order(messages))
            for _ in range(messages):
                await anext(aiter(client))
        assert stopwatch is not None  # noqa: S101 - for the type checkers
        return stopwatch.stop(task.messages)


async def latency(task: Task) -> dict[str, float]:
    """Microseconds from the generator's send to ``on_next``."""
    delays: list[int] = []
    enough = asyncio.Event()

    def on_next(message: Any) -> None:
        delays.append(time.monotonic_ns() - message["data"]["sent"])
        if len(delays) == task.messages:
            enough.set()

    async with client_of(task) as client:
        client.channel(task.names[0]).subscribe(on_next)
        await client.publish("/push", task.order(task.messages))
        await enough.wait()
    return latencies(delays)


async def publish(task: Task) -> dict[str, float]:
    """Publishes whose replies are waited for: one at a time, many, or in batches."""
    data = {"symbol": "ACME", "price": 100.5, "volume": 7, "side": "buy"}
    async with client_of(task) as client:

        async def one_by_one(count: int) -> None:
            for _ in range(count):
                await client.publish("/bench/0/x", data)

        async def in_flight(count: int) -> None:
            each = count // task.in_flight
            await asyncio.gather(*(one_by_one(each) for _ in range(task.in_flight)))

        await in_flight(task.warm_up)
        stopwatch = Stopwatch()
        await in_flight(task.messages)
        return stopwatch.stop(task.messages // task.in_flight * task.in_flight)


async def publish_batched(task: Task) -> dict[str, float]:
    """Publishes in batches, each waited for as a whole."""
    data = {"symbol": "ACME", "price": 100.5, "volume": 7, "side": "buy"}
    async with client_of(task) as client:
        stopwatch = Stopwatch()
        for _ in range(task.messages // task.per_frame):
            with client.batch():
                publishes = [
                    asyncio.ensure_future(client.publish("/bench/0/x", data))
                    for _ in range(task.per_frame)
                ]
            await asyncio.gather(*publishes)
        return stopwatch.stop(task.messages)


async def subscribe(task: Task) -> dict[str, float]:
    """Subscribe to channels at once, until the server has confirmed them all."""
    async with client_of(task) as client:
        stopwatch = Stopwatch()
        for n in range(task.messages):
            client.channel(f"/bench/{n}/x").subscribe()
        while len(client.subscriptions) < task.messages:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.001)
        return stopwatch.stop(task.messages)


async def idle_subscriptions(task: Task) -> dict[str, float]:
    """Bytes that Python allocated for each of many idle subscriptions."""
    async with client_of(task) as client:
        client.channel("/first").subscribe()
        names = [f"/bench/{n}/x" for n in range(task.messages)]
        await asyncio.sleep(0.1)
        before = _allocated()
        for name in names:
            client.channel(name).subscribe()
        while len(client.subscriptions) < task.messages:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        return {"bytes": (_allocated() - before) / task.messages}


async def idle_clients(task: Task) -> dict[str, float]:
    """Bytes that Python allocated for each of many connected clients."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(client_of(task))
        before = _allocated()
        for _ in range(task.messages):
            await stack.enter_async_context(client_of(task))
        await asyncio.sleep(0.1)
        return {"bytes": (_allocated() - before) / task.messages}


def _allocated() -> int:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def idle(task: Task) -> dict[str, float]:
    """Seconds of CPU time that an idle session takes, of so many seconds."""
    async with client_of(task) as client:
        client.channel(task.names[0]).subscribe()
        await asyncio.sleep(0.5)
        stopwatch = Stopwatch()
        await asyncio.sleep(task.messages)
        return stopwatch.stop(task.messages)


KINDS = {
    kind.__name__: kind
    for kind in (
        receive,
        pull,
        latency,
        publish,
        publish_batched,
        subscribe,
        idle_subscriptions,
        idle_clients,
        idle,
    )
}

if __name__ == "__main__":
    perform(KINDS)
