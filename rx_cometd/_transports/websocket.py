"""The WebSocket transport: payloads in frames, both ways, on one socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import aiohttp
from multidict import CIMultiDict

from rx_cometd._transports.base import check_credentials
from rx_cometd._transports.departing import Departures
from rx_cometd._transports.errors import (
    NETWORK_ERRORS,
    as_transport_error,
    raise_transport_error,
    shown,
    transport_errors,
)
from rx_cometd._transports.frames import Frames
from rx_cometd._transports.meter import Meter
from rx_cometd._transports.redirects import MOST_REDIRECTS, Redirected, upgrading
from rx_cometd._transports.timeout import timeout_after
from rx_cometd.exceptions import ProtocolError, TransportConnectionClosed, TransportError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.http import WSMessageTextBytes
    from yarl import URL

    from rx_cometd._transports.base import TransportOptions

__all__ = ["Arriving", "WebSocketTransport"]

#: Seconds that the closing handshake of a socket may take; a dead server would take for ever.
_CLOSE_TIMEOUT: Final = 0.5
_SUBPROTOCOL: Final = "Sec-WebSocket-Protocol"


class Arriving(NamedTuple):
    """How much of a payload has come that is not complete yet.

    Attributes:
        payloads: How many payloads came before it.
        size: The bytes of it.
        at: When the last ones came, in seconds of `time.monotonic`.
    """

    payloads: int
    size: int
    at: float


class WebSocketTransport:
    """One WebSocket: it is opened once, and not used again after it closed.

    Args:
        http: The session with the cookies and the connections.
        options: Address, TLS, limits.
    """

    def __init__(self, http: aiohttp.ClientSession, options: TransportOptions) -> None:
        self._http = http
        self._options = options
        self._url = options.address
        self._socket: _Socket | None = None
        self._connection: asyncio.Transport | None = None
        self._meter: Meter | None = None
        #: The meter, where it tells frames apart.
        self._frames: Frames | None = None
        #: What leaves, ``None`` where that is not known.
        self.departures: Departures | None = None
        self._muted = False

    async def open(self, headers: Mapping[str, str], timeout: float) -> None:
        """Open the socket.

        Args:
            headers: Headers of the upgrade request. A ``Sec-WebSocket-Protocol`` among them
                gives the subprotocols to offer; the server must then choose one.
            timeout: Seconds that it may take.

        Raises:
            TransportError: The network failed, or the server refused the upgrade (then with
                ``http_status``), or there are credentials in both the address and the headers.
            TransportTimeoutError: It took too long.
            ProtocolError: The server chose none of the subprotocols.
        """
        fields = CIMultiDict(headers)
        offered = [p.strip() for p in fields.pop(_SUBPROTOCOL, "").split(",") if p.strip()]
        url = self._url
        check_credentials(url, fields, self._http)
        with transport_errors(url):
            async with timeout_after(timeout):
                for _ in range(1 + MOST_REDIRECTS):
                    try:
                        socket = await self._upgraded(url, offered, fields)
                        break
                    except Redirected as redirect:
                        url = redirect.target
                else:
                    raise TransportError(f"{shown(url)} redirects again and again", final=True)
        self._socket = socket
        if offered and socket.protocol not in offered:
            await self.close()
            # With the status of the upgrade: this server does not speak this transport.
            raise ProtocolError(
                f"{shown(url)} chose none of the offered WebSocket subprotocols", http_status=101
            )

    async def _upgraded(self, url: URL, offered: list[str], headers: Mapping[str, str]) -> _Socket:
        with upgrading(self._http, url) as upgrade:
            socket = await self._http.ws_connect(
                url,
                protocols=offered,
                headers=headers,
                ssl=self._options.ssl,
                proxy=self._options.proxy,
                max_msg_size=self._options.max_message_size,
                heartbeat=self._options.heartbeat,
                compress=_WINDOW_BITS if self._options.compress else 0,
                autoping=False,  # the bytes of control frames are told apart from those of payloads
                timeout=_timeout(),
                decode_text=False,
            )
        self._connection = None if upgrade.connection is None else upgrade.connection.transport
        if self._connection is not None:
            self._meter = self._metered(socket, self._connection)
            self.departures = Departures(self._connection)
        return socket

    def _metered(self, socket: _Socket, connection: asyncio.Transport) -> Meter:
        # aiohttp has to see what resets its heartbeat, and to inflate what is compressed.
        if self._options.heartbeat is not None or socket.compress:
            return Meter.between(connection)
        self._frames = Frames.between(connection, self._options.max_message_size)
        return self._frames

    @property
    def arriving(self) -> Arriving | None:
        """What is coming, ``None`` where that is not known."""
        meter = self._meter
        if meter is None:
            return None
        return Arriving(meter.payloads, meter.count - meter.complete, meter.at)

    async def send(self, data: str | bytes) -> None:
        """Send a payload in one text frame.

        Raises:
            TransportConnectionClosed: The socket is closed.
        """
        socket = self._socket
        if socket is None or socket.closed:
            raise TransportConnectionClosed(f"the WebSocket to {shown(self._url)} is closed")
        try:
            frame = data.encode() if isinstance(data, str) else data
            await socket.send_frame(frame, _TEXT)
        except NETWORK_ERRORS as error:
            raise_transport_error(error, self._url)

    def mute(self) -> None:
        """Hand on nothing any more of what still comes."""
        self._muted = True
        if self._frames is not None:
            self._frames.mute()

    async def read(self, receive: Callable[[bytes], None]) -> TransportConnectionClosed:
        """Hand on every payload that comes, until the socket closes.

        Args:
            receive: Called with each payload; ``bytes``, text frames included, so that the
                JSON function gets what the socket held.

        Returns:
            How the socket closed.

        Raises:
            TransportError: The network failed.
            ProtocolError: A frame was broken or too large.
            Exception: What ``receive`` raised.
        """
        socket = self._socket
        if socket is None:
            raise TransportConnectionClosed(f"the WebSocket to {shown(self._url)} is not open")
        if self._frames is not None and not self._muted:
            self._frames.receive_with(receive)
        while True:
            try:
                message = await socket.receive()
                kind = message.type
                if kind is _PING:
                    await socket.pong(message.data)
            except NETWORK_ERRORS as error:
                raise as_transport_error(error, self._url) from error
            if kind in _PAYLOAD:
                self._note_payload(len(message.data))
                if not self._muted:
                    receive(message.data)
            elif kind not in _CONTROL:
                return self._ended(socket, message)
            elif self._meter is not None:
                # Unmasked and short: two bytes of header.
                complete = self._meter.complete + 2 + len(message.data)
                self._meter.complete = min(complete, self._meter.count)

    def _note_payload(self, size: int) -> None:
        if self._meter is not None:
            self._meter.payloads += 1
            self._meter.complete = self._meter.count
        if self._frames is not None:
            self._frames.given(size)

    def _ended(self, socket: _Socket, message: _Message) -> TransportConnectionClosed:
        if self._frames is not None and self._frames.failure is not None:
            raise self._frames.failure
        if message.type is aiohttp.WSMsgType.ERROR:
            raise as_transport_error(message.data, self._url) from message.data
        code = socket.close_code
        reason = " ".join(str(part) for part in (code, message.extra) if part)
        return TransportConnectionClosed(
            f"{shown(self._url)} closed the WebSocket" + (f" ({reason})" if reason else ""),
            close_code=code,
        )

    async def close(self) -> None:
        """Close the socket with code 1000; waits half a second at most for the server's."""
        socket, self._socket = self._socket, None
        if socket is not None:
            unblocking = asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._unblock)
            try:
                with transport_errors(self._url):
                    await socket.close()
            finally:
                unblocking.cancel()

    def _unblock(self) -> None:
        """Give up what the peer does not read.

        It would be kept for it, and the connection with it, and who waits to send more, as the
        close frame or a pong, would wait for ever.
        """
        connection = self._connection
        if connection and not connection.is_closing() and connection.get_write_buffer_size():
            connection.abort()


def _timeout() -> aiohttp.ClientWSTimeout:
    # An attrs class, whose parameters pyright does not see.
    return aiohttp.ClientWSTimeout(ws_close=_CLOSE_TIMEOUT)  # pyright: ignore[reportCallIssue]


_TEXT: Final = aiohttp.WSMsgType.TEXT
_PING: Final = aiohttp.WSMsgType.PING
_CONTROL: Final = frozenset({_PING, aiohttp.WSMsgType.PONG})
_PAYLOAD: Final = frozenset({_TEXT, aiohttp.WSMsgType.BINARY})
#: The largest window that permessage-deflate has (RFC 7692).
_WINDOW_BITS: Final = 15

if TYPE_CHECKING:
    _Socket = aiohttp.ClientWebSocketResponse[Literal[False]]
    _Message = aiohttp.WSMessage | WSMessageTextBytes
