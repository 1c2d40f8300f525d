"""The settings of a client, checked once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from yarl import URL

from rx_cometd._flow.arguments import check_plain_function, check_seconds
from rx_cometd._flow.edge import failure_of_awaited
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ClientError

if TYPE_CHECKING:
    import aiohttp

    from rx_cometd._protocol.codec import Codec
    from rx_cometd._transports import TransportOptions
    from rx_cometd.exceptions import ServerError
    from rx_cometd.extension import AuthExtension, Extension

__all__ = [
    "MAX_MESSAGE_SIZE",
    "Provider",
    "Settings",
    "checked_url",
    "connection_preferences",
    "no_header",
    "provided",
]

#: Bytes that a payload may have, either way. A server hands over its whole queue in one
#: payload, so this is well above what aiohttp (4 MiB) and Jetty (64 KiB) allow by default.
MAX_MESSAGE_SIZE: Final = 16 * 1024 * 1024

#: A mapping, or a callable or coroutine function that returns one, called each time.
Provider: TypeAlias = (
    Mapping[str, Any] | Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]] | None
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a session is made of; see `rx_cometd.Client` for the meanings.

    Raises:
        TypeError: One is of the wrong kind.
        ValueError: A time is out of range.
    """

    connection_types: tuple[ConnectionType, ...]
    connection_timeout: float | None
    max_network_delay: float
    max_suspension: float
    backoff: Callable[[], Iterator[float]]
    codec: Codec
    headers: Provider
    handshake_fields: Provider
    extensions: tuple[Extension, ...]
    auth: AuthExtension | None
    http_session: aiohttp.ClientSession | None
    transport: TransportOptions
    is_transient: Callable[[ServerError], bool | None] | None = None
    max_outbox: int = 10_000

    def __post_init__(self) -> None:
        if self.connection_timeout is not None:
            check_seconds("connection_timeout", self.connection_timeout, zero=True)
        check_seconds("max_network_delay", self.max_network_delay)
        check_seconds("max_suspension", self.max_suspension, zero=True)
        check_plain_function("backoff", self.backoff)
        if self.is_transient is not None:
            check_plain_function("is_transient", self.is_transient)
        for name, given in (("headers", self.headers), ("handshake_fields", self.handshake_fields)):
            if given is not None and not isinstance(given, Mapping) and not callable(given):
                raise TypeError(f"{name} must be a mapping, a function that gives one, or None")
        if self.headers is not None and not callable(self.headers):
            wrong = no_header(self.headers)
            if wrong is not None:
                raise TypeError(wrong)

    @property
    def resume_timeout(self) -> float:
        """Seconds that a connect which resumes a session may take.

        Half of the time that the link may be down, so that a handshake can still follow.
        """
        if self.connection_timeout is None:
            return self.max_network_delay
        return self.connection_timeout / 2


def connection_preferences(
    connection_types: ConnectionType | str | Sequence[ConnectionType | str] | None,
) -> tuple[ConnectionType, ...]:
    """Give the connection types in order of preference.

    Raises:
        TypeError: It is neither a connection type nor a sequence.
        ClientError: There is none, or one is unknown.
    """
    if connection_types is None:
        return (ConnectionType.WEBSOCKET, ConnectionType.LONG_POLLING)
    given: Any = connection_types  # as it comes from users
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise TypeError(f"connection_types must be a ConnectionType or a list, not {given!r}")
    given = [connection_types] if isinstance(connection_types, str) else list(connection_types)
    try:
        types = tuple(dict.fromkeys(ConnectionType(t) for t in given))
    except ValueError as error:
        names = ", ".join(ConnectionType)
        raise ClientError(f"unknown connection type: {error}: there are {names}") from error
    if not types:
        raise ClientError("connection_types is empty: give one at least, or None for all")
    return types


def checked_url(url: str | URL) -> URL:
    """Check the address of a server.

    Raises:
        ClientError: It is not an absolute ``http``, ``https``, ``ws`` or ``wss`` address.
    """
    try:
        address = URL(url)
    except (TypeError, ValueError):
        # Neither the address nor what is wrong with it is shown: credentials travel in it.
        raise ClientError("not an address: it is to be like https://example.com/cometd") from None
    if address.scheme not in ("http", "https", "ws", "wss") or not address.host:
        raise ClientError(
            "not an absolute http, https, ws or wss address: "
            f"scheme {address.scheme!r}, host {address.host!r}"
        )
    return address


async def provided(provider: Provider, name: str, timeout: float) -> Mapping[str, Any]:
    """Ask a provider.

    Args:
        provider: What to ask.
        name: Its name, as the user knows it.
        timeout: Seconds that a coroutine may take: one that hangs must not make a session deaf.

    Raises:
        ClientError: It took longer, raised what is no `Exception`, or did not give a mapping.
        Exception: What the user's function raised.
    """
    if provider is None:
        return {}
    deadline = asyncio.timeout(timeout)
    try:
        given = provider() if callable(provider) else provider
        if not inspect.isawaitable(given):
            return _checked_mapping(given)
        async with deadline:
            return _checked_mapping(await given)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise ClientError(f"`{name}` gave nothing within {timeout} s") from None
    except Exception:
        raise
    except BaseException as error:
        raise failure_of_awaited(error, name) from error


def no_header(headers: Mapping[Any, Any]) -> str | None:
    """Tell what is wrong with the first header that cannot be sent, ``None`` if all can.

    aiohttp would tell as well, later, and show the value, which may be a credential.
    """
    for name, value in headers.items():
        if not isinstance(name, str):
            return f"the name of a header must be a str, not {name!r}"
        if not isinstance(value, str):
            return f"the header {name!r} must be a str, not {type(value).__name__}"
    return None


def _checked_mapping(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        # Its type only: credentials are in what is meant to be a mapping.
        kind = type(given).__name__
        raise ClientError(f"headers and handshake_fields must give a mapping, not a {kind}")
    return cast("Mapping[str, Any]", given)
