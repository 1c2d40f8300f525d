"""How the errors of aiohttp and of the operating system are told."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

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
from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd._transports.errors import as_transport_error, status_error, transport_errors
from tests.integration.client_driver import BOTH, LONG_POLLING
from tests.raw_server import listening, port_of, port_of_nobody

from .echo import http_session, options

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncGenerator, Awaitable

    from rx_cometd import ConnectionType

NO_HEADERS = CIMultiDictProxy(CIMultiDict[str]())
SECRET = URL("http://user:secret@h/?token=secret#secret")
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
        (OSError("no route"), TransportError, "http://h/: no route"),
        (aiohttp.ClientPayloadError(), TransportError, "in the middle of a response"),
        (ValueError("frame"), TransportError, "frame"),
        (response_error(aiohttp.WSServerHandshakeError, 404), TransportError, "HTTP 404 at http"),
        (response_error(aiohttp.WSServerHandshakeError, 101), TransportError, "not opened as"),
        (response_error(aiohttp.WSServerHandshakeError, 200), TransportError, "no WebSocket was"),
        (response_error(aiohttp.ClientHttpProxyError, 407), TransportError, "(HTTP 407)"),
        (aiohttp.InvalidURL(SECRET), TransportError, "no address"),
        (aiohttp.InvalidUrlClientError(SECRET), TransportError, "no address"),
    ],
)
def test_errors(error: Exception, kind: type[TransportError], text: str) -> None:
    told = as_transport_error(error, SECRET)
    assert type(told) is kind
    assert text in str(told)
    assert "secret" not in str(told)
    with pytest.raises(kind) as caught, transport_errors(SECRET):
        raise error
    assert str(caught.value) == str(told)
    cause = caught.value.__cause__
    assert cause is error or "secret" in str(error)
    assert "secret" not in str(cause)


def test_facts() -> None:
    refused = as_transport_error(response_error(aiohttp.WSServerHandshakeError, 403), SECRET)
    assert (refused.http_status, refused.close_code, refused.final) == (403, None, False)
    broken = as_transport_error(aiohttp.WebSocketError(1002, "x"), SECRET)
    assert (broken.http_status, broken.close_code, broken.final) == (None, 1002, False)


@pytest.mark.parametrize(
    ("status", "text", "final"),
    [
        (404, "is the path right?", True),
        (410, "is the path right?", True),
        (401, "credentials", False),
        (429, "too many", False),
        (503, "not available", False),
        (599, "the server failed", False),
        (418, "is the address right?", False),
    ],
)
def test_statuses(status: int, text: str, final: bool) -> None:
    told = status_error(status, SECRET)
    assert str(told).startswith(f"HTTP {status} at http://h/: ")
    assert text in str(told)
    assert "secret" not in str(told)
    assert (told.http_status, told.final) == (status, final)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Serve what is no HTTP; gives the address."""

    async def handle(_: StreamReader, writer: StreamWriter) -> None:
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with listening(handle) as server:
        yield f"127.0.0.1:{port_of(server)}"


async def failure(kind: ConnectionType, url: str) -> TransportError:
    """Give the error of a connection that fails; in time, though looking up a name takes some."""
    async with http_session() as http:
        attempt: Awaitable[object]
        if kind is LONG_POLLING:
            attempt = LongPollingTransport(http, options(url)).exchange("[]", {}, 90.0)
        else:
            attempt = WebSocketTransport(http, options(url)).open({}, 90.0)
        with pytest.raises(TransportError) as caught:
            await attempt
    told = f"{caught.value} {caught.value.__cause__!r}"
    assert "secret" not in told
    return caught.value


@BOTH
async def test_no_http_server(kind: ConnectionType) -> None:
    async with answering(b"SSH-2.0-OpenSSH_9.6\r\n") as peer:
        error = await failure(kind, f"http://user:secret@{peer}/cometd?token=secret")
        assert f"what answered at http://{peer}/cometd is not an HTTP server" in str(error)
        assert (error.http_status, error.final) == (None, True)


@BOTH
async def test_no_tls(kind: ConnectionType) -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as peer:
        error = await failure(kind, f"https://{peer}/cometd?token=secret")
        assert f"{peer} does not speak TLS" in str(error)
        assert error.final


@BOTH
async def test_a_name_that_is_not_known(kind: ConnectionType) -> None:
    error = await failure(kind, "http://nowhere.invalid/cometd?token=secret")
    assert "the name nowhere.invalid could not be looked up" in str(error)
    assert not error.final


@BOTH
async def test_nobody_listens(kind: ConnectionType) -> None:
    with port_of_nobody() as port:
        peer = f"127.0.0.1:{port}"
        error = await failure(kind, f"http://user:secret@{peer}/cometd?token=secret")
    assert str(error) == f"cannot connect to {peer}: Connection refused; is the server running?"
    assert not error.final


def test_other_errors_pass() -> None:
    with pytest.raises(LookupError), transport_errors(SECRET):
        raise LookupError
