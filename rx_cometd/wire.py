"""From messages to bytes and back: codec, extensions and link, in that order outbound.

A payload in flight is known by its `Exchange`: the identifiers of the requests it carries. The
wire says of each exchange exactly one of: its messages came (`Handlers.received`), it failed
(`Handlers.failed`), or, over a WebSocket, nothing, since replies come by themselves and it is
for the session to wait for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Protocol

from multidict import CIMultiDict
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import CometDError, ExtensionError, ProtocolError
from rx_cometd.extension import Payload
from rx_cometd.link import Link
from rx_cometd.pipeline import Pipeline
from rx_cometd.settings import Settings, provided

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message
    from rx_cometd.statistics import Counters
    from rx_cometd.transports import Received

__all__ = ["Exchange", "Handlers", "Wire"]

_log = logging.getLogger("rx_cometd.wire")

Exchange = tuple[str, ...]


class Handlers(Protocol):
    """What the wire tells the session. Nothing here may raise."""

    def received(
        self, messages: list[Message], exchange: Exchange, payload: Payload | None
    ) -> None:
        """Take messages.

        Args:
            messages: The messages, after the extensions.
            exchange: The requests that an HTTP response answers; empty over a WebSocket.
            payload: What passed the extensions, ``None`` where there are none.
        """
        ...

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Take the failure of requests."""
        ...

    def lost(self, error: Exception) -> None:
        """Take the loss of the WebSocket."""
        ...


