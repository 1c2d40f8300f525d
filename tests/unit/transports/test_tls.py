"""TLS: what ``ssl`` means, over both transports."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from rx_cometd import CometDError, TransportError
from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, LONG_POLLING, WEBSOCKET, client_of, settings_of

from .echo import http_session, options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


class Authority:
    """A certificate authority of the tests, in a directory of its own."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self.certificate = directory / "ca.pem"
        (directory / "index.txt").touch()
        (directory / "serial").write_text("01")
        (directory / "ca.cnf").write_text(_CONFIGURATION.format(directory))
        self._openssl(
            *("req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"),
            *("-subj", "/CN=Test Authority", "-config", str(directory / "ca.cnf")),
            *("-keyout", str(directory / "ca.key"), "-out", str(self.certificate)),
        )

    def issue(self, name: str, alternative: str, *, expired: bool = False) -> Path:
        """Make a certificate; gives a file that holds its key as well."""
        request, key, made = (self._directory / f"{name}.{kind}" for kind in ("csr", "key", "crt"))
        extensions = self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        self._openssl(
            *("req", "-nodes", "-newkey", "rsa:2048", "-subj", f"/CN={name}"),
            *("-config", str(self._directory / "ca.cnf")),
            *("-keyout", str(key), "-out", str(request)),
        )
        valid = ("20200101000000Z", "20200102000000Z") if expired else _now()
        self._openssl(
            *("ca", "-batch", "-config", str(self._directory / "ca.cnf"), "-notext"),
            *("-extfile", str(extensions), "-startdate", valid[0], "-enddate", valid[1]),
            *("-in", str(request), "-out", str(made)),
        )
        both = self._directory / f"{name}.pem"
        both.write_bytes(key.read_bytes() + made.read_bytes())
        return both

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run([self._program, *arguments], check=False, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()


_CONFIGURATION = """
[ca]
default_ca = tests
[tests]
dir = {0}
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = unused
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
"""


def _now() -> tuple[str, str]:
    now, day = datetime.now(UTC), timedelta(days=1)
    return f"{now - day:%Y%m%d%H%M%SZ}", f"{now + day:%Y%m%d%H%M%SZ}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    return Authority(program, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    """A certificate of the authority for 127.0.0.1, with its key in the same file."""
    return authority.issue("good", "IP:127.0.0.1")


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
                "[]", {}, 30.0
            )
            assert received.data == b"[1]"
        else:
            transport = WebSocketTransport(http, options(url, ssl=verify))
            await transport.open({}, 30.0)
            await transport.close()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


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
async def test_what_is_trusted_is_not(
    kind: ConnectionType, scheme: str, authority: Authority, certificate: Path
) -> None:
    async with serving_tls(certificate) as url:
        address = url.replace("https", scheme)
        for verify in (False, trusting(authority), aiohttp.Fingerprint(digest(certificate))):
            await exchange(kind, address, verify)


def test_the_default_verifies() -> None:
    assert settings_of(client_of("https://h/")).transport.ssl is True
    assert settings_of(client_of("https://h/", ssl=True)).transport.ssl is True
    assert settings_of(client_of("https://h/", ssl=False)).transport.ssl is False


CASES: dict[str, tuple[str, bool, str]] = {
    "wrong host": ("DNS:other.example", False, "use a name that it is made for"),
    "expired": ("IP:127.0.0.1", True, "the server needs a new one"),
    "unknown issuer": ("IP:127.0.0.1", False, "trust its issuer"),
}


@BOTH
@pytest.mark.parametrize("case", CASES)
async def test_a_bad_certificate_ends_the_opening_at_once(
    kind: ConnectionType, case: str, authority: Authority
) -> None:
    """Waiting cannot mend it, so nobody waits for ``connection_timeout``."""
    alternative, expired, advice = CASES[case]
    bad = authority.issue(f"bad-{kind}-{case}".replace(" ", "-"), alternative, expired=expired)
    verify = True if case == "unknown issuer" else trusting(authority)
    async with serving_tls(bad) as url:
        address = url.replace("https://", "https://user:secret@") + "?token=secret"
        client = client_of(address, kind, ssl=verify, connection_timeout=60.0)
        async with asyncio.timeout(30):
            with pytest.raises(
                TransportError, match=r"the certificate of 127\.0\.0\.1:\d+"
            ) as caught:
                await client.open()
    assert advice in str(caught.value)
    assert caught.value.final
    assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
    await client.close()


@pytest.mark.parametrize("first", [[LONG_POLLING], [WEBSOCKET, LONG_POLLING]])
async def test_no_tls_there_ends_the_opening_at_once(first: list[ConnectionType]) -> None:
    async with BayeuxServer() as server:
        url = server.url.replace("http", "https")
        client = client_of(url, first, connection_timeout=60.0)
        async with asyncio.timeout(30):
            with pytest.raises(TransportError, match="does not speak TLS: is the scheme http"):
                await client.open()


@BOTH
async def test_a_wrong_path_ends_the_opening_at_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        url = server.url.replace("/cometd", "/wrong")
        client = client_of(url + "?token=secret", kind, connection_timeout=60.0)
        async with asyncio.timeout(30):
            with pytest.raises(CometDError) as caught:
                await client.open()
    assert f"HTTP 404 at {url}: is the path right?" in str(caught.value)
    assert "secret" not in str(caught.value)
