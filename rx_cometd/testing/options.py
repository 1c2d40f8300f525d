"""The options of the server, under their CometD names where CometD has them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing.ack import AckExtension
from rx_cometd.testing.replay import ReplayExtension, ReplayLog
from rx_cometd.testing.timesync import TimesyncExtension
from rx_cometd.testing.wire import Codec, Json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rx_cometd.testing.authentication import Authentication
    from rx_cometd.testing.server_extension import ServerExtension
    from rx_cometd.testing.session import ServerSession

__all__ = ["Options", "ServerOptions", "Verdict"]

Verdict: TypeAlias = "bool | str | Json"
"""What a policy says: ``True`` to allow; ``False``, an error text, or fields of the reply."""


class ServerOptions(TypedDict, total=False):
    """Keyword arguments of `BayeuxServer`; see `Options` for meanings and defaults."""

    path: str
    connection_types: Sequence[ConnectionType]
    timeout: float
    interval: float
    max_interval: float
    handshake_reconnect: bool
    sweep_period: float | None
    max_message_size: int
    messages_per_frame: int | None
    broadcast_to_publisher: bool
    require_cookie: bool
    meta_connect_deliver_only: bool
    deliver_during_handshake: bool
    ack: bool | Literal["object"]
    timesync: bool | TimesyncExtension
    authentication: Authentication | None
    replay: ReplayLog | None
    salesforce: bool
    extensions: Sequence[ServerExtension]
    content_type: str
    json_dumps: Callable[[Any], str | bytes]
    json_loads: Callable[[Any], Any]
    can_handshake: Callable[[ServerSession, Json], Verdict | Awaitable[Verdict]] | None
    can_subscribe: Callable[[ServerSession, str, Json], Verdict | Awaitable[Verdict]] | None
    can_publish: Callable[[ServerSession, str, Json], Verdict | Awaitable[Verdict]] | None
    on_handshake: Callable[[ServerSession], Awaitable[None] | None] | None
    max_received: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a server behaves. Durations are in seconds, though on the wire they are in ms.

    Attributes:
        path: Where it listens; longer paths, as ``/cometd/connect``, count as this one.
        connection_types: Those it has; the others are answered with HTTP 400.
        timeout: How long ``/meta/connect`` is held.
        interval: How long clients shall wait between two connects.
        max_interval: How long a session lives without a connect, ``interval`` apart.
        handshake_reconnect: Tell clients ``max_interval`` in ``advice.maxInterval``.
        sweep_period: How often expired sessions are looked for; by default often enough for
            `max_interval`. A request of an expired session never revives it.
        max_message_size: Of a request body or a WebSocket message, in bytes.
        messages_per_frame: How many messages a WebSocket frame holds; ``None`` or 0: all that
            wait.
        broadcast_to_publisher: Whether publishers get their own messages.
        require_cookie: Bind sessions made over HTTP to the cookie ``BAYEUX_BROWSER``.
        meta_connect_deliver_only: Deliver events with connect replies only, on WebSockets too.
        deliver_during_handshake: Deliver what is there with the handshake reply, and tell how
            many in ``x-messages``.
        ack: Whether to have the acknowledgement extension; ``"object"`` to announce it in handshake
            replies by ``{"enabled": true, "batch": 0}`` rather than ``true``.
        timesync: Whether to have the time synchronisation extension, or a configured one.
        authentication: Who may use the server.
        replay: Keeps events for clients that come back later, as Salesforce does.
        salesforce: Behave like Salesforce; see `rx_cometd.testing.salesforce`.
        extensions: Extensions of your own; they come after the authentication.
        content_type: Of HTTP responses.
        json_dumps: Encodes to text or bytes.
        json_loads: Decodes text or bytes.
        can_handshake: Decides; called with the future session and the request.
        can_subscribe: Decides; called with session, name and request, once per name.
        can_publish: Decides; called with session, channel and message.
        on_handshake: Called with each new session before the reply is sent.
        max_received: How many payloads `BayeuxServer.received` keeps, ``None`` for all.
    """

    path: str = "/cometd"
    connection_types: Sequence[ConnectionType] = tuple(ConnectionType)
    timeout: float = 30.0
    interval: float = 0.0
    max_interval: float = 10.0
    handshake_reconnect: bool = False
    sweep_period: float | None = None
    max_message_size: int = 64 * 1024 * 1024
    messages_per_frame: int | None = 1
    broadcast_to_publisher: bool = True
    require_cookie: bool = False
    meta_connect_deliver_only: bool = False
    deliver_during_handshake: bool = False
    ack: bool | Literal["object"] = True
    timesync: bool | TimesyncExtension = True
    authentication: Authentication | None = None
    replay: ReplayLog | None = None
    salesforce: bool = False
    extensions: Sequence[ServerExtension] = ()
    content_type: str = "application/json"
    json_dumps: Callable[[Any], str | bytes] = json.dumps
    json_loads: Callable[[Any], Any] = json.loads
    can_handshake: Callable[[ServerSession, Json], Verdict | Awaitable[Verdict]] | None = None
    can_subscribe: Callable[[ServerSession, str, Json], Verdict | Awaitable[Verdict]] | None = None
    can_publish: Callable[[ServerSession, str, Json], Verdict | Awaitable[Verdict]] | None = None
    on_handshake: Callable[[ServerSession], Awaitable[None] | None] | None = None
    max_received: int | None = 100_000

    @property
    def codec(self) -> Codec:
        """The JSON functions."""
        return Codec(self.json_dumps, self.json_loads)

    @property
    def sweep_seconds(self) -> float:
        """The sweep period in effect."""
        if self.sweep_period is not None:
            return self.sweep_period
        return min(1.0, max(0.02, self.max_interval / 4))

    def all_extensions(self) -> list[ServerExtension]:
        """Make the list of extensions in effect."""
        made = list(self.extensions)
        if self.authentication is not None:
            made.insert(0, self.authentication)
        if self.replay is not None:
            made.append(ReplayExtension(self.replay, self.codec))
        if self.ack:
            made.append(AckExtension("object" if self.ack == "object" else "boolean"))
        if self.timesync:
            made.append(TimesyncExtension() if self.timesync is True else self.timesync)
        return made

    def advice(self) -> Json:
        """The advice of a server that is content."""
        advice: Json = {
            "reconnect": "retry",
            "interval": round(self.interval * 1000),
            "timeout": round(self.timeout * 1000),
        }
        if self.handshake_reconnect:
            advice["maxInterval"] = round(self.max_interval * 1000)
        return advice
