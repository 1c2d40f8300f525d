"""A server that does what a test tells it, for the transports alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from yarl import URL

from rx_cometd._transports import TransportOptions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable


@asynccontextmanager
async def serving(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncGenerator[str]:
    """Serve, and give the address."""
    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/cometd"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def http_session() -> AsyncGenerator[aiohttp.ClientSession]:
    """Give a session as the link makes it."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        yield http


def options(url: str, **changes: Any) -> TransportOptions:
    """Make options."""
    defaults: dict[str, Any] = {
        "url": URL(url),
        "ssl": True,
        "proxy": None,
        "max_message_size": 10_000,
        "heartbeat": None,
    }
    return TransportOptions(**(defaults | changes))
