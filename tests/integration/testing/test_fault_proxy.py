"""The fault proxy: what each fault does to connections and bytes, and to a client."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import trustme

from rx_cometd import ClientState, CometDError, ProtocolError, TransportError
from rx_cometd.testing import BayeuxServer, FaultProxy
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Recorder,
    client_of,
    subscribed,
)
from tests.raw_server import listening, port_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


class Peer:
    """A server that keeps what comes, and sends what a test says."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self.writers: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        self.ended: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.put_nowait(writer)
        failure: Exception | None = None
        try:
            while data := await reader.read(65536):
                self.came.put_nowait(data)
        except ConnectionError as error:
            failure = error
        writer.close()
        self.ended.put_nowait(failure)


class Wire:
    """A connection through a proxy, to a peer."""

    def __init__(self, proxy: FaultProxy, peer: Peer) -> None:
        self.proxy = proxy
        self.peer = peer
        self.writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.proxy.port)
        self.writers.append(self.writer)
        self.server = await self.peer.writers.get()

    async def read(self, count: int) -> bytes:
        async with asyncio.timeout(30):
            return await self.reader.readexactly(count)


@asynccontextmanager
async def wired(**options: Any) -> AsyncGenerator[Wire]:
    peer = Peer()
    async with (
        listening(peer.handle) as listener,
        FaultProxy(f"tcp://127.0.0.1:{port_of(listener)}", **options) as proxy,
    ):
        wire = Wire(proxy, peer)
        await wire.connect()
        try:
            yield wire
        finally:
            for writer in wire.writers:
                writer.close()


async def test_bytes_pass() -> None:
    async with wired() as wire:
        wire.writer.write(b"\x16question")
        assert await wire.peer.came.get() == b"\x16question"
        wire.server.write(b"answer")
        assert await wire.read(6) == b"answer"
        assert wire.proxy.requested == [b"\x16question"]
        assert (wire.proxy.accepted, wire.proxy.open_connections) == (1, 2)
        wire.writer.close()
        assert await wire.peer.ended.get() is None


@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut(reset: bool) -> None:
    async with wired() as wire:
        assert wire.proxy.cut(reset=reset) == 1
        if reset:
            with pytest.raises(ConnectionResetError) as caught:
                await wire.read(1)
            assert caught.value.errno == errno.ECONNRESET
        else:
            assert await wire.reader.read() == b""
        assert isinstance(await wire.peer.ended.get(), ConnectionResetError) is reset
        await wire.connect()
        wire.writer.write(b"\x16")
        assert await wire.peer.came.get() == b"\x16"


async def test_refusal_and_restoration() -> None:
    async with wired() as wire:
        await wire.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await wire.connect()
        await wire.proxy.restore()
        await wire.connect()


async def test_silence_either_way() -> None:
    async with wired() as wire:
        wire.proxy.replies.stall()
        wire.writer.write(b"\x16question")
        assert await wire.peer.came.get() == b"\x16question"
        wire.server.write(b"answer")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.reader.read(1)
        wire.proxy.replies.resume()
        assert await wire.read(6) == b"answer"
        wire.proxy.stall()
        wire.writer.write(b"\x16more")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.peer.came.get()
        wire.proxy.resume()
        assert await wire.peer.came.get() == b"\x16more"


async def test_delay_keeps_the_order() -> None:
    async with wired(seed=7) as wire:
        wire.proxy.replies.delay(0.05, jitter=0.05)
        began = asyncio.get_running_loop().time()
        for number in range(10):
            wire.server.write(bytes([number]))
            await asyncio.sleep(0.001)  # a chunk of its own
        assert await wire.read(10) == bytes(range(10))
        took = asyncio.get_running_loop().time() - began
        assert took >= 0.05


async def test_throttle() -> None:
    async with wired() as wire:
        wire.proxy.replies.throttle(100_000)
        began = asyncio.get_running_loop().time()
        wire.server.write(b"x" * 20_000)
        await wire.read(20_000)
        assert asyncio.get_running_loop().time() - began >= 0.19


async def test_pieces_are_of_the_seed() -> None:
    def pieces(proxy: FaultProxy) -> list[int]:
        return [len(piece) for piece, _ in proxy.requests.pieces(bytes(40))]

    sizes: list[list[int]] = []
    for seed in (1, 1, 2):
        async with wired(seed=seed) as wire:
            wire.proxy.requests.split(5)
            sizes.append(pieces(wire.proxy))
    assert sizes[0] == sizes[1] != sizes[2]
    assert {sum(found) for found in sizes} == {40}
    assert max(map(max, sizes)) <= 5


async def test_pieces_are_written_one_by_one() -> None:
    came: list[bytes] = []
    async with wired() as wire:
        wire.proxy.requests.split(5, pause=0.05)
        wire.writer.write(bytes(range(0x16, 0x16 + 20)))
        while sum(map(len, came)) < 20:
            came.append(await wire.peer.came.get())
    assert b"".join(came) == bytes(range(0x16, 0x16 + 20))
    # The kernel may put some together, where the reader is late.
    assert len(came) > 1


