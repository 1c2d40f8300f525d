"""The client: one shared session, and every channel an observable over it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from rx_cometd._flow.decoders import decoder_of
from rx_cometd._flow.dispatch import EVERYTHING
from rx_cometd._protocol.backoff import exponential
from rx_cometd._protocol.channel_names import (
    is_glob,
    is_meta,
    validate_channel,
    validate_target,
)
from rx_cometd._protocol.codec import Codec
from rx_cometd._protocol.subscriptions import Fields, fields_of
from rx_cometd._session.accompanied import Accompanied
from rx_cometd._session.arguments import (
    check_buffering,
    check_extensions,
    check_fields,
    check_functions,
    check_limits,
    check_network,
)
from rx_cometd._session.pull_view import PullView, Received
from rx_cometd._session.settings import (
    MAX_MESSAGE_SIZE,
    Provider,
    Settings,
    checked_url,
    connection_preferences,
)
from rx_cometd._session.shared_session import NOT_OPEN, SharedSession
from rx_cometd._transports import TransportOptions, timeout_after
from rx_cometd.channel import Channel, Feed
from rx_cometd.exceptions import (
    ClientInvalidOperation,
    InvalidChannelError,
    TransportTimeoutError,
)
from rx_cometd.extension import Request
from rx_cometd.messages import Event, Message
from rx_cometd.statistics import by_channel

if TYPE_CHECKING:
    import concurrent.futures
    import ssl as ssl_module
    from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    import aiohttp
    from reactivex import Observable
    from yarl import URL

    from rx_cometd._flow.flow import Overflow
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.exceptions import ServerError
    from rx_cometd.extension import AuthExtension, Extension
    from rx_cometd.states import ClientState, StateChange
    from rx_cometd.statistics import ChannelStatistics, Statistics

__all__ = ["Client"]

_T = TypeVar("_T")


class Client:
    """A CometD client.

    Nothing is sent before it is opened, or before the first observer subscribes; the last
    observer to go closes a session that was not opened explicitly.

    Args:
        url: The server's address.
        connection_types: One connection type (that one or fail), or several in order of
            preference; WebSocket, then long-polling, if ``None``.
        connection_timeout: Seconds that the link may be down, the first opening included,
            before the session is given up with `TransportTimeoutError`. ``None``: for ever.
        ssl: As aiohttp takes it: ``None`` or ``True`` verifies, ``False`` does not, or a
            ``Fingerprint`` or ``SSLContext``.
        max_pending_count: Default bound of every buffer of this client, in messages; ``<= 0``
            is unbounded.
        overflow: Default policy of those buffers. ``None``: ``SUSPEND`` where the server then
            keeps the messages (long-polling, or the ack extension), ``ERROR`` elsewhere.
        extensions: Extensions, in the order in which outbound payloads pass them.
        auth: The extension that renews credentials; nearest to the wire.
        json_dumps: Turns objects into JSON, ``str`` or ``bytes``.
        json_loads: Turns JSON, ``bytes`` as the socket held them, into objects.
        headers: Headers of every HTTP request and WebSocket upgrade: a mapping, or a callable
            or coroutine function that gives one, within ``max_network_delay``, asked anew each
            time. With a ``Sec-WebSocket-Protocol`` among them, these subprotocols are offered.
        handshake_fields: Extra fields of every handshake, likewise asked anew.
        http_session: An ``aiohttp.ClientSession`` to use, never closed by the client. Without
            it, the client has one of its own, which keeps the cookies of IP hosts as well.
        proxy: Address of an HTTP proxy.
        max_network_delay: Seconds that a reply may be late, beyond what the server may hold it
            (``advice.timeout``); a silent link is found by it.
        backoff: Gives an iterator of delays, in seconds, for each run of failures; reset when a
            connect succeeds. Default: exponential with full jitter, capped at 30 s. Where the
            ack extension is in force, longer ones are cut to a quarter of the time that the
            server keeps the session (``maxInterval``), or where it does not tell that, of 10 s,
            or of the time that the link has been down, if that is longer.
        max_message_size: Bytes that a payload may have. Larger ones received are a
            `ProtocolError`; larger ones to send are split.
        heartbeat: Seconds between WebSocket pings, ``None`` for none.
        compress: Whether to offer the compression of WebSocket messages (permessage-deflate).
            Where the network is fast it costs more time than it saves.
        is_transient: Decides which refusals and disconnects by the server are tried again, and told
            in `state_changes`, rather than to the observers: called with the `ServerError`, it
            gives ``True``, ``False``, or ``None`` for the default. By default transient is what
            the advice allows to try again, and codes that are known to pass ("503: too busy").
            ``error.response["channel"]`` tells what was refused.
        max_outbox: How many publishes and calls may wait to be sent, or answered; one more is
            refused with `BufferOverflowError`. ``<= 0`` is unbounded.
        max_suspension: Seconds for which ``SUSPEND`` may hold back a connect where the server
            does not tell its ``maxInterval``; below the server's, or the session expires.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A time or a size is out of range.
        ClientError: The address or a connection type makes no sense.

    Example:
        ::

            async with Client("https://example.com/cometd") as client:
                client.channel("/stock/*").subscribe(print)
                await client.publish("/orders", {"buy": 1})
    """

    def __init__(
        self,
        url: str | URL,
        connection_types: ConnectionType | str | Sequence[ConnectionType | str] | None = None,
        *,
        connection_timeout: float | None = 10.0,
        ssl: ssl_module.SSLContext | bool | aiohttp.Fingerprint | None = None,
        max_pending_count: int = 100,
        overflow: Overflow | None = None,
        extensions: Sequence[Extension] | None = None,
        auth: AuthExtension | None = None,
        json_dumps: Callable[[Any], str | bytes] = json.dumps,
        json_loads: Callable[[Any], Any] = json.loads,
        headers: Provider = None,
        handshake_fields: Provider = None,
        http_session: aiohttp.ClientSession | None = None,
        proxy: URL | str | None = None,
        max_network_delay: float = 10.0,
        backoff: Callable[[], Iterator[float]] | None = None,
        max_message_size: int = MAX_MESSAGE_SIZE,
        heartbeat: float | None = None,
        compress: bool = False,
        max_suspension: float = 8.0,
        is_transient: Callable[[ServerError], bool | None] | None = None,
        max_outbox: int = 10_000,
    ) -> None:
        check_buffering(max_pending_count, overflow)
        check_limits(
            connection_timeout=connection_timeout,
            max_network_delay=max_network_delay,
            max_suspension=max_suspension,
            heartbeat=heartbeat,
            max_message_size=max_message_size,
            max_outbox=max_outbox,
        )
        check_functions(
            backoff=backoff,
            json_dumps=json_dumps,
            json_loads=json_loads,
            headers=headers,
            handshake_fields=handshake_fields,
            is_transient=is_transient,
        )
        check_extensions(extensions, auth)
        check_network(ssl=ssl, proxy=proxy, http_session=http_session)
        address = checked_url(url)
        self._url = address
        settings = Settings(
            connection_types=connection_preferences(connection_types),
            connection_timeout=connection_timeout,
            max_network_delay=max_network_delay,
            max_suspension=max_suspension,
            backoff=exponential if backoff is None else backoff,
            codec=Codec(json_dumps, json_loads),
            headers=headers,
            handshake_fields=handshake_fields,
            extensions=tuple(extensions or ()),
            auth=auth,
            http_session=http_session,
            transport=TransportOptions(
                url=address,
                ssl=True if ssl is None else ssl,
                proxy=proxy,
                max_message_size=max_message_size,
                heartbeat=heartbeat,
                compress=compress,
                origin=None if auth is None else lambda: auth.origin,
            ),
            is_transient=is_transient,
            max_outbox=max_outbox,
        )
        self._shared = SharedSession(settings, max_pending_count, overflow)
        self._extensions = settings.extensions
        self._accompanied = Accompanied(settings.extensions)
        for extension in settings.extensions:
            extension.join(self)
        self._pull = PullView(self._shared)

    def __repr__(self) -> str:
        kind = self.connection_type
        return f"<Client {self.url} {self.state.name} {kind.value if kind else 'no transport'}>"

    # -- life ----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the session, and wait until it is connected.

        Raises:
            ClientInvalidOperation: The client is open already.
            ClientError: The client and the server have no connection type in common.
            TransportTimeoutError: There was no link within ``connection_timeout``.
            ServerError: The server refused, and advised against trying again.
            AuthenticationError: It refused the credentials.
        """
        await self._shared.open()

    def reconnect_now(self) -> None:
        """Make the link anew at once: after a laptop's sleep, or a change of the network.

        While the link is down nothing more is waited for: an attempt that is under way is given up,
        and the backoff and ``connection_timeout`` begin anew. A link that is up is checked as well,
        for it may be dead without anybody having noticed: a WebSocket is opened anew, and requests
        that wait for replies on it fail with `TransportError`. The session is resumed.

        Raises:
            ClientInvalidOperation: The client is not open.
        """
        self._shared.open_session().reconnect_now()

    async def close(self) -> None:
        """Close the session in order; a second and a half at most, even if the server is dead.

        Observers complete. Closing a closed client does nothing; a closed client can be opened
        again.
        """
        await self._shared.close()

    async def drain(self, timeout: float | None = None) -> None:
        """Stop taking new messages, have those that came processed, send what is to be sent, close.

        In this order: all channels are unsubscribed from; observers complete, after what the
        operators behind the channels hold or work on (`bounded_buffer`, `map_async`,
        `switch_map_async`, `to_async_iterable` and the others, and `receive`) is done; publishes
        get their replies, those that the work makes as well; replay markers are written; the
        session is closed. Leaving ``async with client`` closes at once.

        Args:
            timeout: Seconds that it may take, ``None`` for ever.

        Raises:
            TransportTimeoutError: It took longer. The client is closed all the same.
        """
        await self._shared.drain(timeout)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # -- observables ---------------------------------------------------------------------------

    @overload
    def channel(self, name: str, *, fields: Fields = None) -> Channel[Event]: ...
    @overload
    def channel(self, name: str, *, type: type[_T], fields: Fields = None) -> Channel[_T]: ...
    @overload
    def channel(self, name: str, *, type: Any, fields: Fields = None) -> Channel[Any]: ...
    def channel(
        self,
        name: str,
        *,
        type: Any = None,  # noqa: A002 - the contract's name
        fields: Fields = None,
    ) -> Channel[Any]:
        """Give a channel as an observable of its messages, or of their data as values of a type.

        Args:
            name: A channel, a glob (``/a/*``, ``/a/**``), or a service channel, which is
                listened to without a subscribe request.
            type: What to make of the data of each message, which is emitted in place of the
                message: whatever `operators.decode` takes, a ``msgspec.Struct`` or
                ``pydantic.BaseModel`` for instance. With ``json_loads=raw_json_loads`` it is
                decoded from the JSON straight into the type.
            fields: Extra fields of its subscribe request, a mapping or a callable; asked anew
                at every resubscribe. Where several observers of one channel give some, the
                first one's count.

        Raises:
            InvalidChannelError: The name cannot be that of a channel.
            TypeError: The type is none that can be decoded to, or ``fields`` is neither a mapping
                nor a plain function.
        """
        check_fields(fields)
        decoder = None if type is None else decoder_of(type)
        return Channel(self._shared, name, fields, self.publish, decoder)

    @property
    def messages(self) -> Observable[Event]:
        """Every event message of the session, whatever its channel."""
        return Feed[Event](self._shared, EVERYTHING)

    def meta(self, channel: str) -> Observable[Message]:
        """Give the replies on a meta channel, for people who debug.

        Raises:
            InvalidChannelError: It is no meta channel, or a glob, which meta channels match none.
        """
        validate_channel(channel)
        if not is_meta(channel) or is_glob(channel):
            raise InvalidChannelError(channel, "it is no meta channel")
        return Feed[Message](self._shared, channel)

    @property
    def state_changes(self) -> Observable[StateChange]:
        """The state: the present one at once, and every change."""
        return self._shared.states()

    # -- requests ------------------------------------------------------------------------------

    async def publish(self, channel: str, data: Any, *, fields: Fields = None) -> Message:
        """Publish a message, and give the server's reply.

        What is published in one turn of the event loop travels in one payload. While the link
        is down a message waits for it; once sent it is never sent again, unless new credentials
        were called for.

        Args:
            channel: The channel, or service channel.
            data: Anything that the JSON function takes (or an extension makes of it).
            fields: Extra fields of the message, ``ext`` for instance.

        Raises:
            InvalidChannelError: It is no channel that can be published to.
            ClientInvalidOperation: The client is not open.
            ServerError: The server refused.
            TransportError: The message, or its reply, is lost.
            BufferOverflowError: ``max_outbox`` requests wait already.
            ExtensionError: An extension failed, or dropped the message.
        """
        validate_target(channel)
        session = self._shared.open_session()
        if not self._accompanied:
            return await session.publish(channel, data, fields_of(fields))
        request = Request("publish", channel, dict(fields_of(fields)), self)
        with self._accompanied.within(request):
            return await session.publish(channel, data, request.fields)

    async def call(
        self,
        channel: str,
        data: Any,
        *,
        timeout: float | None = 10.0,
    ) -> Message:
        """Call a service, and give its answer: the message with data and the id of the request.

        The convention is that of ``remoteCall`` in the reference clients.

        Args:
            channel: The service channel.
            data: What to send.
            timeout: Seconds that the answer may take, ``None`` for ever.

        Raises:
            TransportTimeoutError: There was no answer in time.
            ServerError: The server refused.
        """
        validate_target(channel)
        request = Request("call", channel, {}, self)
        with self._accompanied.within(request) if self._accompanied else nullcontext():
            session = self._shared.open_session()
            try:
                async with timeout_after(timeout):
                    return await session.publish(channel, data, request.fields, call=True)
            except TimeoutError:
                text = f"no answer on {channel} within {timeout} s"
                raise TransportTimeoutError(text) from None

    def publish_threadsafe(
        self, channel: str, data: Any, *, fields: Fields = None
    ) -> concurrent.futures.Future[Message]:
        """Publish from another thread.

        Raises:
            ClientInvalidOperation: The client was never opened.
        """
        loop = self._shared.loop
        if loop is None or loop.is_closed():
            raise ClientInvalidOperation(NOT_OPEN)
        return asyncio.run_coroutine_threadsafe(self.publish(channel, data, fields=fields), loop)

    @contextmanager
    def batch(self) -> Generator[None]:
        """Hold publishes, subscribes and unsubscribes until the block ends.

        They then travel in one payload. Do not wait for a reply within the block.

        Raises:
            ClientInvalidOperation: The client is not open.
        """
        session = self._shared.open_session()
        session.hold_batch()
        try:
            yield
        finally:
            session.release_batch()

    # -- the pull view -------------------------------------------------------------------------

    async def subscribe(self, channel: str, *, fields: Fields = None) -> None:
        """Subscribe to a channel for `receive`, and wait for the server to confirm it.

        Raises:
            ClientInvalidOperation: The client is not open.
            InvalidChannelError: The name cannot be that of a channel.
            ServerError: The server refused.
            TypeError: ``fields`` is neither a mapping nor a plain function.
        """
        check_fields(fields)
        await self._pull.subscribe(channel, fields)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel of `receive`.

        Raises:
            ClientInvalidOperation: The client is not open.
            ServerError: The server refused.
        """
        await self._pull.unsubscribe(channel)

    async def receive(self) -> Event:
        """Take the next message of the channels subscribed to with `subscribe`.

        Messages that nobody observes otherwise (service channels) are received as well. After
        `close`, what is pending is still given.

        Raises:
            ClientInvalidOperation: The client is closed, and nothing is pending.
            TransportTimeoutError: The session was given up, and nothing is pending.
            ServerError: The server ended the session, or refused to renew a subscription.
            BufferOverflowError: More messages came than the buffer takes.
        """
        return await self._pull.receive()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Receive messages until the client is closed."""
        return Received(self._pull)

    @property
    def has_pending_messages(self) -> bool:
        """Whether `receive` would return at once."""
        return self._pull.pending_count > 0

    # -- facts ---------------------------------------------------------------------------------

    @property
    def url(self) -> URL:
        """The server's address, but for what may be secret in it."""
        # Neither user information nor query nor fragment: credentials travel in them.
        return self._url.with_user(None).with_query(None).with_fragment(None)

    @property
    def pending_count(self) -> int:
        """Messages that wait in all buffers of this client."""
        return self._shared.flow.pending_count

    @property
    def state(self) -> ClientState:
        """Where the client is in the life of its session."""
        return self._shared.state

    @property
    def client_id(self) -> str | None:
        """The server's name for the session, ``None`` while there is none."""
        session = self._shared.current
        return None if session is None else session.client_id

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use, ``None`` while there is none."""
        session = self._shared.current
        return None if session is None else session.connection_type

    @property
    def closed(self) -> bool:
        """Whether the client has no session, and seeks none."""
        return self._shared.current is None

    @property
    def subscriptions(self) -> frozenset[str]:
        """The channels whose subscriptions the server has confirmed."""
        session = self._shared.current
        return frozenset() if session is None else session.subscriptions

    def statistics(self) -> Statistics:
        """Give the counters of this client, at little cost."""
        counters = self._shared.counters
        return counters.snapshot(time.time(), time.monotonic(), self.pending_count)

    def counting_channels(self) -> AbstractContextManager[None]:
        """Count what comes on each channel while the block runs, for `channel_statistics`.

        Several blocks at once share one count. Outside of any, nothing is counted, and the
        path of a message is as if this did not exist.

        Example:
            ::

                with client.counting_channels():
                    await asyncio.sleep(10)
                    print(client.channel_statistics()["/stock/ACME"].rate)
        """
        # Holds the counters, not the client: whoever counts for ever keeps no client alive.
        return self._shared.counters.counting_channels(time.monotonic())

    def channel_statistics(self) -> dict[str, ChannelStatistics]:
        """Give what is known of each channel; may be called from any thread.

        Buffers and markers are told always, messages while a `counting_channels` block runs.
        Buffers are found under the name that was observed, a glob perhaps, and messages under
        the name that they came on. ``"*"`` stands for buffers that belong to no one channel
        (`messages`, `receive`), and for the messages of the channels past the first 10,000.
        """
        return by_channel(
            self._shared.counters.channels,
            self._shared.flow.buffers(),
            [extension.marker_ages() for extension in self._extensions],
            time.monotonic(),
        )
