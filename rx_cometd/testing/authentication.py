"""Who may talk to the server: bearer tokens in headers, or tokens in handshakes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from rx_cometd.messages import HANDSHAKE
from rx_cometd.testing.server_extension import InFlight, ServerExtension

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from rx_cometd.testing.wire import Json

__all__ = [
    "Authentication",
    "BearerAuthentication",
    "HttpRefusal",
    "TokenAuthentication",
    "Tokens",
]

_Validator: TypeAlias = "Callable[[str], bool | Awaitable[bool]]"


@dataclass(frozen=True, slots=True)
class HttpRefusal:
    """The answer to a request that is not authenticated.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        messages: The payload; none for an empty body.
    """

    status: int = 401
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    messages: Sequence[Json] = ()


class Authentication(ServerExtension):
    """Lets everyone in; to be subclassed."""

    async def check(self, headers: Mapping[str, str]) -> HttpRefusal | None:
        """Look at an HTTP request or a WebSocket upgrade before it is read."""


class Tokens:
    """The tokens that are good at the moment.

    Args:
        tokens: Good ones.
        validator: Decides about other tokens; a function or coroutine function.
    """

    def __init__(self, tokens: Sequence[str], validator: _Validator | None) -> None:
        self._good = set(tokens)
        self._expired: set[str] = set()
        self._validator = validator

    @property
    def good(self) -> frozenset[str]:
        """The tokens that were granted and have not expired."""
        return frozenset(self._good)

    async def accept(self, token: object) -> bool:
        """Tell whether a token is good."""
        if not isinstance(token, str) or token in self._expired:
            return False
        if token in self._good or self._validator is None:
            return token in self._good
        verdict = self._validator(token)
        return bool(await verdict) if inspect.isawaitable(verdict) else bool(verdict)

    def grant(self, token: str) -> None:
        """Make a token good, an expired one too."""
        self._good.add(token)
        self._expired.discard(token)

    def expire(self, token: str | None = None) -> None:
        """Make a token bad, or all that are good now."""
        expired = self._good.copy() if token is None else {token}
        self._good -= expired
        self._expired |= expired


class BearerAuthentication(Authentication):
    """Requires ``Authorization: Bearer ...`` with every HTTP request and WebSocket upgrade.

    Requests without a valid token get HTTP 401 with ``WWW-Authenticate`` (RFC 6750, section 3). A
    WebSocket outlives its token, as sockets do; `Faults.close_websockets` ends it.

    Args:
        tokens: Valid tokens.
        validator: Decides about other tokens; a function or coroutine function.
        realm: The realm to announce.
        messages: The payload of the 401; none for an empty body.

    Attributes:
        tokens: Grants tokens, and makes them expire.
    """

    def __init__(
        self,
        *tokens: str,
        validator: _Validator | None = None,
        realm: str = "cometd",
        messages: Sequence[Json] = (),
    ) -> None:
        self.tokens = Tokens(tokens, validator)
        self._realm = realm
        self._messages = messages

    async def check(self, headers: Mapping[str, str]) -> HttpRefusal | None:
        """Look for a good token."""
        token = bearer_token(headers)
        if await self.tokens.accept(token):
            return None
        challenge = f'Bearer realm="{self._realm}"'
        if token is not None:
            challenge += ', error="invalid_token"'
        return HttpRefusal(401, {"WWW-Authenticate": challenge}, self._messages)


_DENIED: Final[Json] = {"error": "403::handshake_denied", "advice": {"reconnect": "none"}}
_EXPIRED: Final[Json] = {"error": "401::token_expired", "advice": {"reconnect": "handshake"}}


class TokenAuthentication(Authentication):
    """Requires a token in the ``ext`` of the handshake; the session lasts while it is valid.

    Args:
        tokens: Valid tokens.
        validator: Decides about other tokens; a function or coroutine function.
        path: Where the token is in ``ext``.
        denied: Fields of the reply to a handshake without a good token.
        expired: Fields of the reply to whatever else comes once the token is bad.

    Attributes:
        tokens: Grants tokens, and makes them expire.
    """

    def __init__(
        self,
        *tokens: str,
        validator: _Validator | None = None,
        path: Sequence[str] = ("token",),
        denied: Json = _DENIED,
        expired: Json = _EXPIRED,
    ) -> None:
        self.tokens = Tokens(tokens, validator)
        self._path = path
        self._denied = denied
        self._expired = expired

    async def incoming(self, in_flight: InFlight) -> Json | None:
        """Check the token of the handshake, and again with every message."""
        session, message, _ = in_flight
        if message["channel"] == HANDSHAKE:
            session.attributes["token"] = _find(message.get("ext"), self._path)
            refused = self._denied
        else:
            refused = self._expired
        return None if await self.tokens.accept(session.attributes["token"]) else refused


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Read the token of an ``Authorization`` header."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "oauth") and token else None


def _find(ext: Any, path: Sequence[str]) -> object:
    for key in path:
        ext = cast("Json", ext).get(key) if isinstance(ext, dict) else None
    return ext
