"""The errors of aiohttp and of the operating system, told as ours.

Each text says what happened, to what address, and what can be done about it. The address is
shown without user information, query and fragment: credentials travel in them. So an error of
aiohttp that shows the whole address is not chained as the cause.
"""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import aiohttp
from aiohttp.http import HttpProcessingError

from rx_cometd._transports.retry_after import retry_after
from rx_cometd.exceptions import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from yarl import URL

__all__ = [
    "NETWORK_ERRORS",
    "as_transport_error",
    "is_no_http",
    "raise_transport_error",
    "shown",
    "status_error",
    "transport_errors",
]

#: What aiohttp raises when something outside goes wrong. TimeoutError is an OSError;
#: WebSocketError, for broken or large frames, is no ClientError.
NETWORK_ERRORS: Final = (aiohttp.ClientError, aiohttp.WebSocketError, OSError, ValueError)


@contextmanager
def transport_errors(address: URL) -> Generator[None]:
    """Tell the errors of the network as our own.

    Args:
        address: What is talked to.
    """
    try:
        yield
    except NETWORK_ERRORS as error:
        raise_transport_error(error, address)


def raise_transport_error(error: BaseException, address: URL) -> NoReturn:
    """Tell an error of the network as our own, where a context for each call is too much.

    Args:
        error: One of `NETWORK_ERRORS`.
        address: What is talked to.
    """
    raise as_transport_error(error, address) from _harmless(error)


def shown(address: URL) -> str:
    """Give an address as it may be shown: without what may hold credentials."""
    return str(address.with_user(None).with_query(None).with_fragment(None))


