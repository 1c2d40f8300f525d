"""TLS: what ``ssl`` means, over both transports."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from rx_cometd import TransportError
from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from tests.integration.client_driver import BOTH, LONG_POLLING, client_of, settings_of

from .echo import http_session, options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate that nobody trusts, with its key in the same file."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("tls")
    pem = directory / "both.pem"
    made = subprocess.run(
        [
            *(program, "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    assert made.returncode == 0
    pem.write_bytes((directory / "key.pem").read_bytes() + (directory / "cert.pem").read_bytes())
    return directory / "both.pem"


@asynccontextmanager
async def serving_tls(certificate: Path) -> AsyncGenerator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade"):
            socket = web.WebSocketResponse(timeout=0.1)
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        return web.Response(body=b"[1]")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/cometd"
    finally:
        await runner.cleanup()


async def exchange(kind: ConnectionType, url: str, verify: Any) -> None:
    async with http_session() as http:
        if kind is LONG_POLLING:
            received = await LongPollingTransport(http, options(url, ssl=verify)).exchange(
                "[]", {}, 5.0
            )
            assert received.data == b"[1]"
        else:
            transport = WebSocketTransport(http, options(url, ssl=verify))
            await transport.open({}, 5.0)
            await transport.close()


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def digest(certificate: Path) -> bytes:
    pem = certificate.read_text()
    der = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    return hashlib.sha256(der).digest()


@BOTH
async def test_what_is_not_trusted_is_refused(kind: ConnectionType, certificate: Path) -> None:
    async with serving_tls(certificate) as url:
        for verify in (True, ssl.create_default_context(), aiohttp.Fingerprint(b"x" * 32)):
            with pytest.raises(TransportError):
                await exchange(kind, url, verify)


@BOTH
@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_what_is_trusted_is_not(kind: ConnectionType, scheme: str, certificate: Path) -> None:
    async with serving_tls(certificate) as url:
        address = url.replace("https", scheme)
        for verify in (False, trusting(certificate), aiohttp.Fingerprint(digest(certificate))):
            await exchange(kind, address, verify)


def test_the_default_verifies() -> None:
    assert settings_of(client_of("https://h/")).transport.ssl is True
    assert settings_of(client_of("https://h/", ssl=True)).transport.ssl is True
    assert settings_of(client_of("https://h/", ssl=False)).transport.ssl is False
