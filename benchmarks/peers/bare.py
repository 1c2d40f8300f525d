"""The bare loop as a peer: aiohttp, a JSON function and a counter, and nothing else.

What it costs is the floor for whatever is built on aiohttp. Each message is handed to the same
function that counts it in the other peers.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp

from benchmarks.peers.task import Counting, Stopwatch, Task, latencies, perform

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiohttp import ClientWebSocketResponse

_CONNECT = {"channel": "/meta/connect", "clientId": "x", "connectionType": "long-polling"}


@asynccontextmanager
async def _socket(task: Task) -> AsyncGenerator[ClientWebSocketResponse[Any]]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            task.url, decode_text=False, ssl=task.ssl or True, compress=15 if task.compress else 0
        ) as socket,
    ):
        yield socket


async def receive(task: Task) -> dict[str, float]:
    """Messages from the socket, decoded and counted."""
    over = _over_websocket if task.transport == "websocket" else _over_long_polling
    return await over(task)


async def _over_websocket(task: Task) -> dict[str, float]:
    _, loads = task.json_functions()
    counting = Counting()
    async with _socket(task) as socket:

        async def push(messages: int) -> None:
            counting.expect(messages + 1)  # the reply
            await socket.send_str(json.dumps([_push(task, messages)]))
            while counting.left:
                frame = await socket.receive()
                for message in loads(frame.data):
                    counting.on_next(message)

        await push(task.warm_up)
        stopwatch = Stopwatch()
        await push(task.messages)
        return stopwatch.stop(task.messages)


async def _over_long_polling(task: Task) -> dict[str, float]:
    _, loads = task.json_functions()
    counting = Counting()
    async with aiohttp.ClientSession() as http:

        async def post(message: dict[str, Any]) -> list[Any]:
            async with http.post(task.url, json=[message], ssl=task.ssl or True) as response:
                return loads(await response.read())  # type: ignore[no-any-return]

        async def push(messages: int) -> None:
            await post(_push(task, messages))
            counting.expect(messages + messages // task.per_frame)  # the replies
            while counting.left:
                for message in await post(_CONNECT):
                    counting.on_next(message)

        await post({"channel": "/meta/handshake"})
        await post(_CONNECT)
        await push(task.warm_up)
        stopwatch = Stopwatch()
        await push(task.messages)
        return stopwatch.stop(task.messages)


def _push(task: Task, messages: int) -> dict[str, Any]:
    return {"channel": "/push", "id": "1", "data": task.order(messages)}


async def latency(task: Task) -> dict[str, float]:
    """Microseconds from the generator's send to the decoded message."""
    _, loads = task.json_functions()
    delays: list[int] = []
    async with _socket(task) as socket:
        await socket.send_str(json.dumps([_push(task, task.messages)]))
        await socket.receive()
        while len(delays) < task.messages:
            frame = await socket.receive()
            delays.extend(
                time.monotonic_ns() - message["data"]["sent"] for message in loads(frame.data)
            )
    return latencies(delays)


async def publish(task: Task) -> dict[str, float]:
    """Publishes whose replies are waited for, by their ids."""
    dumps, loads = task.json_functions()
    data = {"symbol": "ACME", "price": 100.5, "volume": 7, "side": "buy"}
    ids = count(1)
    waiting: dict[str, asyncio.Future[Any]] = {}
    loop = asyncio.get_running_loop()
    async with _socket(task) as socket:

        async def read() -> None:
            while True:
                frame = await socket.receive()
                for reply in loads(frame.data):
                    waiting.pop(reply["id"]).set_result(reply)

        async def one_by_one(messages: int) -> None:
            for _ in range(messages):
                number = str(next(ids))
                reply = waiting[number] = loop.create_future()
                message = {"channel": "/bench/0/x", "clientId": "x", "id": number, "data": data}
                text = dumps([message])
                await socket.send_str(text if isinstance(text, str) else text.decode())
                await reply

        async def in_flight(messages: int) -> None:
            each = messages // task.in_flight
            await asyncio.gather(*(one_by_one(each) for _ in range(task.in_flight)))

        reading = asyncio.create_task(read())
        await in_flight(task.warm_up)
        stopwatch = Stopwatch()
        await in_flight(task.messages)
        taken = stopwatch.stop(task.messages // task.in_flight * task.in_flight)
        reading.cancel()
        return taken


if __name__ == "__main__":
    perform({"receive": receive, "latency": latency, "publish": publish})
