"""The long-polling transport: payloads as HTTP requests, and one of them held."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from aiohttp import web

from rx_cometd.connection_types import ConnectionType
from rx_cometd.messages import HANDSHAKE
from rx_cometd.testing.exchange import Exchange
from rx_cometd.testing.wire import MalformedPayload

if TYPE_CHECKING:
    from rx_cometd.testing.core import Core

__all__ = ["BROWSER_COOKIE", "LongPolling", "abort"]

BROWSER_COOKIE = "BAYEUX_BROWSER"


class LongPolling:
    """Serves POST requests."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        core = self._core
        await core.faults.gate()
        refused = await core.refuse(request)
        if refused is not None:
            return refused
        try:
            messages = core.codec.decode(await request.read())
        except MalformedPayload as error:
            return web.Response(status=400, text=str(error))
        core.record(ConnectionType.LONG_POLLING, messages)
        status = core.faults.status_for(messages)
        if status is not None:
            return web.Response(status=status)
        # AbstractHttpTransport.processMessages: an empty payload, and a handshake that is not
        # alone, are errors of the servlet.
        shakes_hands = any(m.get("channel") == HANDSHAKE for m in messages)
        if not messages or (shakes_hands and len(messages) > 1):
            return web.Response(status=500)
        cookie = request.cookies.get(BROWSER_COOKIE)
        exchange = Exchange(messages, ConnectionType.LONG_POLLING, request.headers)
        exchange.browser_id = cookie or (secrets.token_hex(16) if shakes_hands else None)
        response = await self._respond(exchange, request)
        if shakes_hands and not cookie and exchange.browser_id is not None:
            response.set_cookie(BROWSER_COOKIE, exchange.browser_id, path="/", httponly=True)
        return response

    async def _respond(self, exchange: Exchange, request: web.Request) -> web.StreamResponse:
        core = self._core
        try:
            await core.requests.process(exchange)
            if exchange.hold and not await core.hold(exchange, lambda: abort(request)):
                # Java's duplicateMetaConnectHttpResponseCode.
                return web.Response(status=500)
            body: str | bytes = core.codec.join(core.texts(exchange))
        finally:
            exchange.finish()
        await asyncio.sleep(core.faults.delay_for(exchange.replies))
        await core.faults.gate()
        altered = core.faults.body_for(exchange.replies)
        body = body if altered is None else altered
        response = web.Response(
            body=body.encode() if isinstance(body, str) else body,
            content_type=core.options.content_type,
            charset="utf-8",
        )
        part = core.faults.cut_for(exchange.replies)
        return response if part is None else await _cut(request, response, part)


async def _cut(request: web.Request, response: web.Response, part: float) -> web.StreamResponse:
    """Send a part of a response, and end the connection as if all was well."""
    body = bytes(response.body or b"") if isinstance(response.body, bytes) else b""
    torn = web.StreamResponse(headers=response.headers)
    torn.content_length = len(body)
    if part:
        await torn.prepare(request)
        await torn.write(body[: int(len(body) * part)])
    if request.transport is not None:
        request.transport.close()
    return torn


def abort(request: web.Request) -> None:
    """Cut the TCP connection of a request."""
    if request.transport is not None:
        request.transport.abort()