def as_transport_error(error: BaseException, address: URL) -> TransportError:
    """Give the error of ours that says what an error of the network means."""
    where = shown(address)
    if isinstance(error, TimeoutError):
        return TransportTimeoutError(f"{where} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ServerFingerprintMismatch):
        return _unconnected(error)
    if isinstance(error, aiohttp.ClientResponseError):
        return _bad_response(error, address)
    if isinstance(error, aiohttp.WebSocketError):
        text = f"{where} sent a WebSocket frame that is broken or too large: {error}"
        return ProtocolError(text, close_code=error.code)
    closed = isinstance(error, aiohttp.ServerDisconnectedError | ConnectionResetError)
    if closed or _broke(error):
        return TransportConnectionClosed(f"{where} closed the connection")
    text = _TEXTS.get(type(error)) or f": {str(error) or type(error).__name__}"
    return TransportError(where + text)


_TEXTS: Final[dict[type[BaseException], str]] = {
    aiohttp.ClientPayloadError: " closed the connection in the middle of a response",
    aiohttp.InvalidURL: " is no address that can be connected to",
    aiohttp.InvalidUrlClientError: " is no address that can be connected to",
}


def status_error(
    status: int,
    address: URL,
    headers: Mapping[str, str] | None = None,
    *,
    upgrade: bool = False,
    text: str | None = None,
) -> TransportError:
    """Give the error of an HTTP status that is no success.

    Args:
        status: The status.
        address: What was asked.
        headers: Those of the response.
        upgrade: Whether it was asked for a WebSocket.
        text: What to say of it, where more is known than the status tells.
    """
    advice = text or _ADVICE.get(status) or _general_advice(status, upgrade=upgrade)
    return TransportError(
        f"HTTP {status} at {shown(address)}: {advice}",
        http_status=status,
        final=status in _FINAL,
        retry_after=retry_after(status, headers),
    )


_ADVICE: Final = {
    401: "are the credentials missing, or no longer valid?",
    403: "access is not allowed with these credentials",
    404: "is the path right?",
    407: "the proxy asks for credentials",
    410: "is the path right?",
    413: "the payload is larger than the server takes",
    429: "too many requests",
    502: "a proxy could not reach the server",
    503: "the server is not available at the moment",
    504: "a proxy had no answer from the server in time",
}
#: Statuses that mean that nothing is there, now or later.
_FINAL: Final = frozenset({404, 410})


def _general_advice(status: int, *, upgrade: bool) -> str:
    if status >= 500:
        return "the server failed"
    if upgrade:
        return "no WebSocket was opened; does the server, and each proxy before it, support them?"
    return "a Bayeux server would answer 200; is the address right?"


def _unconnected(
    error: aiohttp.ClientConnectorError | aiohttp.ServerFingerprintMismatch,
) -> TransportError:
    """Tell why there is no connection."""
    peer = f"{error.host}:{error.port}"
    if isinstance(
        error, aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch
    ):
        return _bad_certificate(error, peer)
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _failed_tls(error, peer)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return TransportError(
            f"the name {error.host} could not be looked up: is it right, and is the network up?"
        )
    reason = os.strerror(error.errno) if error.errno else error.strerror
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return TransportError(f"cannot connect to the proxy {peer}: {reason}")
    return TransportError(f"cannot connect to {peer}: {reason}; is the server running?")


def _failed_tls(error: BaseException, peer: str) -> TransportError:
    cause = error.__cause__
    reason = cause.reason if isinstance(cause, ssl.SSLError) else None
    if reason == "WRONG_VERSION_NUMBER":
        return TransportError(
            f"{peer} does not speak TLS: is the scheme http, or the port another?", final=True
        )
    return TransportError(f"TLS with {peer} failed: {reason or cause or error}")


def _bad_certificate(
    error: aiohttp.ClientConnectorCertificateError | aiohttp.ServerFingerprintMismatch, peer: str
) -> TransportError:
    """Tell what is wrong with a certificate; waiting does not mend it."""
    if isinstance(error, aiohttp.ServerFingerprintMismatch):
        text = "has another fingerprint than the one given as ssl"
    elif isinstance(error.certificate_error, ssl.SSLCertVerificationError):
        found = error.certificate_error
        advice = _CERTIFICATE_ADVICE.get(found.verify_code, "")
        text = f"is not accepted: {found.verify_message.rstrip('.')}{advice}"
    else:
        text = f"is not accepted: {error.certificate_error}"
    return TransportError(f"the certificate of {peer} {text}", final=True)


_NOT_TRUSTED: Final = "; if it is the right one, trust its issuer with an SSLContext given as ssl"
#: By OpenSSL's verify codes (x509_vfy.h).
_CERTIFICATE_ADVICE: Final = {
    10: "; the server needs a new one",
    18: _NOT_TRUSTED,
    19: _NOT_TRUSTED,
    20: _NOT_TRUSTED,
    62: "; use a name that it is made for",
    64: "; use a name that it is made for",
}


def _bad_response(error: aiohttp.ClientResponseError, address: URL) -> TransportError:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return TransportError(
            f"the proxy refused to connect to {shown(address)} (HTTP {error.status})",
            http_status=error.status,
        )
    if is_no_http(error):
        # aiohttp gives it the status 400, which nobody sent.
        return TransportError(
            f"what answered at {shown(address)} is not an HTTP server: are port and scheme right?",
            final=True,
        )
    upgrade = isinstance(error, aiohttp.WSServerHandshakeError)
    text = "the WebSocket was not opened as it should be" if error.status == 101 else None
    return status_error(error.status, address, error.headers, upgrade=upgrade, text=text)


def is_no_http(error: aiohttp.ClientResponseError) -> bool:
    """Tell whether what came was not even HTTP."""
    return isinstance(error.__cause__, HttpProcessingError)


def _harmless(error: BaseException) -> BaseException | None:
    """Give an error, if it does not show the whole address."""
    shows_address = isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL)
    return None if shows_address or _broke(error) else error


def _broke(error: BaseException) -> bool:
    """Tell whether a connection broke while it was written to or read from.

    aiohttp then names the address. The subclasses say that no connection could be made.
    """
    return type(error) is aiohttp.ClientOSError
