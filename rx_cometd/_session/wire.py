"""From messages to bytes and back: codec, extensions and link, in that order outbound.

A payload in flight is known by its `Exchange`: the identifiers of the requests it carries. The
wire says of each exchange exactly one of: its messages came (`WireListener.received`), it failed
(`WireListener.failed`), or, over a WebSocket, nothing, since replies come by themselves and it is
for the session to wait for them.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd._protocol.raw_data import complete
from rx_cometd._protocol.user_functions import call
from rx_cometd._session.inbound import Inbound
from rx_cometd._session.outbound import Outbound
from rx_cometd._session.settings import Settings, no_header, provided
from rx_cometd._transports.link import Link
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import (
    ClientError,
    ExtensionError,
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd._session.listeners import Exchange, WireListener
    from rx_cometd._transports import Arriving
    from rx_cometd._transports.departing import Departures
    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message
    from rx_cometd.statistics import Counters

__all__ = ["Wire"]

_log = logging.getLogger("rx_cometd.wire")


class Wire:
    """Sends and receives messages.

    Args:
        settings: The client's.
        listener: Told of what is received, and of what fails.
        counters: Where traffic is counted.
    """

    def __init__(self, settings: Settings, listener: WireListener, counters: Counters) -> None:
        self._settings = settings
        self._codec = settings.codec
        self._listener = listener
        self._counters = counters
        self._link = Link(settings.transport, settings.http_session, self._received, listener.lost)
        #: Bytes that an ordinary payload may have; less when a server proves stricter.
        self._size_limit = settings.transport.max_message_size
        self._largest_sent = 0
        inbound, outbound = _operators(settings)
        timeout = settings.max_network_delay
        scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        self._inbound = Inbound(inbound, listener, timeout, scheduler) if inbound else None
        self._outbound = Outbound(outbound, timeout, scheduler) if outbound else None
        #: When something last came, in seconds of `time.monotonic`.
        self.last_received = 0.0
        #: Whether extensions added headers to the upgrade of the WebSocket: credentials, most
        #: often, which only a new upgrade renews.
        self.upgraded_with_credentials = False

    # -- outbound ------------------------------------------------------------------------------

    async def send(
        self,
        connection_type: ConnectionType,
        messages: list[Message],
        exchange: Exchange,
        timeout: float,
    ) -> None:
        """Send messages in one payload, or in several where a size limit makes it so.

        Over long-polling, returns when the response was handled. The exchange is the requests
        among the messages.

        Raises:
            CometDError: Nothing, or not everything, was sent or answered.
            Exception: What the user's ``headers`` raised.
        """
        headers: Mapping[str, str] = _NO_HEADERS
        wanted = self._link.wants_headers(connection_type)
        if self._outbound is not None or (wanted and self._settings.headers is not None):
            messages, headers = await self._extended(connection_type, messages, wanted=wanted)
        # Extensions and headers may have taken their time.
        messages = self._listener.leaving(messages, exchange)
        if messages:
            await self._send(connection_type, messages, exchange, headers, timeout)

    async def _extended(
        self, connection_type: ConnectionType, messages: list[Message], *, wanted: bool
    ) -> tuple[list[Message], CIMultiDict[str]]:
        """Give messages and headers as the extensions want them, and the user."""
        headers: CIMultiDict[str] = CIMultiDict()
        if wanted:
            headers.update(await self._headers_of_user())
        given = headers.copy()
        if self._outbound is not None:
            messages, headers, dropped = await self._outbound.send(messages, headers)
            if dropped:
                text = "an extension dropped the message from its payload, so that it was not sent"
                self._listener.failed(dropped, ExtensionError(text))
        if wanted and connection_type is ConnectionType.WEBSOCKET:
            renewable = callable(self._settings.headers) and bool(given)
            self.upgraded_with_credentials = renewable or headers != given
        return messages, headers

    async def _headers_of_user(self) -> Mapping[str, str]:
        given = await provided(self._settings.headers, "headers", self._settings.max_network_delay)
        if callable(self._settings.headers):  # a mapping was checked when the client was made
            wrong = no_header(given)
            if wrong is not None:
                raise ClientError(wrong)
        return given

    async def _send(
        self,
        connection_type: ConnectionType,
        messages: list[Message],
        exchange: Exchange,
        headers: Mapping[str, str],
        timeout: float,
    ) -> None:
        messages, data = self._encoded(messages)
        if not messages:
            return
        size = len(data)
        if size > self._size_limit and len(messages) > 1:
            middle = len(messages) // 2
            for half in (messages[:middle], messages[middle:]):
                await self._send(connection_type, half, _requests(half), headers, timeout)
            return
        self._counters.messages_out += len(messages)
        self._counters.bytes_out += size
        self._largest_sent = max(self._largest_sent, size)
        if connection_type is _WEBSOCKET:
            departures = self._link.departures
            departure = None if departures is None else departures.begin(size)
            self._listener.departing(exchange, timeout, departure)
        received = await self._link.send(connection_type, data, headers, timeout)
        if received is not None:
            self._received(received.data, received.headers, _requests(messages))

    def _encoded(self, messages: list[Message]) -> tuple[list[Message], str | bytes]:
        """Encode messages; those that cannot be fail, and the rest goes on without them."""
        try:
            return messages, self._codec.encode(messages)
        except ClientError:
            if len(messages) == 1:
                raise
        encodable: list[Message] = []
        for message in messages:
            try:
                self._codec.encode([message])
            except ClientError as error:
                self._listener.failed((message.get("id", ""),), error)
            else:
                encodable.append(message)
        return encodable, self._codec.encode(encodable)

    # -- inbound -------------------------------------------------------------------------------

    def _received(
        self,
        data: str | bytes,
        headers: Mapping[str, str] | None = None,
        exchange: Exchange = (),
    ) -> None:
        counters = self._counters
        self.last_received = counters.last_heard = monotonic()
        counters.payload_size = len(data)
        counters.bytes_in += counters.payload_size
        try:
            decoded = self._codec.parse(data)
            # Most payloads are nothing but events, or nothing but replies to publishes.
            if self._inbound is None and (
                (not exchange and self._listener.received_events(decoded))
                or self._listener.received_replies(decoded, exchange)
            ):
                counters.messages_in += len(decoded)
                return
            messages = self._codec.messages(decoded, data)
        except ProtocolError as error:
            _log.warning(
                "%s",
                error,
                extra={"event": "payload_unreadable", "error_type": type(error).__name__},
            )
            if exchange:
                self._listener.failed(exchange, error)
            else:
                self._listener.unreadable(error)
            return
        counters.messages_in += len(messages)
        if self._inbound is None:
            self._listener.received(messages, exchange, None)
        else:
            if self._codec.leaves_raw:
                complete(messages)  # extensions look at what they like
            self._inbound.receive(messages, headers, exchange)

    def holds(self, reply: str) -> bool:
        """Tell whether a reply came, but is still with an extension."""
        return self._inbound is not None and self._inbound.holds(reply)

    # -- the link ------------------------------------------------------------------------------

    @property
    def arriving(self) -> Arriving | None:
        """What the WebSocket is bringing and is not complete, ``None`` where it is not known."""
        return self._link.arriving

    @property
    def departures(self) -> Departures | None:
        """What leaves over the WebSocket, ``None`` where it is not open, or that is not known."""
        return self._link.departures

    def drop(self) -> None:
        """Drop the WebSocket: it is dead, or another transport is used from now on."""
        self._link.drop()

    def too_large(self) -> None:
        """Note that the server found a payload too large: the next ones are split smaller."""
        # The largest sent lately is what it was, or the server found nothing wrong with it.
        largest = min(self._largest_sent or self._size_limit, self._size_limit)
        self._size_limit = max(largest // 2, _SMALLEST_LIMIT)
        self._largest_sent = 0

    async def close(self) -> None:
        """Close what is open, and fail what is inside the pipelines."""
        for pipeline in (self._inbound, self._outbound):
            if pipeline is not None:
                pipeline.dispose()
        await self._link.close()


_SMALLEST_LIMIT: Final = 8 * 1024
#: "Message Too Big" (RFC 6455, section 7.4.1).
_TOO_BIG: Final = 1009
_WEBSOCKET: Final = ConnectionType.WEBSOCKET
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def _operators(settings: Settings) -> tuple[list[PayloadOperator], list[PayloadOperator]]:
    """Have the extensions make their operators: auth is nearest to the wire, both ways."""
    made = [call(extension.operators, "operators") for extension in settings.extensions]
    auth = [call(settings.auth.operators, "operators")] if settings.auth is not None else []
    inbound = [o.inbound for o in (*auth, *made) if o.inbound is not None]
    outbound = [o.outbound for o in (*made, *auth) if o.outbound is not None]
    return inbound, outbound


def _requests(messages: list[Message]) -> Exchange:
    """Give the requests among messages."""
    return tuple([str(message["id"]) for message in messages if "id" in message])


def is_too_large(error: Exception) -> bool:
    """Tell whether the server found a payload too large (HTTP 413, WebSocket 1009)."""
    if isinstance(error, TransportConnectionClosed):
        return error.close_code == _TOO_BIG
    # A `ProtocolError` with that code is our own refusal of what the server sent.
    return isinstance(error, TransportError) and error.http_status == 413
