"""The acknowledgement extension (``AcknowledgedMessagesSessionExtension`` of CometD).

The server numbers its connect replies. A connect that says ``ext.ack: k`` tells that the
client has the replies up to ``k``, and the events that came with them; whatever has not been
acknowledged is sent again, with all that came since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from rx_cometd.messages import CONNECT, HANDSHAKE
from rx_cometd.testing.acknowledgements import Acknowledgements
from rx_cometd.testing.server_extension import InFlight, ServerExtension

if TYPE_CHECKING:
    from rx_cometd.testing.wire import Json

__all__ = ["AckExtension"]


class AckExtension(ServerExtension):
    """Offers acknowledgements to clients that ask for them.

    Args:
        form: What a handshake reply says: ``boolean`` for ``ext.ack: true``, as servers did at
            first; ``object`` for ``{"enabled": true, "batch": N}``, as they do when they
            deliver with the handshake.
    """

    def __init__(self, form: Literal["boolean", "object"]) -> None:
        self._form = form

    async def incoming(self, in_flight: InFlight) -> Json | None:
        """Clear what is acknowledged, and let a connect pass that has lost something."""
        session, message, exchange = in_flight
        acknowledgements = session.acknowledgements
        if acknowledgements is not None and message["channel"] == CONNECT:
            batch = _ext(message).get("ack")
            if isinstance(batch, int) and not isinstance(batch, bool):
                acknowledgements.acknowledge(batch)
                # ACKS.updateAdvice: advice.timeout=0 is what makes the reply immediate.
                exchange.urgent = bool(acknowledgements.unacknowledged)
        return None

    def outgoing(self, in_flight: InFlight, reply: Json) -> None:
        """Agree on acknowledgements in the handshake reply."""
        session, message, _ = in_flight
        if message["channel"] != HANDSHAKE or not reply["successful"] or not _asks(message):
            return
        session.acknowledgements = Acknowledgements()
        session.deliver_only = True
        ext = reply.setdefault("ext", {})
        ext["ack"] = True if self._form == "boolean" else {"enabled": True, "batch": 0}


def _ext(message: Json) -> Json:
    ext = message.get("ext")
    return cast("Json", ext) if isinstance(ext, dict) else {}


def _asks(handshake: Json) -> bool:
    ack = _ext(handshake).get("ack")
    return bool(cast("Json", ack).get("enabled")) if isinstance(ack, dict) else ack is True
