"""Bearer tokens in the ``Authorization`` header, renewed before they expire (RFC 6750)."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from rx_cometd._flow.arguments import check_seconds
from rx_cometd._flow.edge import is_own_cancellation
from rx_cometd.exceptions import ExtensionError
from rx_cometd.extension import AuthExtension, Operators
from rx_cometd.extensions.in_turn import in_turn

if TYPE_CHECKING:
    from rx_cometd.extension import Payload

__all__ = ["BearerAuth", "BearerToken", "TokenProvider", "bearer_auth"]

_logger = logging.getLogger("rx_cometd.extensions.bearer_auth")


class BearerToken(NamedTuple):
    """A token, and for how long it is valid.

    Attributes:
        token: The token itself, without ``Bearer``.
        expires_in: For how many seconds it is valid, from when it was requested; ``None`` if
            that is not known.
    """

    token: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return f"BearerToken(token='***', expires_in={self.expires_in!r})"


_Token: TypeAlias = str | tuple[str, float | None]

#: Gives a token: as a ``str``, or with its lifetime in seconds as a pair or `BearerToken`.
#: Returns a token: a function or coroutine function, called whenever one is needed.
TokenProvider: TypeAlias = Callable[[], _Token | Awaitable[_Token]]


def bearer_auth(provider: TokenProvider, *, margin: float = 30.0) -> BearerAuth:
    """Make the extension that sends ``Authorization: Bearer <token>`` with every request.

    The provider is called at the first request, after an authentication failure, and before
    a token whose lifetime is known expires; never twice at once. If such an early renewal
    fails, that is logged, and the old token is used while it is valid.

    Args:
        provider: A callable or coroutine function that returns a ``str``, a
            ``(token, expires_in)`` pair or a `BearerToken`. A plain callable must not block.
        margin: How many seconds before its expiry a token is renewed; a tenth of the lifetime
            if that is less.

    Returns:
        The extension, for ``Client(auth=...)``. Clients that share it share the token.

    Raises:
        TypeError: ``provider`` cannot be called, or ``margin`` is not a number.
        ValueError: ``margin`` is less than 0.

    Example:
        >>> async def token() -> tuple[str, float]:
        ...     return "6e3b", 3600.0
        >>> bearer_auth(token)
        <BearerAuth>
    """
    return BearerAuth(provider, margin=margin)


class BearerAuth(AuthExtension):
    """The extension that `bearer_auth` makes."""

    def __init__(self, provider: TokenProvider, *, margin: float = 30.0) -> None:
        given: Any = provider
        if not callable(given):
            # Its type only: it may be the token itself.
            kind = type(given).__name__
            raise TypeError(f"provider must be a function that gives a token, not a {kind}")
        check_seconds("margin", margin, zero=True)
        self._provider = provider
        self._margin = margin
        self._token: str | None = None
        self._renew_at = self._expires_at = -math.inf
        self._flight: _Flight | None = None

    def __repr__(self) -> str:
        return "<BearerAuth>"

    def operators(self) -> Operators:
        """Make the operators of one session."""
        return Operators(outbound=in_turn(self._authorize))

    async def authenticate(self) -> None:
        """Ask the provider for a new token: the server did not accept the one it was sent.

        Raises:
            Exception: What the provider raised.
            TypeError: It gave something else than a token.
            ValueError: It gave an empty token.
        """
        self._token = None
        await self._renew()

    def _authorize(self, payload: Payload) -> Awaitable[None] | None:
        if self._token is None or time.monotonic() >= self._renew_at:
            return self._authorize_anew(payload)
        self._sign(payload)
        return None

    async def _authorize_anew(self, payload: Payload) -> None:
        try:
            await self._renew()
        except Exception:
            if self._token is None or time.monotonic() >= self._expires_at:
                raise
            _logger.warning(
                "the token was not renewed, the old one serves on",
                exc_info=True,
                extra={"event": "token_not_renewed"},
            )
        self._sign(payload)

    def _sign(self, payload: Payload) -> None:
        payload.headers["Authorization"] = f"Bearer {self._token}"

    async def _renew(self) -> None:
        """Ask the provider, or wait with those who asked already."""
        flight = self._flight
        if flight is None or not flight.open():
            flight = self._flight = _Flight(asyncio.ensure_future(self._fetch()))
        await flight.join()

    async def _fetch(self) -> None:
        asked = time.monotonic()
        given = self._provider()
        token, lifetime = _read(await given if inspect.isawaitable(given) else given)
        self._token = token
        self._expires_at = asked + lifetime
        self._renew_at = self._expires_at - min(self._margin, lifetime / 10)


class _Flight:
    """One question to the provider, and those who wait for the answer.

    The last of them to leave early takes it down, so that no task outlives its clients.
    """

    def __init__(self, task: asyncio.Future[None]) -> None:
        self._task = task
        self._waiters = 0

    def open(self) -> bool:
        """Tell whether one more may join: an extension may outlive the loop it was used on."""
        cancelled = isinstance(self._task, asyncio.Task) and self._task.cancelling()
        same_loop = self._task.get_loop() is asyncio.get_running_loop()
        return same_loop and not cancelled and not self._task.done()

    async def join(self) -> None:
        self._waiters += 1
        try:
            await asyncio.shield(self._task)
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                raise
            raise ExtensionError("the token provider was cancelled") from None
        finally:
            self._waiters -= 1
            if self._waiters == 0:
                self._task.cancel()


def _read(given: object) -> tuple[str, float]:
    """Give the token and its lifetime, infinite where none was told."""
    lifetime: float | None = None
    match given:
        case str() as token:
            pass
        case (str() as token, int() | float() | None as lifetime):
            pass
        case _:
            raise TypeError(
                "a token provider must give a str or a (str, seconds) pair, "
                f"not {type(given).__name__}"
            )
    token = token.strip()
    if not token:
        raise ValueError("the token provider gave an empty token")
    return token, math.inf if lifetime is None else lifetime
