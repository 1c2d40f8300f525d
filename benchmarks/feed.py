"""The other side of the benchmarks: a process that pushes frames as fast as the socket takes them.

It speaks just enough Bayeux for a client to be content, and works from frames made beforehand,
so that the receiver is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection

CHANNEL = "/stock/acme"
"""Where the messages are."""
PUSH = "/push"
"""Where to publish ``{"messages": N, "per_frame": N}`` to have them sent."""


def frames(messages: int, per_frame: int) -> list[str]:
    """Make the frames of one run: quotes of a realistic size, about 130 bytes each."""
    quotes = [
        {
            "channel": CHANNEL,
            "data": {"symbol": "ACME", "price": 100 + n % 50 / 10, "volume": n, "side": "buy"},
        }
        for n in range(per_frame)
    ]
    return [json.dumps(quotes)] * (messages // per_frame)


def reply_to(message: dict[str, Any]) -> dict[str, Any]:
    """Answer a meta message, always with yes."""
    reply = {"id": message["id"], "channel": message["channel"], "successful": True}
    if message["channel"] == "/meta/handshake":
        reply |= {"clientId": "x", "supportedConnectionTypes": ["websocket", "long-polling"]}
        reply["advice"] = {"reconnect": "retry", "interval": 0, "timeout": 300_000}
    if message["channel"] == "/meta/subscribe":
        reply["subscription"] = message["subscription"]
    return reply


async def bayeux(request: web.Request) -> web.StreamResponse:
    """Serve both transports, the long-polling one for handshakes only."""
    if request.method == "POST":
        return web.json_response([reply_to(message) for message in await request.json()])
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    connects = 0
    async for frame in socket:
        for message in json.loads(frame.data):
            if message["channel"] == PUSH:
                data = message["data"]
                for text in frames(data["messages"], data["per_frame"]):
                    await socket.send_str(text)
                continue
            if message["channel"] == "/meta/connect":
                connects += 1
                if connects > 1:
                    continue  # held for longer than a run takes
            await socket.send_str(json.dumps([reply_to(message)]))
    return socket


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        app = web.Application()
        app.router.add_route("*", "/", bayeux)
        runner = web.AppRunner(app, handle_signals=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def feed() -> Generator[str]:
    """Run the process for as long as the context lasts. Gives its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/"
    finally:
        process.kill()
        process.join()
