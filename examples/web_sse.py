"""Server-sent events: one client for the whole application, and a buffer for each browser.

Needs FastAPI and uvicorn; with Starlette it is the same but for how the route is declared.
"""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.operators import Overflow
from rx_cometd.testing import BayeuxServer

COUNT = 3000
SYMBOLS = ["ACME", "GLOB", "WAYN"]


async def quotes(request: Request) -> StreamingResponse:
    """Stream quotes to one browser; a slow one misses what newer quotes replaced."""
    # What the browser does not take waits here, and only here: the latest quote of each symbol.
    # Neither the session nor the other browsers notice.
    latest = request.app.state.client.channel("/stock/*").pipe(
        cometd_ops.data(),
        cometd_ops.to_async_iterable(0, Overflow.CONFLATE, key=lambda quote: quote["symbol"]),
    )

    async def stream() -> AsyncIterator[str]:
        # Left when the browser goes: the subscription ends with it.
        async with aiter(latest) as pending:
            yield ": subscribed\n\n"
            async for quote in pending:
                yield f"data: {json.dumps(quote)}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


def application(url: str) -> FastAPI:
    """Make the application; its client lives as long as it does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with Client(url, connection_timeout=None) as client:
            app.state.client = client
            yield

    app = FastAPI(lifespan=lifespan)
    app.get("/quotes")(quotes)
    return app


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[str]:
    """Serve on a free port, with small buffers, so that a slow browser is felt soon."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        # Streams have no end, so shutting down must not wait for them for ever.
        config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=20)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/quotes"
        finally:
            server.should_exit = True
            await serving


async def browse(url: str, *, begin: asyncio.Event, opened: asyncio.Event) -> list[Any]:
    """Read quotes, as a browser does, until the last one of each symbol is here."""
    received: list[Any] = []
    async with aiohttp.ClientSession(read_bufsize=4096) as http, http.get(url) as response:
        await response.content.readline()
        opened.set()
        await begin.wait()
        missing = set(range(COUNT - len(SYMBOLS), COUNT))
        while missing:
            line = await response.content.readline()
            if line.startswith(b"data: "):
                received.append(json.loads(line.removeprefix(b"data: ")))
                missing.discard(received[-1]["number"])
    return received


async def main() -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(BayeuxServer())
        url = await stack.enter_async_context(running(application(server.url)))
        at_once, later = asyncio.Event(), asyncio.Event()
        at_once.set()
        opened = [asyncio.Event(), asyncio.Event()]
        fast = asyncio.create_task(browse(url, begin=at_once, opened=opened[0]))
        slow = asyncio.create_task(browse(url, begin=later, opened=opened[1]))
        for event in opened:
            await event.wait()
        await server.until(lambda: server.subscribers("/stock/ACME"))

        for number in range(COUNT):
            quote = {"symbol": SYMBOLS[number % 3], "number": number, "news": "." * 3000}
            await server.publish(f"/stock/{quote['symbol']}", quote)
            await asyncio.sleep(0)
        received = await fast
        print("the fast browser has the latest quotes")
        later.set()  # the slow one has read nothing so far
        fewer = len(await slow) < len(received)
        print("the slow browser has them, too, after fewer messages:", fewer)
        print("sessions that the CometD server has seen:", len(server.sessions))


if __name__ == "__main__":
    asyncio.run(main())
