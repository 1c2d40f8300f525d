"""What the server's extensions are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rx_cometd.testing.exchange import Exchange
    from rx_cometd.testing.session import ServerSession
    from rx_cometd.testing.wire import Json

__all__ = ["InFlight", "ServerExtension"]


class InFlight(NamedTuple):
    """A message on its way through the server.

    Attributes:
        session: Its session; that of a handshake is yet to be.
        message: The message as it came.
        exchange: The payload it came with.
    """

    session: ServerSession
    message: Json
    exchange: Exchange


class ServerExtension:
    """Sees every message of a known session, and every handshake; does nothing by itself."""

    async def incoming(self, in_flight: InFlight) -> Json | None:
        """See a message before it is processed.

        Returns:
            The fields of the failed reply, to refuse the message.
        """

    def outgoing(self, in_flight: InFlight, reply: Json) -> None:
        """See, and change, the reply to a message; a connect's before it is held."""
