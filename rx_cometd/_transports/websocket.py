"""The WebSocket transport: payloads in frames, both ways, on one socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal

import aiohttp
from multidict import CIMultiDict

from rx_cometd._transports.base import Received, TransportOptions, transport_errors
from rx_cometd.exceptions import ProtocolError, TransportConnectionClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["WebSocketTransport"]

#: Seconds that the closing handshake of a socket may take; a dead server would take for ever.
_CLOSE_TIMEOUT: Final = 0.5
_SUBPROTOCOL: Final = "Sec-WebSocket-Protocol"


class WebSocketTransport:
    """One WebSocket: it is opened once, and not used again after it closed.

    Args:
        http: The session with the cookies and the connections.
        options: Address, TLS, limits.
    """

    def __init__(self, http: aiohttp.ClientSession, options: TransportOptions) -> None:
        self._http = http
        self._options = options
        self._url = options.url.with_scheme(_HTTP.get(options.url.scheme, options.url.scheme))
        self._socket: aiohttp.ClientWebSocketResponse[Literal[False]] | None = None

    async def open(self, headers: Mapping[str, str], timeout: float) -> None:
        """Open the socket.

        Args:
            headers: Headers of the upgrade request. A ``Sec-WebSocket-Protocol`` among them
                gives the subprotocols to offer; the server must then choose one.
            timeout: Seconds that it may take.

        Raises:
            TransportError: The network failed, or the server refused the upgrade (then with
                ``http_status``).
            TransportTimeoutError: It took too long.
            ProtocolError: The server chose none of the subprotocols.
        """
        fields = CIMultiDict(headers)
        offered = [p.strip() for p in fields.pop(_SUBPROTOCOL, "").split(",") if p.strip()]
        with transport_errors():
            async with asyncio.timeout(timeout):
                socket = await self._http.ws_connect(
                    self._url,
                    protocols=offered,
                    headers=fields,
                    ssl=self._options.ssl,
                    proxy=self._options.proxy,
                    max_msg_size=self._options.max_message_size,
                    heartbeat=self._options.heartbeat,
                    timeout=_timeout(),
                    decode_text=False,
                )
        self._socket = socket
        if offered and socket.protocol not in offered:
            await self.close()
            # With the status of the upgrade: this server does not speak this transport.
            raise ProtocolError(
                "the server chose none of the offered WebSocket subprotocols", http_status=101
            )

    async def send(self, data: str | bytes) -> None:
        """Send a payload in one text frame.

        Raises:
            TransportConnectionClosed: The socket is closed.
        """
        if self._socket is None or self._socket.closed:
            raise TransportConnectionClosed("the WebSocket is closed")
        with transport_errors():
            if isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_frame(data, aiohttp.WSMsgType.TEXT)

    async def read(self, receive: Callable[[Received], None]) -> TransportConnectionClosed:
        """Hand on every payload that comes, until the socket closes.

        Args:
            receive: Called with each payload; ``bytes``, text frames included, so that the
                JSON function gets what the socket held.

        Returns:
            How the socket closed.

        Raises:
            TransportError: The network failed.
            ProtocolError: A frame was broken or too large.
        """
        socket = self._socket
        if socket is None:
            raise TransportConnectionClosed("the WebSocket is not open")
        with transport_errors():
            while True:
                message = await socket.receive()
                if message.type in _PAYLOAD:
                    receive(Received(message.data, None))
                elif message.type is aiohttp.WSMsgType.ERROR:
                    raise message.data
                else:
                    break
        code = socket.close_code
        reason = str(message.extra or "")
        return TransportConnectionClosed(
            f"the server closed the WebSocket ({code} {reason})".replace(" )", ")"),
            close_code=code,
        )

    async def close(self) -> None:
        """Close the socket with code 1000; waits half a second at most for the server's."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with transport_errors():
                await socket.close()


def _timeout() -> aiohttp.ClientWSTimeout:
    # An attrs class, whose parameters pyright does not see.
    return aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT)  # pyright: ignore[reportCallIssue]


_PAYLOAD = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_HTTP = {"ws": "http", "wss": "https"}
