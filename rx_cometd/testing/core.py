"""What both transports share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.messages import HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.testing.exchange import Exchange
    from rx_cometd.testing.faults import Faults
    from rx_cometd.testing.options import Options
    from rx_cometd.testing.registry import SessionRegistry
    from rx_cometd.testing.requests import Requests
    from rx_cometd.testing.session import Link
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

    def record(self, connection_type: ConnectionType, messages: list[Json]) -> None:
        """Keep a payload for the tests to look at."""
        self.received.append((connection_type, messages))
        limit = self.options.max_received
        if limit is not None and len(self.received) > limit:
            del self.received[: len(self.received) - limit]
        self.changed()

    def unbind(self, link: Link) -> None:
        """Tell the sessions of a link that it is gone."""
        for session in self.registry.sessions.values():
            session.unbind(link, self.registry.lifetime)
        self.changed()

    def texts(self, exchange: Exchange) -> list[str]:
        """Encode a response: the handshake's reply, events, other replies.

        ``AsyncJSONTransport.Writer`` has this order, so events come before the reply to the
        connect that acknowledges them.
        """
        events = exchange.events(during_handshake=self.options.deliver_during_handshake)
        replies = self.faults.spoil(exchange.replies)
        first = [r for r in replies if r.get("channel") == HANDSHAKE]
        others = [r for r in replies if r.get("channel") != HANDSHAKE]
        encode = self.codec.encode
        return [*map(encode, first), *(e.text for e in events), *map(encode, others)]
