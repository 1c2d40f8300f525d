"""The ways of Salesforce's streaming endpoint, for the tests of clients that talk to it.

Sources: the "Streaming API Developer Guide" (handling errors, error codes, message durability)
and what its clients were seen to cope with. With ``BayeuxServer(salesforce=True)``:

- only long-polling, held for 110 s; the session cookie is compulsory;
- the reply to a handshake carries no advice;
- an unknown session is ``403::Unknown client``, with the advice to shake hands on connects;
- events are numbered and kept for replay (`rx_cometd.testing.replay`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rx_cometd.connection_types import ConnectionType
from rx_cometd.messages import CONNECT, DISCONNECT, HANDSHAKE
from rx_cometd.testing.authentication import Authentication, HttpRefusal, Tokens, bearer_token
from rx_cometd.testing.replay import ReplayLog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.testing.options import ServerOptions
    from rx_cometd.testing.server_extension import InFlight
    from rx_cometd.testing.wire import Json

__all__ = ["SalesforceAuthentication", "salesforce_defaults"]

_REASON: Final = "401::Authentication invalid"
_NO_TOKEN: Final[Json] = {"error": "401::Request requires authentication", "successful": False}


def salesforce_defaults() -> ServerOptions:
    """Make the options that Salesforce differs in from CometD."""
    return {
        "connection_types": (ConnectionType.LONG_POLLING,),
        "timeout": 110.0,
        "require_cookie": True,
        "replay": ReplayLog(),
    }


class SalesforceAuthentication(Authentication):
    """Requires ``Authorization: Bearer ...`` (or ``OAuth ...``), and refuses as Salesforce does.

    - No token at all: an HTTP error, whose payload is one message without channel and id.
    - A bad one in a handshake: ``403::Handshake denied``, the reason in
      ``ext.sfdc.failureReason``, advice ``none``.
    - A bad one later: ``401::Authentication invalid``, advice ``none``; connects are preceded
      by a ``/meta/disconnect`` without id and outcome.

    Args:
        tokens: Valid tokens.
        http_status: The status of a response to a request without a token.

    Attributes:
        tokens: Grants tokens, and makes them expire.
    """

    def __init__(self, *tokens: str, http_status: int = 401) -> None:
        self.tokens = Tokens(tokens, None)
        self._http_status = http_status

    async def check(self, headers: Mapping[str, str]) -> HttpRefusal | None:
        """Look for a token, good or bad."""
        if bearer_token(headers) is not None:
            return None
        return HttpRefusal(self._http_status, messages=[_NO_TOKEN])

    async def incoming(self, in_flight: InFlight) -> Json | None:
        """Look whether the token is good."""
        _, message, exchange = in_flight
        if await self.tokens.accept(bearer_token(exchange.headers)):
            return None
        if message["channel"] == HANDSHAKE:
            return {
                "error": "403::Handshake denied",
                "ext": {"sfdc": {"failureReason": _REASON}},
                "advice": {"reconnect": "none"},
            }
        if message["channel"] == CONNECT:
            exchange.replies.append({"channel": DISCONNECT})
        return {"error": _REASON, "advice": {"reconnect": "none", "interval": 0}}