class Wire:
    """Sends and receives messages.

    Args:
        settings: The client's.
        handlers: The session's.
        counters: Where traffic is counted.
    """

    def __init__(self, settings: Settings, handlers: Handlers, counters: Counters) -> None:
        self._settings = settings
        self._codec = settings.codec
        self._handlers = handlers
        self._counters = counters
        self._link = Link(settings, self._received, handlers.lost)
        self._scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        #: Bytes that an ordinary payload may have; halved when a server proves stricter.
        self._size_limit = settings.transport.max_message_size
        #: Outbound payloads in the pipeline, and who waits for them to come out.
        self._leaving: dict[int, asyncio.Future[Payload]] = {}
        #: Inbound payloads in the pipeline, their exchanges, and when to wait no longer.
        self._arriving: dict[int, tuple[Exchange, asyncio.TimerHandle]] = {}
        inbound, outbound = _operators(settings)
        self._inbound = self._pipeline(inbound, self._arrived, self._lost_inbound)
        self._outbound = self._pipeline(outbound, self._left, self._lost_outbound)
        #: When something last came, by the loop's clock.
        self.last_received = 0.0
        #: Whether extensions added headers to the upgrade of the WebSocket: credentials, most
        #: often, which only a new upgrade renews.
        self.upgraded_with_credentials = False

    # -- outbound ------------------------------------------------------------------------------

    async def send(
        self, connection_type: ConnectionType, messages: list[Message], allowance: float
    ) -> None:
        """Send messages in one payload, or in several where a size limit makes it so.

        Over long-polling, returns when the response was handled.

        Raises:
            CometDError: Nothing, or not everything, was sent or answered.
            Exception: What the user's ``headers`` raised.
        """
        exchange = tuple(message.get("id", "") for message in messages)
        headers: CIMultiDict[str] = CIMultiDict()
        if self._link.wants_headers(connection_type):
            headers.update(await provided(self._settings.headers))
        if self._outbound is not None:
            given = set(headers)
            messages, headers = await self._pass_outbound(messages, headers, exchange)
            if not messages:
                return
            if self._link.wants_headers(connection_type):
                self.upgraded_with_credentials = (
                    connection_type is ConnectionType.WEBSOCKET and set(headers) != given
                )
        await self._send(connection_type, messages, headers, allowance)

    async def _send(
        self,
        connection_type: ConnectionType,
        messages: list[Message],
        headers: Mapping[str, str],
        allowance: float,
    ) -> None:
        data = self._codec.encode(messages)
        if len(data) > self._size_limit and len(messages) > 1:
            half = len(messages) // 2
            await self._send(connection_type, messages[:half], headers, allowance)
            await self._send(connection_type, messages[half:], headers, allowance)
            return
        self._counters.messages_out += len(messages)
        self._counters.bytes_out += len(data)
        exchange = tuple(str(message["id"]) for message in messages if "id" in message)
        received = await self._link.send(connection_type, data, headers, allowance)
        if received is not None:
            self._received(received, exchange)

    async def _pass_outbound(
        self, messages: list[Message], headers: CIMultiDict[str], exchange: Exchange
    ) -> tuple[list[Message], CIMultiDict[str]]:
        """Have the extensions see a payload; what they drop fails, the rest goes on."""
        assert self._outbound is not None  # noqa: S101 - for the type checker
        payload = Payload(list(messages), headers)
        ids = {id(message): message.get("id", "") for message in messages}
        passed = await self._let_out(payload)
        for message in passed.messages:
            if id(message) in ids:
                message["id"] = ids[id(message)]
        kept = {message.get("id") for message in passed.messages}
        dropped = tuple(request_id for request_id in exchange if request_id not in kept)
        if dropped:
            self._handlers.failed(dropped, ExtensionError("an extension dropped the message"))
        return passed.messages, CIMultiDict(passed.headers)

    async def _let_out(self, payload: Payload) -> Payload:
        assert self._outbound is not None  # noqa: S101 - for the type checker
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        self._leaving[id(payload)] = future
        try:
            self._outbound.push(payload)
            if not future.done():
                async with asyncio.timeout(self._settings.max_network_delay):
                    await future
            return future.result()
        except TimeoutError:
            self._outbound.abandon(payload)
            raise ExtensionError("an extension did not let the payload out in time") from None
        finally:
            self._leaving.pop(id(payload), None)

    def _left(self, pushed: Payload | None, payload: Payload) -> None:
        future = None if pushed is None else self._leaving.get(id(pushed))
        if future is None or future.done():
            _log.warning("dropped %r, which an extension made up", payload)
        else:
            future.set_result(payload)

    def _lost_outbound(self, payload: Payload, error: ExtensionError) -> None:
        future = self._leaving.get(id(payload))
        if future is not None and not future.done():
            future.set_exception(error)

    # -- inbound -------------------------------------------------------------------------------

    def _received(self, received: Received, exchange: Exchange = ()) -> None:
        self.last_received = asyncio.get_running_loop().time()
        self._counters.last_seen = time.time()
        self._counters.bytes_in += len(received.data)
        try:
            messages = self._codec.decode(received.data)
        except ProtocolError as error:
            _log.warning("%s", error)
            self._handlers.failed(exchange, error)
            return
        self._counters.messages_in += len(messages)
        if self._inbound is None:
            self._handlers.received(messages, exchange, None)
        else:
            headers = None if received.headers is None else CIMultiDict(received.headers)
            self._push_inbound(Payload(messages, headers), exchange)

    def _push_inbound(self, payload: Payload, exchange: Exchange) -> None:
        assert self._inbound is not None  # noqa: S101 - for the type checker
        timer = asyncio.get_running_loop().call_later(
            self._settings.max_network_delay, self._stuck, payload
        )
        self._arriving[id(payload)] = exchange, timer
        self._inbound.push(payload)

    def _arrived(self, pushed: Payload | None, payload: Payload) -> None:
        exchange, timer = self._arriving.pop(id(pushed), _UNKNOWN)
        if timer is not None:
            timer.cancel()
        self._handlers.received(payload.messages, exchange, payload)

    def _lost_inbound(self, payload: Payload, error: ExtensionError) -> None:
        """Deliver what a failed extension did not see through, but fail its requests.

        Event messages are never lost in silence; replies that an extension did not finish
        with cannot be trusted.
        """
        exchange, timer = self._arriving.pop(id(payload), _UNKNOWN)
        if timer is not None:
            timer.cancel()
        replies = tuple(str(m.get("id")) for m in payload.messages if "data" not in m)
        self._handlers.failed((*exchange, *replies), error)
        events = [m for m in payload.messages if "data" in m]
        if events:
            self._handlers.received(events, (), None)

    def _stuck(self, payload: Payload) -> None:
        if self._inbound is None:
            return
        self._inbound.abandon(payload)
        _log.error("an extension did not let %r in within max_network_delay", payload)
        self._lost_inbound(
            payload, ExtensionError("an extension did not let the payload in, in time")
        )

    # -- the link ------------------------------------------------------------------------------

    def drop(self) -> None:
        """Let go of the WebSocket: it is dead, or another transport is used from now on."""
        self._link.drop()

    def too_large(self) -> None:
        """Note that the server found a payload too large: the next ones are split smaller."""
        self._size_limit = max(self._size_limit // 2, _SMALLEST_LIMIT)

    async def close(self) -> None:
        """Close what is open, and fail what is inside the pipelines."""
        for pipeline in (self._inbound, self._outbound):
            if pipeline is not None:
                pipeline.dispose()
        for _, timer in self._arriving.values():
            timer.cancel()
        self._arriving.clear()
        await self._link.close()

    def _pipeline(
        self, operators: list[PayloadOperator], emit: _Emit, lost: _Lost
    ) -> Pipeline | None:
        return Pipeline(operators, emit, lost, self._scheduler) if operators else None


_SMALLEST_LIMIT = 8 * 1024
_UNKNOWN: tuple[Exchange, asyncio.TimerHandle | None] = ((), None)


def _operators(settings: Settings) -> tuple[list[PayloadOperator], list[PayloadOperator]]:
    """Have the extensions make their operators: auth is nearest to the wire, both ways."""
    made = [extension.operators() for extension in settings.extensions]
    auth = [settings.auth.operators()] if settings.auth is not None else []
    inbound = [o.inbound for o in (*auth, *made) if o.inbound is not None]
    outbound = [o.outbound for o in (*made, *auth) if o.outbound is not None]
    return inbound, outbound


def is_too_large(error: Exception) -> bool:
    """Tell whether the server found a payload too large (HTTP 413, WebSocket 1009)."""
    return isinstance(error, CometDError) and (
        getattr(error, "http_status", None) == 413 or getattr(error, "close_code", None) == 1009
    )


if TYPE_CHECKING:
    from collections.abc import Callable

    _Emit = Callable[[Payload | None, Payload], None]
    _Lost = Callable[[Payload, ExtensionError], None]
