"""The link to the server: which transport carries a payload, and the socket's life.

Long-polling has no life of its own, each exchange stands for itself. The WebSocket is opened
when the first payload wants it and never reused after it closed: a new one is opened for the
next payload. Payloads that a socket brings after it was dropped are not handed on, so nothing
stale ever reaches the session.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp

from rx_cometd._transports import LongPollingTransport, Received, WebSocketTransport
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import TransportConnectionClosed, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rx_cometd._transports.base import TransportOptions
    from rx_cometd._transports.departing import Departures
    from rx_cometd._transports.websocket import Arriving

__all__ = ["Link"]

_log = logging.getLogger("rx_cometd.link")

#: Seconds that an idle connection is kept for the next request. Servers close theirs after 5 s
#: (Node, Apache) or more, and a request that crosses with that may be lost. aiohttp's is 15 s.
KEEP_ALIVE: Final = 3.0
_LONG_POLLING: Final = ConnectionType.LONG_POLLING


class Link:
    """Carries payloads.

    Args:
        options: Address, TLS, limits.
        http_session: The user's HTTP session, never closed here; ``None`` to have one of its own.
        received: Called with each payload that the WebSocket brings.
        lost: Called when the WebSocket closed, and not by us.
    """

    def __init__(
        self,
        options: TransportOptions,
        http_session: aiohttp.ClientSession | None,
        received: Callable[[bytes], None],
        lost: Callable[[TransportError], None],
    ) -> None:
        self._options = options
        self._received = received
        self._lost = lost
        self._http = http_session
        self._owns_http = http_session is None
        self._long_polling: LongPollingTransport | None = None
        self._websocket: WebSocketTransport | None = None
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def wants_headers(self, connection_type: ConnectionType) -> bool:
        """Tell whether the next payload over a connection type carries headers."""
        return connection_type is _LONG_POLLING or self._websocket is None

    async def send(
        self,
        connection_type: ConnectionType,
        data: str | bytes,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Received | None:
        """Send a payload.

        Returns:
            The response over long-polling; over a WebSocket, where replies come by
            themselves, ``None``.

        Raises:
            TransportError: It could not be sent, or was not answered in time.
        """
        if connection_type is _LONG_POLLING:
            if self._long_polling is None:
                self._long_polling = LongPollingTransport(self._http_session(), self._options)
            return await self._long_polling.exchange(data, headers, timeout)
        websocket = self._websocket or await self._opened(headers, timeout)
        await websocket.send(data)
        return None

    @property
    def arriving(self) -> Arriving | None:
        """What the WebSocket is bringing and is not complete, ``None`` where it is not known."""
        return None if self._websocket is None else self._websocket.arriving

    @property
    def departures(self) -> Departures | None:
        """What leaves over the WebSocket, ``None`` where it is not open, or that is not known."""
        return None if self._websocket is None else self._websocket.departures

    def drop(self) -> None:
        """Drop the WebSocket at once; it is closed in the background."""
        websocket, self._websocket = self._websocket, None
        if websocket is not None:
            websocket.mute()
            self._spawn(_close(websocket), "rx_cometd.link.close")

    async def close(self) -> None:
        """Close the WebSocket in order, and what else is open."""
        self.drop()
        while self._tasks:
            # Taken out here: gathering what is done already need not give way to the loop, and
            # the callbacks that take it out else would never run (Python 3.12).
            tasks = set(self._tasks)
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks -= tasks
        if self._owns_http and self._http is not None:
            http, self._http = self._http, None
            await http.close()

    def _http_session(self) -> aiohttp.ClientSession:
        if self._http is None:
            # Cookies of IP hosts are kept: CometD's session affinity needs BAYEUX_BROWSER on
            # 127.0.0.1 too, and aiohttp's default jar drops it. No limit of connections: one
            # is held by the connect, and a disconnect must never wait for it.
            self._http = aiohttp.ClientSession(
                cookie_jar=aiohttp.CookieJar(unsafe=True),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            )
        return self._http

    async def _opened(self, headers: Mapping[str, str], timeout: float) -> WebSocketTransport:
        async with self._opening:
            if self._websocket is None:
                websocket = WebSocketTransport(self._http_session(), self._options)
                await websocket.open(headers, timeout)
                self._websocket = websocket
                self._spawn(self._read(websocket), "rx_cometd.link.read")
            return self._websocket

    async def _read(self, websocket: WebSocketTransport) -> None:
        try:
            await self._give_up(websocket, await _read_all(websocket, self._received))
        except asyncio.CancelledError:
            # Not by us: somebody cancels what is not his. What nobody reads any more is lost.
            text = "the WebSocket was given up: the task that reads it was cancelled"
            await self._give_up(websocket, TransportConnectionClosed(text))
            raise

    async def _give_up(self, websocket: WebSocketTransport, error: TransportError) -> None:
        if self._websocket is websocket:
            self._websocket = None
            self._lost(error)
        await _close(websocket)

    def _spawn(self, coroutine: _Coroutine, name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _read_all(
    websocket: WebSocketTransport, receive: Callable[[bytes], None]
) -> TransportError:
    """Hand on what a WebSocket brings until it ends; gives how."""
    try:
        return await websocket.read(receive)
    except TransportError as failure:
        return failure
    except Exception as failure:
        # A fault of this library must not leave the session deaf: the link is given up.
        _log.exception("a payload could not be handled", extra={"event": "payload_failed"})
        error = TransportConnectionClosed(
            f"the WebSocket was given up: a payload could not be handled ({failure!r})"
        )
        error.__cause__ = failure
        return error


async def _close(websocket: WebSocketTransport) -> None:
    try:
        async with asyncio.timeout(1.0):
            await websocket.close()
    except (TransportError, TimeoutError) as error:
        _log.debug(
            "the WebSocket did not close in order: %s",
            error,
            extra={"event": "websocket_close_failed", "error_type": type(error).__name__},
        )


if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    _Coroutine = Coroutine[Any, Any, None]
