"""What the server's extensions are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rx_cometd.testing.exchange import Passage
    from rx_cometd.testing.wire import Json

__all__ = ["ServerExtension"]


class ServerExtension:
    """Sees every message of a known session, and every handshake; does nothing by itself."""

    async def incoming(self, passage: Passage) -> Json | None:
        """See a message before it is processed.

        Returns:
            The fields of the failed reply, to refuse the message.
        """

    def outgoing(self, passage: Passage, reply: Json) -> None:
        """See, and change, the reply to a message; a connect's before it is held."""
