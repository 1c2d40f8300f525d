"""A meter between a socket and what reads it: counts what comes, and changes nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._transports.meter import Beginning, Meter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Reader(asyncio.Protocol):
    """A protocol that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self._happened = asyncio.Event()

    def _note(self, what: Any) -> None:
        self.told.append(what)
        self._happened.set()

    def data_received(self, data: bytes) -> None:
        self._note(bytes(data))

    def eof_received(self) -> bool | None:
        self._note("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(("lost", exc))

    def pause_writing(self) -> None:
        self._note("pause")

    def resume_writing(self) -> None:
        self._note("resume")

    async def until(self, what: Any) -> None:
        async with asyncio.timeout(30):
            while what not in self.told:
                self._happened.clear()
                await self._happened.wait()


@asynccontextmanager
async def metered() -> AsyncGenerator[tuple[Meter, Reader, asyncio.Transport, socket.socket]]:
    """Give a meter, what reads behind it, its transport, and the peer's socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        loop = asyncio.get_running_loop()
        transport, reader = await loop.create_connection(Reader, sock=ours)
        yield Meter.between(transport), reader, transport, theirs
        transport.abort()
        await reader.until(("lost", None))


async def test_what_comes_is_counted_and_handed_on() -> None:
    async with metered() as (meter, reader, _, peer):
        assert meter.count == 0
        before = time.monotonic()
        peer.sendall(b"abc")
        await reader.until(b"abc")
        assert meter.count == 3
        first = meter.at
        assert before <= first <= time.monotonic()
        peer.sendall(b"defgh")
        await reader.until(b"defgh")
        assert meter.count == 8
        assert meter.at >= first


async def test_the_end_is_handed_on_as_it_is_meant() -> None:
    async with metered() as (_, reader, transport, peer):
        peer.shutdown(socket.SHUT_WR)
        await reader.until("eof")
        assert not transport.is_closing()  # the reader said to leave it open
    assert reader.told == ["eof", ("lost", None)]


async def test_what_piles_up_is_handed_on() -> None:
    async with metered() as (meter, reader, transport, peer):
        transport.set_write_buffer_limits(high=1024)
        sent = bytes(4 * 1024 * 1024)
        transport.write(sent)
        await reader.until("pause")
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        arrived = 0
        while arrived < len(sent):
            arrived += len(await loop.sock_recv(peer, 1024 * 1024))
        await reader.until("resume")
        assert meter.count == 0  # what goes out does not count


@given(
    head=st.one_of(
        st.binary(max_size=8), st.sampled_from([b"HTTP/1.1 101 x", b"HTTP/", b"HTTP", b"http/1.1"])
    ),
    cuts=st.lists(st.integers(0, 14), max_size=4),
)
def test_http_is_told_from_its_first_bytes_however_they_come(head: bytes, cuts: list[int]) -> None:
    reader = RecordingReader()
    beginning = Beginning(reader)
    places = [0, *sorted(cuts), len(head)]
    for start, end in pairwise(places):
        beginning.data_received(head[start:end])
    assert beginning.is_http == head.startswith(b"HTTP/")
    assert reader.data == head
    assert beginning.count == len(reader.data)


class RecordingReader(asyncio.Protocol):
    """Keeps the bytes only, for it lives outside of any event loop."""

    def __init__(self) -> None:
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data


def test_before_anything_came_it_is_no_http() -> None:
    assert not Beginning(asyncio.Protocol()).is_http