async def test_joined() -> None:
    async with wired() as wire:
        wire.proxy.requests.join(0.6)
        for _ in range(5):
            wire.writer.write(b"\x16")
            await asyncio.sleep(0.002)  # a chunk of its own
        assert await wire.peer.came.get() == b"\x16" * 5
        wire.writer.write(b"last")
        wire.writer.close()
        assert await wire.peer.came.get() == b"last"
        await wire.peer.ended.get()


async def test_truncated() -> None:
    async with wired() as wire:
        wire.proxy.replies.truncate(after=3)
        wire.server.write(b"answer")
        assert await wire.reader.read() == b"ans"
        await wire.peer.ended.get()
        await wire.connect()
        wire.server.write(b"answer")
        assert await wire.read(6) == b"answer"


async def test_requests_are_answered_where_they_begin() -> None:
    async with (
        BayeuxServer() as server,
        FaultProxy(server.url) as proxy,
        aiohttp.ClientSession() as http,
    ):
        body = b"[]" * 50_000
        for _ in range(2):
            proxy.respond(503, retry_after=2, count=1)
            async with http.post(proxy.url, data=body) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "2")
                assert "html" in await response.text()
            async with http.post(proxy.url, data=b"[]") as response:
                assert response.status != 503
        assert proxy.accepted == 1
        proxy.redirect("http://elsewhere/", 307, count=1)
        async with http.post(proxy.url, data=b"[]", allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (
                307,
                "http://elsewhere/",
            )


@BOTH
@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_client_behind_a_busy_proxy(kind: ConnectionType, status: int) -> None:
    async with BayeuxServer() as server, FaultProxy(server.url) as proxy:
        proxy.respond(status, retry_after=0.1, count=3)
        async with client_of(proxy.url, kind) as client:
            assert (await client.publish("/a", 1))["successful"]


async def test_a_client_behind_a_proxy_that_knows_no_websockets() -> None:
    async with BayeuxServer() as server, FaultProxy(server.url) as proxy:
        proxy.strip_upgrade()
        async with client_of(proxy.url) as client:
            assert client.connection_type is LONG_POLLING
            assert (await client.publish("/a", 1))["successful"]


@BOTH
async def test_a_client_on_a_network_of_crumbs(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, FaultProxy(server.url, seed=3) as proxy:
        proxy.requests.split(7)
        proxy.replies.split(7)
        async with client_of(proxy.url, kind) as client:
            seen = Recorder(client.channel("/a"))
            await subscribed(server, "/a")
            for number in range(5):
                await client.publish("/a", number)
            assert await seen.count(5)
            assert seen.data == list(range(5))


@BOTH
async def test_a_client_that_is_cut_in_the_middle(kind: ConnectionType) -> None:
    async with (
        BayeuxServer() as server,
        FaultProxy(server.url) as proxy,
        client_of(proxy.url, kind) as client,
    ):
        seen = Recorder(client.channel("/a"))
        states = Recorder(client.state_changes)
        await subscribed(server, "/a")
        await client.publish("/b", 0)  # a round trip: no other reply is to come
        proxy.replies.truncate(after=40)
        await server.publish("/a", "x" * 1000)
        await states.until(lambda: states.items[-1].state is not ClientState.CONNECTED)
        await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        await server.publish("/a", "y")
        await seen.until(lambda: seen.data[-1:] == ["y"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def showing(authority: trustme.CA, case: str, directory: Path) -> ssl.SSLContext:
    """A server's certificate: a good one, or one with a fault."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if case == "self-signed":
        stranger, path = trustme.CA(), directory / "stranger.pem"
        stranger.private_key_pem.write_to_path(path)
        stranger.cert_pem.write_to_path(path, append=True)
        context.load_cert_chain(path)
    else:
        host = "other.example" if case == "wrong host" else "127.0.0.1"
        end = datetime(2020, 1, 2, tzinfo=UTC) if case == "expired" else None
        begin = datetime(2020, 1, 1, tzinfo=UTC) if case == "expired" else None
        made = authority.issue_cert(host, not_before=begin, not_after=end)
        made.configure_cert(context)
    return context


@BOTH
async def test_a_client_behind_tls(
    kind: ConnectionType, authority: trustme.CA, tmp_path: Path
) -> None:
    """With all the other faults, for which it has to see what is encrypted."""
    async with (
        BayeuxServer() as server,
        FaultProxy(server.url, tls=showing(authority, "good", tmp_path)) as proxy,
    ):
        assert proxy.url == f"https://127.0.0.1:{proxy.port}/cometd"
        proxy.respond(503, count=1)
        async with client_of(proxy.url, kind, ssl=trusting(authority)) as client:
            seen = Recorder(client.channel("/a"))
            states = Recorder(client.state_changes)
            await subscribed(server, "/a")
            proxy.cut()
            await states.until(lambda: states.items[-1].state is not ClientState.CONNECTED)
            await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
            await server.publish("/a", "back")
            await seen.until(lambda: seen.data == ["back"])


@BOTH
@pytest.mark.parametrize("case", ["wrong host", "expired", "self-signed"])
async def test_a_certificate_with_a_fault_ends_the_opening_at_once(
    kind: ConnectionType, case: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """Waiting cannot mend it."""
    async with (
        BayeuxServer() as server,
        FaultProxy(server.url, tls=showing(authority, case, tmp_path)) as proxy,
    ):
        client = client_of(
            proxy.url, kind, ssl=trusting(authority), connection_timeout=None, backoff=None
        )
        async with asyncio.timeout(60):
            with pytest.raises(TransportError, match=r"the certificate of 127\.0\.0\.1") as caught:
                await client.open()
        assert caught.value.final
        assert proxy.requested == []


@BOTH
async def test_a_redirect_to_elsewhere_ends_at_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, FaultProxy(server.url) as proxy:
        proxy.redirect("https://elsewhere.example/cometd")
        client = client_of(proxy.url, kind, connection_timeout=60.0)
        async with asyncio.timeout(30):
            with pytest.raises(CometDError) as caught:
                await client.open()
        assert "https://elsewhere.example" in f"{caught.value} {caught.value.__cause__}"


@BOTH
async def test_a_large_batch_on_a_slow_link_kills_nothing(kind: ConnectionType) -> None:
    """It takes 5 times as long as a reply may be late; with ``FULL_SIZE=1`` it is 20 MB at 1 MB/s
    and the default of 10 s, twice."""
    delay, rate, size = 0.6, 200_000, 600_000
    if os.environ.get("FULL_SIZE"):
        delay, rate, size = 10.0, 1_000_000, 20_000_000
    async with (
        BayeuxServer() as server,
        FaultProxy(server.url) as proxy,
        client_of(proxy.url, kind, max_network_delay=delay, max_message_size=2 * size) as client,
    ):
        seen = Recorder(client.channel("/a"))
        states = Recorder(client.state_changes)
        await subscribed(server, "/a")
        connections = proxy.accepted
        proxy.replies.throttle(rate)
        await server.publish("/a", "x" * size)
        publishing = asyncio.ensure_future(client.publish("/b", 1))
        began = time.monotonic()
        await seen.until(lambda: seen.items, 40)
        print(f"\n{size} bytes in {time.monotonic() - began:.1f} s")
        assert (await publishing)["successful"]
        assert [change.state for change in states.items] == [ClientState.CONNECTED]
        assert proxy.accepted - connections <= (0 if kind is WEBSOCKET else 1)


@BOTH
async def test_a_link_that_falls_silent_in_the_middle_is_found(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(timeout=0.2) as server,
        FaultProxy(server.url) as proxy,
        client_of(proxy.url, kind, max_network_delay=0.3) as client,
    ):
        seen = Recorder(client.channel("/a"))
        states = Recorder(client.state_changes)
        await subscribed(server, "/a")
        proxy.replies.throttle(100_000)
        await server.publish("/a", "x" * 1_000_000)
        begun = proxy.replies.passed + 50_000
        async with asyncio.timeout(30):
            while proxy.replies.passed < begun:  # noqa: ASYNC110 - no event for bytes
                await asyncio.sleep(0.01)
        proxy.stall()
        began = asyncio.get_running_loop().time()
        await states.until(lambda: states.items[-1].state is not ClientState.CONNECTED)
        assert asyncio.get_running_loop().time() - began < 8
        assert not seen.items
        proxy.clear()
        proxy.cut()


@BOTH
async def test_a_server_that_trickles_is_given_up(kind: ConnectionType) -> None:
    """A byte now and then is no progress: it must not hold a request for ever."""
    async with (
        BayeuxServer(timeout=0.2) as server,
        FaultProxy(server.url) as proxy,
        client_of(proxy.url, kind, max_network_delay=0.3) as client,
    ):
        states = Recorder(client.state_changes)
        proxy.replies.split(1, pause=0.02)
        with pytest.raises(TransportError):
            await client.publish("/a", 1)
        await states.until(lambda: states.items[-1].state is not ClientState.CONNECTED)
        proxy.clear()
        proxy.cut()
        await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        assert (await client.publish("/a", 1))["successful"]


@BOTH
@pytest.mark.parametrize("garbage", [b"\xff\xfe[]", b'[{"channel": "/a\xff"}]'])
async def test_what_is_no_utf_8_hurts_no_session(kind: ConnectionType, garbage: bytes) -> None:
    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server.url, kind) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await client.publish("/b", 0)
        await server.faults.garbage(garbage, channel=None if kind is WEBSOCKET else "/b")
        try:
            await client.publish("/b", 1)
        except ProtocolError as error:
            assert "JSON" in str(error)  # noqa: PT017 - over long-polling only
        await client.publish("/a", 2)
        await seen.until(lambda: seen.data == [2])
