"""What the transports have in common: how they are set up, and what they hand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from rx_cometd.exceptions import TransportError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    import aiohttp
    from yarl import URL

__all__ = [
    "CONTENT_TYPE",
    "LEAST_PROGRESS",
    "Received",
    "TransportOptions",
    "as_http",
    "check_credentials",
]

CONTENT_TYPE: Final = "application/json;charset=UTF-8"

#: Bytes of a payload that must come within the time that a reply may be late. Less is no
#: progress: one byte now and then must not hold a request for ever.
LEAST_PROGRESS: Final = 1024


@dataclass(frozen=True, slots=True)
class TransportOptions:
    """What every transport needs to know.

    Attributes:
        url: The server's address; ``http`` and ``ws`` are interchangeable.
        ssl: As aiohttp takes it.
        proxy: The address of an HTTP proxy.
        max_message_size: Bytes that a payload received may have, after decompression.
        heartbeat: Seconds between WebSocket pings, ``None`` for none.
        compress: Whether to offer compression of WebSocket messages to the server.
        origin: Gives scheme, host and port to use in place of the address's, ``None`` for those.
    """

    url: URL
    ssl: ssl.SSLContext | bool | aiohttp.Fingerprint
    proxy: URL | str | None
    max_message_size: int
    heartbeat: float | None
    compress: bool = False
    origin: Callable[[], URL | None] | None = None

    @property
    def address(self) -> URL:
        """Where to send the next payload, with the HTTP scheme."""
        moved = None if self.origin is None else self.origin()
        return as_http(self.url if moved is None else moved.join(self.url.relative()))


class Received(NamedTuple):
    """A payload as it came, not decoded, and the headers that came with it."""

    data: str | bytes
    headers: Mapping[str, str] | None


def check_credentials(
    address: URL, headers: Mapping[str, str], http: aiohttp.ClientSession
) -> None:
    """See that there are not two credentials for one request, which aiohttp refuses to choose from.

    Raises:
        TransportError: There are. It is final, for waiting does not mend it.
    """
    in_address = address.user is not None or address.password is not None
    if in_address and "authorization" in {name.lower() for name in (*headers, *http.headers)}:
        raise TransportError(
            f"there are two credentials for {address.host}: in an Authorization header, and in the "
            "address (user:password@host): give one of them",
            final=True,
        )


def as_http(address: URL) -> URL:
    """Give an address with the HTTP scheme, which ``ws`` and ``wss`` are other names of here."""
    # As it is where it can be: what aiohttp found out of an address is kept with it.
    return address if address.scheme not in _HTTP else address.with_scheme(_HTTP[address.scheme])


_HTTP: Final = {"ws": "http", "wss": "https"}
