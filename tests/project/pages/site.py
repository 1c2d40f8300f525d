"""A web site that has a Bayeux server among its pages: a vendor's instance, or one behind TLS."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from rx_cometd.testing import BayeuxServer

__all__ = ["logging_in", "site"]


@asynccontextmanager
async def site(
    server: BayeuxServer, *pages: web.RouteDef, context: ssl.SSLContext | None = None
) -> AsyncGenerator[URL]:
    """Serve pages and, at its own path, a running server; gives the site's origin.

    It is called by a name, for cookies of addresses are not kept.
    """
    app = web.Application()
    app.add_routes(pages)
    handle = server._handle  # pyright: ignore[reportPrivateUsage]
    app.router.add_route("*", URL(server.url).path + "{tail:.*}", handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    scheme = "http" if context is None else "https"
    try:
        yield URL(f"{scheme}://localhost:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def logging_in(
    header: str, value: str, cookie: tuple[str, str]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Give a page that sets a cookie for those who send a header, and refuses all others."""

    async def page(request: web.Request) -> web.Response:
        if request.headers.get(header) != value:
            return web.Response(status=401)
        response = web.Response(text="{}")
        response.set_cookie(*cookie)
        return response

    return page
