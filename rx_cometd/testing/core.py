"""What both transports share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from rx_cometd.messages import CONNECT, HANDSHAKE
from rx_cometd.testing import errors
from rx_cometd.testing.session import Release

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.testing.exchange import Exchange
    from rx_cometd.testing.faults import Faults
    from rx_cometd.testing.options import Options
    from rx_cometd.testing.registry import SessionRegistry
    from rx_cometd.testing.requests import Requests
    from rx_cometd.testing.wire import Codec, Json

__all__ = ["Core"]


class Core:
    """The server as its transports see it.

    Attributes:
        received: Payloads as they came, with the connection type.
        changed: To be called after anything that a test might wait for.
    """

    def __init__(
        self,
        options: Options,
        registry: SessionRegistry,
        requests: Requests,
        faults: Faults,
        changed: Callable[[], None],
    ) -> None:
        self.options = options
        self.codec: Codec = options.codec
        self.registry = registry
        self.requests = requests
        self.faults = faults
        self.changed = changed
        self.received: list[tuple[ConnectionType, list[Json]]] = []

    async def refuse(self, request: web.Request) -> web.Response | None:
        """Make the response to a request that is not authenticated."""
        authentication = self.options.authentication
        refused = None if authentication is None else await authentication.check(request.headers)
        if refused is None:
            return None
        payload = ",".join(map(self.codec.encode, refused.messages))
        return web.Response(
            status=refused.status,
            headers=refused.headers,
            text=f"[{payload}]" if payload else None,
            content_type=self.options.content_type,
        )

    def record(self, connection_type: ConnectionType, messages: list[Json]) -> None:
        """Keep a payload for the tests to look at."""
        self.received.append((connection_type, messages))
        limit = self.options.max_received
        if limit is not None and len(self.received) > limit:
            del self.received[: len(self.received) - limit]
        self.changed()

    async def hold(self, exchange: Exchange, abort: Callable[[], None]) -> bool:
        """Hold the connect of an exchange, and complete its reply.

        Args:
            exchange: An exchange with nothing but a connect.
            abort: Cuts its TCP connection.

        Returns:
            Whether it is to be answered at all.
        """
        (session,) = exchange.sessions
        exchange.let_go()
        held = session.hold(exchange.hold, abort)
        self.changed()
        try:
            reason = await held.released()
        finally:
            session.let_go(held, self.registry.lifetime)
            self.changed()
        exchange.take_in(session)
        (reply,) = exchange.replies
        if reason is Release.DISCONNECTED:
            reply["advice"] = errors.NO_MORE
        elif reason is Release.FORGOTTEN:
            reply.update(self.requests.unknown(CONNECT))
        return reason not in (Release.REPLACED, Release.ABANDONED)

    def texts(self, exchange: Exchange) -> list[str]:
        """Encode a response: the handshake's reply, events, other replies.

        ``AsyncJSONTransport.Writer`` has this order, so events come before the reply to the
        connect that acknowledges them.
        """
        events = exchange.events(during_handshake=self.options.deliver_during_handshake)
        replies = self.faults.alter(exchange.replies)
        first = [r for r in replies if r.get("channel") == HANDSHAKE]
        others = [r for r in replies if r.get("channel") != HANDSHAKE]
        encode = self.codec.encode
        return [*map(encode, first), *(e.text for e in events), *map(encode, others)]
