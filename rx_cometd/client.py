"""The client: one shared session, and every channel an observable over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from rx_cometd._flow.arguments import check_seconds
from rx_cometd._flow.decoders import decoder_of
from rx_cometd._flow.dispatch import EVERYTHING
from rx_cometd._protocol.backoff import exponential
from rx_cometd._protocol.channel_names import is_glob, is_meta, validate_channel
from rx_cometd._session.arguments import (
    check_buffering,
    check_fields,
    check_http_session,
    checked_extensions,
    codec_of,
    transport_options,
)
from rx_cometd._session.pull_view import PullView, Received
from rx_cometd._session.requesting import Requesting
from rx_cometd._session.settings import (
    MAX_MESSAGE_SIZE,
    Settings,
    connection_preferences,
)
from rx_cometd._session.shared_session import SharedSession
from rx_cometd.channel import Channel, Feed
from rx_cometd.exceptions import InvalidChannelError
from rx_cometd.messages import Event, Message

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from types import TracebackType

    import aiohttp
    from reactivex import Observable
    from yarl import URL

    from rx_cometd._flow.flow import Overflow
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.settings import Provider
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.exceptions import ServerError
    from rx_cometd.extension import AuthExtension, Extension
    from rx_cometd.states import StateChange

__all__ = ["Client"]

_T = TypeVar("_T")


class Client(Requesting):
    """A CometD client.

    Nothing is sent before it is opened, or before the first observer subscribes; the last
    observer to go closes a session that was not opened explicitly.

    Args:
        url: The server's address.
        connection_types: One connection type (that one or fail), or several in order of
            preference; WebSocket, then long-polling, if ``None``.
        connection_timeout: Seconds that the link may be down, the first opening included,
            before the session is given up with `TransportTimeoutError`. ``None``: no limit.
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
            or coroutine function that returns one, within ``max_network_delay``, called each
            time. With a ``Sec-WebSocket-Protocol`` among them, these subprotocols are offered.
        handshake_fields: Extra fields of every handshake, a mapping or a callable likewise.
        http_session: An ``aiohttp.ClientSession`` to use, never closed by the client. By
            default the client has one of its own, which keeps the cookies of IP hosts as well.
        proxy: Address of an HTTP proxy, as ``http://host:3128``.
        max_network_delay: Seconds that a reply may be late, beyond the time for which the server
            may hold it (``advice.timeout``); this is how a silent link is detected. While a payload
            arrives or leaves bit by bit, a link is not silent, however long that takes.
        backoff: Returns an iterator of delays, in seconds, for each run of failures; a run ends
            with a connect that the server held, or with an event for which there is an observer.
            Default: exponential with full jitter, capped at 30 s. With the ack extension,
            delays are limited to a quarter of the time for which the server keeps the session
            (``maxInterval``). If the server does not announce that: to a quarter of 10 s, or of
            the time for which the link has been down, if that is longer.
        max_message_size: Bytes that a payload may have. Larger ones received are a
            `ProtocolError`; larger ones to send are split.
        heartbeat: Seconds between WebSocket pings, ``None`` for none. The server has half of them
            to answer, and a ping waits behind what is being sent: give a slow link time enough.
        compress: Whether to offer the compression of WebSocket messages (permessage-deflate).
            Where the network is fast it costs more time than it saves.
        is_transient: Decides which refusals and disconnects by the server are retried, and reported
            in `state_changes` rather than to the observers. Called with the `ServerError`, it
            returns ``True``, ``False``, or ``None`` for the default: what the advice allows to
            retry is transient, and so are codes that are known to pass ("503: too busy").
            ``error.response["channel"]`` says what was refused. A disconnect is final if the
            server advises ``reconnect: none`` with it, as CometD in Java always does in the
            reply to the connect; ``error.advice`` includes that.
        max_outbox: How many publishes and calls may wait to be sent, or answered; one more is
            refused with `BufferOverflowError`. ``<= 0`` is unbounded.
        max_suspension: Seconds for which ``SUSPEND`` may hold back a connect if the server
            does not announce its ``maxInterval``; must be less than that, or the session expires.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: A time or a size is out of range, or ``proxy`` no address of an HTTP proxy.
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
        check_buffering(max_pending_count, overflow, max_outbox)
        check_http_session(http_session)
        settings = Settings(
            connection_types=connection_preferences(connection_types),
            connection_timeout=connection_timeout,
            max_network_delay=max_network_delay,
            max_suspension=max_suspension,
            max_outbox=max_outbox,
            backoff=exponential if backoff is None else backoff,
            codec=codec_of(json_dumps, json_loads),
            headers=headers,
            handshake_fields=handshake_fields,
            is_transient=is_transient,
            extensions=checked_extensions(extensions, auth),
            auth=auth,
            http_session=http_session,
            transport=transport_options(
                url, ssl, proxy, max_message_size, auth, heartbeat=heartbeat, compress=compress
            ),
        )
        shared = SharedSession(settings, max_pending_count, overflow)
        self._pull = PullView(shared)
        super().__init__(shared, settings)

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
        """Reconnect at once: after a laptop's sleep, or a change of the network.

        If the link is down, the client stops waiting: an attempt that is under way is given up,
        and the backoff and ``connection_timeout`` start over. A link that is up is replaced as
        well, because it may be dead without anyone having noticed: a WebSocket is reopened, and
        requests that wait for replies on it fail with `TransportError`. The session is resumed.

        Raises:
            ClientInvalidOperation: The client is not open.
        """
        self._shared.open_session().reconnect_now()

    async def close(self) -> None:
        """Close the session; this takes at most a second and a half, even if the server is dead.

        Observers complete. Closing a closed client does nothing; a closed client can be opened
        again.
        """
        await self._shared.close()

    async def drain(self, timeout: float | None = None) -> None:
        """Unsubscribe, finish processing what has arrived, and close.

        In this order: all channels are unsubscribed from; observers complete, once the operators
        behind the channels are done with their messages (`bounded_buffer`, `map_async`,
        `switch_map_async`, `to_async_iterable` and the others, and `receive`); publishes
        get their replies, including those made by that work; replay markers are written; the
        session is closed. Leaving ``async with client``, in contrast, closes at once.

        Args:
            timeout: Seconds that it may take, ``None`` for no limit.

        Raises:
            TransportTimeoutError: It took longer. The client is closed anyway.
            ClientInvalidOperation: It was called by work that it would wait for, or within an
                ``async for`` over a channel: leave that first, or call it in a new task.
            TypeError: ``timeout`` is not a number.
            ValueError: It is negative.
        """
        if timeout is not None:
            check_seconds("timeout", timeout, zero=True)
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
        """Return a channel: an observable of its messages, or of their data as values of a type.

        Args:
            name: A channel, a glob (``/a/*``, ``/a/**``), or a service channel, which is
                listened to without a subscribe request.
            type: What to make of the data of each message, which is emitted in place of the
                message: whatever `operators.decode` takes, a ``msgspec.Struct`` or
                ``pydantic.BaseModel`` for instance. With ``json_loads=raw_json_loads`` it is
                decoded from the JSON straight into the type.
            fields: Extra fields of its subscribe request: a mapping, or a callable, which is called
                at every resubscribe. If several observers of one channel pass fields, those of
                the first one are used.

        Raises:
            InvalidChannelError: The name is not a valid channel name.
            TypeError: Data cannot be decoded to the type, or ``fields`` is neither a mapping
                nor a plain function.
        """
        check_fields(fields)
        decoder = None if type is None else decoder_of(type, "type")
        return Channel(self._shared, name, fields, self.publish, decoder)

    @property
    def messages(self) -> Observable[Event]:
        """Every event message of the session, whatever its channel."""
        return Feed[Event](self._shared, EVERYTHING)

    def meta(self, channel: str) -> Observable[Message]:
        """Return an observable of the replies on a meta channel, for debugging.

        Raises:
            InvalidChannelError: It is not a meta channel, or it is a glob.
        """
        validate_channel(channel)
        if not is_meta(channel) or is_glob(channel):
            raise InvalidChannelError(channel, "it is no meta channel")
        return Feed[Message](self._shared, channel)

    @property
    def state_changes(self) -> Observable[StateChange]:
        """An observable of the state: the current one at once, then every change."""
        return self._shared.states()

    # -- the pull view -------------------------------------------------------------------------

    async def subscribe(self, channel: str, *, fields: Fields = None) -> None:
        """Subscribe to a channel for `receive`, and wait for the server to confirm it.

        Raises:
            ClientInvalidOperation: The client is not open.
            InvalidChannelError: The name is not a valid channel name.
            ServerError: The server refused.
            TypeError: ``fields`` is neither a mapping nor a plain function.
        """
        check_fields(fields)
        await self._pull.subscribe(channel, fields)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel of `receive`.

        Raises:
            ClientInvalidOperation: The client is not open.
            InvalidChannelError: The name is not a valid channel name.
            ServerError: The server refused.
        """
        await self._pull.unsubscribe(channel)

    async def receive(self) -> Event:
        """Return the next message of the channels subscribed to with `subscribe`.

        Messages that no observer gets (on service channels) are received as well. After
        `close`, pending messages are still returned.

        Raises:
            ClientInvalidOperation: The client is closed, and nothing is pending.
            TransportTimeoutError: The session was given up, and nothing is pending.
            ServerError: The server ended the session, or refused to renew a subscription.
            BufferOverflowError: More messages arrived than fit into the buffer.
        """
        return await self._pull.receive()

    def __aiter__(self) -> AsyncIterator[Event]:
        """Receive messages until the client is closed.

        Raises:
            ClientInvalidOperation: The client is in use on another event loop.
            RuntimeError: No event loop is running.
        """
        self._shared.check_loop()
        return Received(self._pull)

    @property
    def has_pending_messages(self) -> bool:
        """Whether `receive` would return at once."""
        return self._pull.pending_count > 0
