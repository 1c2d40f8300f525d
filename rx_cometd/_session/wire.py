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
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Protocol

from multidict import CIMultiDict
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd._flow.payload import Payload
from rx_cometd._protocol.raw_data import complete
from rx_cometd._session.pipeline import Pipeline
from rx_cometd._session.settings import Settings, provided
from rx_cometd._transports.link import Link
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ClientError, CometDError, ExtensionError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd._transports import Arriving
    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message
    from rx_cometd.statistics import Counters

__all__ = ["Exchange", "Handlers", "Wire"]

_log = logging.getLogger("rx_cometd.wire")

Exchange = tuple[str, ...]


class Handlers(Protocol):
    """What the wire tells the session. Nothing here may raise."""

    def received_events(self, decoded: Any) -> bool:
        """Take a payload of a WebSocket if it holds nothing but event messages.

        Args:
            decoded: What the JSON function made of it, whatever that is.

        Returns:
            Whether it was taken.
        """
        ...

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

    def leaving(self, messages: list[Message], exchange: Exchange, timeout: float) -> list[Message]:
        """Take note of messages that go out now, past the extensions.

        Args:
            messages: The messages.
            exchange: The requests among them.
            timeout: Seconds that their replies may take.

        Returns:
            The messages but for the requests that were cancelled meanwhile.
        """
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
        self._link = Link(settings.transport, settings.http_session, self._received, handlers.lost)
        self._scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        #: Bytes that an ordinary payload may have; less when a server proves stricter.
        self._size_limit = settings.transport.max_message_size
        self._largest_sent = 0
        inbound, outbound = _operators(settings)
        self._inbound: Pipeline[Exchange] | None = None
        self._outbound: Pipeline[_Outbound] | None = None
        timeout, scheduler = settings.max_network_delay, self._scheduler
        if inbound:
            self._inbound = Pipeline(
                inbound, self._passed_inbound, self._failed_inbound, timeout, scheduler
            )
        if outbound:
            self._outbound = Pipeline(
                outbound, self._passed_outbound, self._failed_outbound, timeout, scheduler
            )
        #: Numbers the messages that extensions add.
        self._added = count(1)
        #: When something last came, in seconds of `time.monotonic`.
        self.last_received = 0.0
        #: Whether extensions added headers to the upgrade of the WebSocket: credentials, most
        #: often, which only a new upgrade renews.
        self.upgraded_with_credentials = False

    # -- outbound ------------------------------------------------------------------------------

    async def send(
        self, connection_type: ConnectionType, messages: list[Message], timeout: float
    ) -> None:
        """Send messages in one payload, or in several where a size limit makes it so.

        Over long-polling, returns when the response was handled.

        Raises:
            CometDError: Nothing, or not everything, was sent or answered.
            Exception: What the user's ``headers`` raised.
        """
        exchange = tuple(message.get("id", "") for message in messages)
        headers: CIMultiDict[str] = CIMultiDict()
        wanted = self._link.wants_headers(connection_type)
        if wanted:
            given_by_user = provided(self._settings.headers, self._settings.max_network_delay)
            headers.update(await given_by_user)
        given = headers.copy()
        if self._outbound is not None:
            messages, headers = await self._pass_outbound(messages, headers)
        if wanted and connection_type is ConnectionType.WEBSOCKET:
            renewable = callable(self._settings.headers) and bool(given)
            self.upgraded_with_credentials = renewable or headers != given
        # Extensions and headers may have taken their time.
        messages = self._handlers.leaving(messages, exchange, timeout)
        if messages:
            await self._send(connection_type, messages, headers, timeout)

    async def _send(
        self,
        connection_type: ConnectionType,
        messages: list[Message],
        headers: Mapping[str, str],
        timeout: float,
    ) -> None:
        messages, data = self._encoded(messages)
        if not messages:
            return
        if len(data) > self._size_limit and len(messages) > 1:
            half = len(messages) // 2
            await self._send(connection_type, messages[:half], headers, timeout)
            await self._send(connection_type, messages[half:], headers, timeout)
            return
        self._counters.messages_out += len(messages)
        self._counters.bytes_out += len(data)
        self._largest_sent = max(self._largest_sent, len(data))
        exchange = tuple(str(message["id"]) for message in messages if "id" in message)
        received = await self._link.send(connection_type, data, headers, timeout)
        if received is not None:
            self._received(received.data, received.headers, exchange)

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
                self._handlers.failed((message.get("id", ""),), error)
            else:
                encodable.append(message)
        return encodable, self._codec.encode(encodable)

    async def _pass_outbound(
        self, messages: list[Message], headers: CIMultiDict[str]
    ) -> tuple[list[Message], CIMultiDict[str]]:
        """Have the extensions see a payload; what they drop fails, the rest goes on."""
        assert self._outbound is not None  # noqa: S101 - for the type checker
        for message in messages:
            ext = message.get("ext")
            if isinstance(ext, dict):
                # The user's own, perhaps, or sent again: it is not for extensions to change.
                message["ext"] = ext.copy()
        # The messages are held here, so that nothing that is new can be taken for one of them;
        # the payload is not, so that the pipeline can tell whether an extension holds it.
        waiting = _Outbound(messages, asyncio.get_running_loop().create_future())
        self._outbound.push(Payload(messages, headers), waiting)
        future = waiting.passed
        passed = future.result() if future.done() else await future
        try:
            self._restore_ids(passed.messages, waiting.ids)
            kept = {message.get("id") for message in passed.messages}
            headers = CIMultiDict((name, str(value)) for name, value in passed.headers.items())
        except Exception as error:
            raise _malformed(error) from error
        dropped = tuple(i for i in waiting.ids.values() if i not in kept)
        if dropped:
            text = "an extension dropped the message from its payload, so that it was not sent"
            self._handlers.failed(dropped, ExtensionError(text))
        return list(passed.messages), headers

    def _restore_ids(self, messages: list[Message], ids: Mapping[int, str]) -> None:
        """Give messages their ids back, and those that extensions added ids of their own.

        Without one, or with another's, the reply to such a message would be taken for that to a
        request of the client, whose ids are decimal numbers.
        """
        known = set(ids.values())
        for message in messages:
            request_id = ids.get(id(message))
            if request_id is not None:
                message["id"] = request_id
                continue
            given = str(message.get("id", ""))
            if given not in known and (not given or given.isdecimal()):
                message["id"] = f"extension-{next(self._added)}"

    def _passed_outbound(
        self, waiting: tuple[_Outbound, ...], payload: Payload, _: tuple[str, ...]
    ) -> None:
        if not waiting:
            _log.warning("did not send %r: an extension made it, not the client", payload)
        elif len(waiting) == 1:
            waiting[0].emit(payload)
        else:
            # Merged payloads are sent one by one all the same: each has its own reply to wait for.
            for one in waiting:
                own = [message for message in payload.messages if one.has(message)]
                one.emit(Payload(own, payload.headers))

    def _failed_outbound(
        self,
        waiting: tuple[_Outbound, ...],
        _payload: Payload | None,
        _replies: Exchange,
        error: ExtensionError,
    ) -> None:
        for one in waiting:
            one.fail(error)

    # -- inbound -------------------------------------------------------------------------------

    def _received(
        self,
        data: str | bytes,
        headers: Mapping[str, str] | None = None,
        exchange: Exchange = (),
    ) -> None:
        counters = self._counters
        heard = self.last_received = counters.last_heard = time.monotonic()
        counters.bytes_in += len(data)
        try:
            decoded = self._codec.parse(data)
            if not exchange and self._inbound is None and self._handlers.received_events(decoded):
                counters.messages_in += len(decoded)
                counters.last_event = heard
                if counters.channels is not None:
                    counters.channels.count(decoded, len(data) / len(decoded), heard)
                return
            messages = self._codec.messages(decoded, data)
        except ProtocolError as error:
            _log.warning("%s", error)
            self._handlers.failed(exchange, error)
            return
        counters.messages_in += len(messages)
        counters.payload_size = len(data)
        if self._inbound is None:
            self._handlers.received(messages, exchange, None)
        else:
            self._push_inbound(self._inbound, messages, headers, exchange)

    def _push_inbound(
        self,
        inbound: Pipeline[Exchange],
        messages: list[Message],
        headers: Mapping[str, str] | None,
        exchange: Exchange,
    ) -> None:
        if self._codec.leaves_raw:
            complete(messages)  # extensions look at what they like
        fields = None if headers is None else CIMultiDict(headers)
        replies = tuple(str(m["id"]) for m in messages if "id" in m and "data" not in m)
        owner = exchange if exchange or replies else None
        inbound.push(Payload(messages, fields), owner, replies)

    def _passed_inbound(
        self, exchanges: tuple[Exchange, ...], payload: Payload, missing: tuple[str, ...]
    ) -> None:
        exchange = tuple(chain.from_iterable(exchanges))
        if missing:
            dropped = ExtensionError("an extension dropped the reply from its payload")
            self._handlers.failed(missing, dropped)
        try:
            self._handlers.received(payload.messages, exchange, payload)
        except Exception as error:
            # Only what is no list of messages, and no longer what came, gets us here.
            failure = _malformed(error)
            _log.exception("%s", failure)
            self._handlers.failed(exchange, failure)

    def _failed_inbound(
        self,
        exchanges: tuple[Exchange, ...],
        payload: Payload | None,
        replies: Exchange,
        error: ExtensionError,
    ) -> None:
        """Deliver the events of a payload that an extension failed on, but fail its requests.

        Event messages are never lost in silence; replies that an extension did not finish
        with cannot be trusted. What an extension dropped on purpose stays dropped.
        """
        self._handlers.failed((*chain.from_iterable(exchanges), *replies), error)
        messages = [] if payload is None else payload.messages
        events = [m for m in messages if "data" in m]
        if payload is not None and events:
            payload.messages = events
            self._handlers.received(events, (), payload)

    def holds(self, reply: str) -> bool:
        """Tell whether a reply came, but is still with an extension."""
        return self._inbound is not None and self._inbound.holds(reply)

    # -- the link ------------------------------------------------------------------------------

    @property
    def arriving(self) -> Arriving | None:
        """What the WebSocket is bringing and is not complete, ``None`` where it is not known."""
        return self._link.arriving

    def drop(self) -> None:
        """Let go of the WebSocket: it is dead, or another transport is used from now on."""
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


class _Outbound:
    """Messages on their way through the extensions, and who waits for them.

    Attributes:
        ids: Their ids, by ``id(message)``.
        passed: The payload, once it is past the extensions.
    """

    def __init__(self, messages: list[Message], passed: asyncio.Future[Payload]) -> None:
        self.ids = {id(message): message.get("id", "") for message in messages}
        self.passed = passed

    def has(self, message: Message) -> bool:
        return id(message) in self.ids or message.get("id") in self.ids.values()

    def emit(self, payload: Payload) -> None:
        if not self.passed.done():
            self.passed.set_result(payload)

    def fail(self, error: ExtensionError) -> None:
        if not self.passed.done():
            self.passed.set_exception(error)


def _malformed(error: Exception) -> ExtensionError:
    failure = ExtensionError(
        "an extension emitted a payload whose messages or headers cannot be read: messages are a "
        "list of dictionaries, headers a mapping of texts"
    )
    failure.__cause__ = error
    return failure


_SMALLEST_LIMIT = 8 * 1024


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
