"""How the errors of aiohttp and of the operating system are told."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from rx_cometd import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd._transports.base import as_transport_error, transport_errors

NO_HEADERS = CIMultiDictProxy(CIMultiDict[str]())
SECRET = URL("http://h/?token=secret")
REQUEST = aiohttp.RequestInfo(SECRET, "POST", NO_HEADERS, SECRET)


def response_error(kind: type[aiohttp.ClientResponseError], status: int) -> Exception:
    return kind(REQUEST, (), status=status, message="Bad secret")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (TimeoutError(), TransportTimeoutError, "in time"),
        (aiohttp.ServerTimeoutError(), TransportTimeoutError, "in time"),
        (aiohttp.ServerDisconnectedError(), TransportConnectionClosed, "closed"),
        (ConnectionResetError(), TransportConnectionClosed, "closed"),
        (
            aiohttp.ClientOSError(None, f"Can not write request body for {SECRET}"),
            TransportConnectionClosed,
            "closed",
        ),
        (
            aiohttp.ClientOSError(32, f"Can not write request body for {SECRET}"),
            TransportConnectionClosed,
            "closed",
        ),
        (aiohttp.WebSocketError(1009, "too big"), ProtocolError, "too big"),
        (OSError("no route"), TransportError, "no route"),
        (aiohttp.ClientPayloadError(), TransportError, "ClientPayloadError"),
        (ValueError("frame"), TransportError, "frame"),
        (response_error(aiohttp.WSServerHandshakeError, 404), TransportError, "WebSocket (404)"),
        (response_error(aiohttp.TooManyRedirects, 302), TransportError, "TooManyRedirects (302)"),
        (response_error(aiohttp.ClientHttpProxyError, 407), TransportError, "(407)"),
        (aiohttp.InvalidURL(SECRET), TransportError, "invalid"),
    ],
)
def test_errors(error: Exception, kind: type[TransportError], text: str) -> None:
    told = as_transport_error(error)
    assert type(told) is kind
    assert text in str(told)
    assert "secret" not in str(told)
    with pytest.raises(kind) as caught, transport_errors():
        raise error
    assert str(caught.value) == str(told)
    cause = caught.value.__cause__
    assert cause is error or "secret" in str(error)
    assert "secret" not in str(cause)


def test_facts() -> None:
    refused: Any = as_transport_error(response_error(aiohttp.WSServerHandshakeError, 403))
    assert (refused.http_status, refused.close_code) == (403, None)
    broken: Any = as_transport_error(aiohttp.WebSocketError(1002, "x"))
    assert (broken.http_status, broken.close_code) == (None, 1002)


def test_other_errors_pass() -> None:
    with pytest.raises(LookupError), transport_errors():
        raise LookupError
