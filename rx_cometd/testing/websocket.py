"""The WebSocket transport: one connection for everything, events pushed when they come."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMessage, WSMsgType, web

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing.exchange import Exchange
from rx_cometd.testing.http import abort
from rx_cometd.testing.tasks import Tasks
from rx_cometd.testing.wire import MalformedPayload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from rx_cometd.testing.core import Core

__all__ = ["WebSocketLink", "WebSockets"]

_HIGH_WATER: Final = 256 * 1024
_CLOSE_SECONDS: Final = 0.5


class WebSocketLink:
    """One WebSocket, and what waits to be sent over it.

    Attributes:
        headers: Of the upgrade request.
    """

    def __init__(self, core: Core, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.headers: Mapping[str, str] = request.headers
        self._core = core
        self._request = request
        self._ws = ws
        self._outbox: deque[str | Callable[[], None]] = deque()
        self._size = 0
        self._ready = asyncio.Event()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._tasks = Tasks()
        self._closings: set[asyncio.Task[bool]] = set()
        self._closing: tuple[int, str] | None = None
        self.spawn(self._write())

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be sent that a publisher should wait as well."""
        return not self._roomy.is_set()

    def push(self, text: str) -> None:
        """Send an encoded message, soon."""
        self._outbox.append(text)
        self._size += len(text)
        self._ready.set()
        if self._size >= _HIGH_WATER:
            self._roomy.clear()

    def once_written(self, action: Callable[[], None]) -> None:
        """Do something once all that waits now is written; never, if the link ends before."""
        self._outbox.append(action)
        self._ready.set()

    async def drained(self) -> None:
        """Wait until it is crowded no more, or closed."""
        await self._roomy.wait()

    def dismiss(self, code: int, reason: str) -> None:
        """Close the WebSocket in order, once all is sent."""
        self._closing = (code, reason)
        self._ready.set()

    def abort(self) -> None:
        """Cut the TCP connection."""
        abort(self._request)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the WebSocket at once, and wait for the client to do so, a little."""
        closing = self._ws.close(code=code, message=reason.encode())
        task = asyncio.get_running_loop().create_task(closing)
        self._closings.add(task)
        await asyncio.wait([task])

    async def send_raw(self, payload: str | bytes) -> None:
        """Send a frame that is none of ours."""
        if isinstance(payload, str):
            await self._ws.send_str(payload)
        else:
            await self._ws.send_bytes(payload)

    def tear_frame(self) -> None:
        """Begin a text frame of 1000 bytes, send some, and end the connection."""
        transport = self._request.transport
        if transport is not None:
            transport.write(b"\x81\x7e" + (1000).to_bytes(2, "big") + b'[{"channel":')
            transport.close()

    async def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        await self._ws.pong(payload)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something that ends with the link."""
        self._tasks.spawn(coroutine)

    async def end(self) -> None:
        """End the tasks of the link; nothing is sent any more."""
        self._roomy.set()
        await self._tasks.end()
        # aiohttp would cut the connection under a close that waits for the client's.
        await asyncio.gather(*self._closings, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._ready.wait()
                await self._core.faults.gate()
                if self._outbox:
                    await self._write_next()
                elif self._closing is not None:
                    await self.close(*self._closing)
                    return
                else:
                    self._ready.clear()
        except ConnectionError:
            # The reader learns of the end of the connection too, and cleans up.
            self._roomy.set()

    async def _write_next(self) -> None:
        first = self._outbox.popleft()
        if isinstance(first, str):
            await self._ws.send_str(self._frame(first))
        else:
            first()

    def _frame(self, first: str) -> str:
        outbox = self._outbox
        limit = self._core.options.messages_per_frame or sys.maxsize
        texts = [first]
        while outbox and len(texts) < limit and isinstance(outbox[0], str):
            texts.append(outbox[0])
            outbox.popleft()
        self._size -= sum(map(len, texts))
        if self._size < _HIGH_WATER // 2:
            self._roomy.set()
        return self._core.codec.join(texts)


class WebSockets:
    """Serves WebSocket upgrades.

    Attributes:
        links: The open WebSockets, shared with whom they concern.
    """

    def __init__(self, core: Core, links: set[WebSocketLink]) -> None:
        self._core = core
        self.links = links

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until it ends."""
        await self._core.faults.gate()
        status = self._core.faults.status_for_upgrade()
        if status is not None:
            return web.Response(status=status)
        refused = await self._core.refuse(request)
        if refused is not None:
            return refused
        ws = web.WebSocketResponse(
            autoping=False,
            compress=False,
            timeout=_CLOSE_SECONDS,
            max_msg_size=self._core.options.max_message_size,
        )
        await ws.prepare(request)
        link = WebSocketLink(self._core, request, ws)
        self.links.add(link)
        self._core.changed()
        try:
            async for frame in ws:
                await self._receive(link, frame)
        finally:
            self.links.discard(link)
            self._core.registry.unbind(link)
            await link.end()
        return ws

    async def _receive(self, link: WebSocketLink, frame: WSMessage) -> None:
        # Pings are answered by hand: a stalled server answers none.
        await self._core.faults.gate()
        if frame.type is WSMsgType.PING:
            await link.pong(frame.data)
        elif frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            try:
                messages = self._core.codec.decode(frame.data)
                self._core.record(ConnectionType.WEBSOCKET, messages)
                await self._process(link, messages)
            except MalformedPayload as error:
                await link.close(1011, str(error))

    async def _process(self, link: WebSocketLink, messages: list[dict[str, Any]]) -> None:
        core = self._core
        exchange = Exchange(messages, ConnectionType.WEBSOCKET, link.headers, link)
        try:
            if not messages:
                raise MalformedPayload("the payload is empty")
            await core.requests.process(exchange)
            if exchange.hold:
                link.spawn(self._hold(link, exchange))
                # Its session must be held before the next frame is read.
                await asyncio.sleep(0)
            else:
                self._respond(link, exchange)
        finally:
            exchange.finish()

    async def _hold(self, link: WebSocketLink, exchange: Exchange) -> None:
        # AbstractWebSocketEndPoint: the older of two connects is dropped in silence.
        if await self._core.hold(exchange, link.abort):
            self._respond(link, exchange)
        exchange.finish()

    def _respond(self, link: WebSocketLink, exchange: Exchange) -> None:
        texts = self._core.texts(exchange)
        delay = self._core.faults.delay_for(exchange.replies)
        if delay:
            link.spawn(_push_later(link, texts, delay))
        else:
            _push(link, texts)
            if exchange.connect is not None:
                self._count_from_writing(link, exchange)

    def _count_from_writing(self, link: WebSocketLink, exchange: Exchange) -> None:
        """Count the days of sessions from when all was written, for that may take its time.

        So does AbstractWebSocketEndPoint.
        """
        for session in exchange.sessions:
            if session.link is link:
                session.expire_never()
                link.once_written(partial(session.expire_in, self._core.registry.lifetime))


def _push(link: WebSocketLink, texts: list[str]) -> None:
    for text in texts:
        link.push(text)


async def _push_later(link: WebSocketLink, texts: list[str], delay: float) -> None:
    await asyncio.sleep(delay)
    _push(link, texts)
