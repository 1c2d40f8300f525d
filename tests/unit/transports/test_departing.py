"""What leaves: over TCP, over TLS, and where nobody tells what the peer has acknowledged."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from rx_cometd._transports.departing import Departure, Departures, unsent
from tests.raw_server import listening, port_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("nothing_left")

LARGE = 6_000_000


class Peer:
    """A server that reads what it is allowed to, and no more."""

    def __init__(self) -> None:
        self._allowed = asyncio.Semaphore(0)

    def read(self, count: int) -> None:
        """Let it read so many more pieces of 64 KiB, at most."""
        for _ in range(count):
            self._allowed.release()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        piece = b"something"
        while piece:
            await self._allowed.acquire()
            piece = await reader.read(64 * 1024)


def _narrow_listener(address: Any, family: socket.AddressFamily) -> socket.socket:
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.bind(address)
    return listener


@asynccontextmanager
async def connected(kind: str, directory: Path) -> AsyncGenerator[tuple[Peer, asyncio.Transport]]:
    peer = Peer()
    to_server: dict[str, Any] = {}
    to_client: dict[str, Any] = {}
    if kind == "tls":
        authority = trustme.CA()
        to_server["ssl"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(to_server["ssl"])
        to_client["ssl"] = ssl.create_default_context()
        authority.configure_trust(to_client["ssl"])
    path = str(directory / "socket")
    if kind == "unix":
        to_server |= {"unix": True, "sock": _narrow_listener(path, socket.AF_UNIX)}
    else:
        to_server["sock"] = _narrow_listener(("127.0.0.1", 0), socket.AF_INET)
    async with listening(peer.handle, limit=64 * 1024, **to_server) as server:
        if kind == "unix":
            _, writer = await asyncio.open_unix_connection(path)
        else:
            _, writer = await asyncio.open_connection("127.0.0.1", port_of(server), **to_client)
        try:
            assert isinstance(writer.transport, asyncio.Transport)
            yield peer, writer.transport
        finally:
            writer.transport.abort()


async def until_progress(departures: Departures, before: Departure) -> Departure:
    async with asyncio.timeout(30):
        while not (now := departures.look(before)).progressed_from(before):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    return now


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
async def test_a_large_payload_leaves_bit_by_bit(kind: str, tmp_path: Path) -> None:
    async with connected(kind, tmp_path) as (peer, transport):
        departures = Departures(transport)
        assert departures.begin(100) is None  # it leaves at once
        transport.write(b"x" * 100)
        large = departures.begin(LARGE)
        assert large is not None
        transport.write(b"x" * LARGE)
        small = departures.begin(100)
        assert small is not None  # it waits behind the other
        transport.write(b"x" * 100)
        assert small.goal > large.goal or kind == "tls"
        for _ in range(3):
            peer.read(16)
            large = await until_progress(departures, large)
            assert not large.is_gone
        peer.read(1000)
        while not large.is_gone:
            large = await until_progress(departures, large)
        while not small.is_gone:
            small = await until_progress(departures, small)
        assert unsent(transport) == 0
        assert departures.begin(100) is None


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_peer_that_reads_nothing(kind: str, tmp_path: Path) -> None:
    async with connected(kind, tmp_path) as (_, transport):
        departures = Departures(transport)
        now = departures.begin(LARGE)
        assert now is not None
        transport.write(b"x" * LARGE)
        async with asyncio.timeout(30):
            while True:  # what the kernels take in of themselves is taken in soon
                before = now
                await asyncio.sleep(0.1)
                now = departures.look(before)
                if not now.progressed_from(before):
                    break
        assert not now.is_gone


@pytest.mark.skipif(sys.platform != "linux", reason="nobody tells what was acknowledged")
async def test_what_compression_spares_has_not_departed(tmp_path: Path) -> None:
    """A peer that reads nothing: what is written behind a payload, and is less than it was before
    it was compressed, does not make the payload depart."""
    async with connected("tcp", tmp_path) as (_, transport):
        departures = Departures(transport)
        departure = departures.begin(LARGE)
        assert departure is not None
        transport.write(b"x" * (LARGE // 2))
        departures.begin(10 * LARGE)
        transport.write(b"x" * 1000)
        assert not departures.look(departure).is_gone


async def test_many_small_payloads_are_a_large_one(tmp_path: Path) -> None:
    async with connected("tcp", tmp_path) as (_, transport):
        departures = Departures(transport)
        found: list[Departure | None] = []
        for _ in range(4000):
            found.append(departures.begin(1000))
            transport.write(b"x" * 1000)
            await asyncio.sleep(0)
        assert found[0] is None
        assert found[-1] is not None


async def test_a_connection_that_is_closed(tmp_path: Path) -> None:
    async with connected("tcp", tmp_path) as (_, transport):
        departures = Departures(transport)
        departure = departures.begin(LARGE)
        assert departure is not None
        transport.write(b"x" * LARGE)
        transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert departures.look(departure).is_gone  # nothing of it is left
