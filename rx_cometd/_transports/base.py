"""What the transports have in common: how they are set up, and how aiohttp's errors are told."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import aiohttp

from rx_cometd.exceptions import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Mapping

    from yarl import URL

__all__ = ["Received", "TransportOptions", "as_transport_error", "transport_errors"]

CONTENT_TYPE: Final = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What every transport needs to know.

    Attributes:
        url: The server's address; ``http`` and ``ws`` are interchangeable.
        ssl: As aiohttp takes it.
        proxy: The address of an HTTP proxy.
        max_message_size: Bytes that a payload received may have.
        heartbeat: Seconds between WebSocket pings, ``None`` for none.
    """

    url: URL
    ssl: ssl.SSLContext | bool | aiohttp.Fingerprint
    proxy: URL | str | None
    max_message_size: int
    heartbeat: float | None


class Received(NamedTuple):
    """A payload as it came, not decoded, and the headers that came with it."""

    data: str | bytes
    headers: Mapping[str, str] | None


@contextmanager
def transport_errors() -> Generator[None]:
    """Tell aiohttp's and the operating system's errors as our own."""
    try:
        yield
    except (aiohttp.ClientError, aiohttp.WebSocketError, OSError, ValueError) as error:
        # TimeoutError is an OSError; WebSocketError, for broken or large frames, is no ClientError.
        # What shows the address is no cause to show: credentials travel in its query.
        cause = None if isinstance(error, _SHOWS_ADDRESS) or _broke(error) else error
        raise as_transport_error(error) from cause


_SHOWS_ADDRESS = (aiohttp.ClientResponseError, aiohttp.InvalidURL)


def _broke(error: Exception) -> bool:
    """Tell whether a connection broke while it was written to or read from.

    aiohttp then names the address. The subclasses say that no connection could be made.
    """
    return type(error) is aiohttp.ClientOSError


def as_transport_error(error: Exception) -> TransportError:
    """Give the error of ours that says what an error of the network means."""
    if isinstance(error, TimeoutError):
        return TransportTimeoutError("the server did not answer in time")
    if isinstance(error, aiohttp.ClientResponseError):
        refused = isinstance(error, aiohttp.WSServerHandshakeError)
        text = "the server refused the WebSocket" if refused else type(error).__name__
        return TransportError(f"{text} ({error.status})", http_status=error.status or None)
    if isinstance(error, aiohttp.InvalidURL):
        return TransportError("the address, or one that the server redirects to, is invalid")
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError) or _broke(error):
        return TransportConnectionClosed("the server closed the connection")
    if isinstance(error, aiohttp.WebSocketError):
        return ProtocolError(f"broken WebSocket frame: {error}", close_code=error.code)
    return TransportError(str(error) or type(error).__name__)
