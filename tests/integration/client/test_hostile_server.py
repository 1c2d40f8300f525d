"""What answers is no server at all, or one that means harm: raw bytes, on one connection.

Each case happens twice: to a client that opens, which comes to an end of it soon, well or with a
clear error; and to one that streams, whose link is cut, and whose next connection is answered so:
the stream goes on, in the same session, and no observer hears of it.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from rx_cometd import ClientState, CometDError, ConnectionType
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Recorder,
    client_of,
    held,
    subscribed,
)
from tests.raw_server import RawServer, accept_of

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from rx_cometd import Client

    Deed: TypeAlias = Callable[[StreamReader, StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.usefixtures("nothing_left")

#: What a client takes, decompressed or not.
LARGEST = 1_000_000


class HostileServer(RawServer):
    """Stands before a server: does something else on the next connection, or passes bytes on."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = URL(target)
        self._deed: Deed | None = None
        self._writers: set[StreamWriter] = set()
        self.deaf = False
        """Whether the connections that there are read nothing any more."""
        self.done = asyncio.Event()
        """Whether the deed has been done to somebody."""

    @property
    def url(self) -> str:
        return str(self._target.with_port(self.port))

    def do_next(self, deed: Deed) -> None:
        """Do something on the next connection."""
        self._deed = deed

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def connected(self) -> int:
        """Tell how many sockets clients have to here; those that the kernel buries are nobody's."""
        port = f":{URL(self.url).port:04X}"
        lines = Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
        fields = [line.split() for line in lines]
        return sum(f[2].endswith(port) and f[9] != "0" for f in fields)

    async def _talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.add(writer)
        deed, self._deed = self._deed, None
        try:
            if deed is None:
                await self._pass_on(reader, writer)
            else:
                self.done.set()
                await deed(reader, writer)
        finally:
            self._writers.discard(writer)

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self._target.host, self._target.port)
        copying = [
            asyncio.ensure_future(self._copy(reader, to_server)),
            asyncio.ensure_future(self._copy(from_server, writer)),
        ]
        try:
            await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            to_server.close()
            for task in copying:
                task.cancel()
            await asyncio.gather(*copying, return_exceptions=True)

    async def _copy(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
                if self.deaf:
                    await asyncio.Event().wait()


# -- what it does ------------------------------------------------------------------------------


def says(data: bytes, *, then: str = "close") -> Deed:
    """Say something when asked, then close, reset or be silent."""

    async def deed(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        # Closed with some of the request unread, it is reset, and what is said may be lost.
        for length in re.findall(rb"(?i)\r\ncontent-length: *(\d+)", head):
            await reader.readexactly(int(length))
        writer.write(data)
        await writer.drain()
        await _then(then, reader, writer)

    return deed


async def _then(what: str, reader: StreamReader, writer: StreamWriter) -> None:
    if what == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    elif what == "silence":
        while await reader.read(65536):
            pass


def without_end(begin: bytes, piece: bytes, pause: float = 0.0) -> Deed:
    """Begin to say something, and never come to an end."""

    async def deed(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begin)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)  # slowness is what it is about

    return deed


def ok(headers: bytes, body: bytes = b"", **options: str) -> Deed:
    return says(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + body, **options)


def upgrades(data: bytes, *, then: str = "silence") -> Deed:
    """Open a WebSocket as it should be, and go on with something."""

    async def deed(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(await _upgrade(reader))
        await writer.drain()
        writer.write(data)
        await writer.drain()
        await _then(then, reader, writer)

    return deed


async def _upgrade(reader: StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.split(b"\r\n")]
    key = next(value.strip() for name, _, value in lines if name.lower() == b"sec-websocket-key")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n"
    )


async def floods_with_pings(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(await _upgrade(reader))
    while not writer.is_closing():
        # Few at a time: a turn of the loop in which all are answered is no stall, however slow.
        writer.write(frame(0x89, b"ping" * 30) * 50)
        await writer.drain()
        await asyncio.sleep(0)


def frame(kind: int, data: bytes) -> bytes:
    if len(data) < 126:
        return bytes([kind, len(data)]) + data
    return bytes([kind, 126]) + struct.pack(">H", len(data)) + data


def closes(code: int) -> Deed:
    return upgrades(frame(0x88, struct.pack(">H", code) + b"so be it"))


async def accepts_and_resets(reader: StreamReader, writer: StreamWriter) -> None:
    await _then("reset", reader, writer)


BOMB = gzip.compress(b"[" + b" " * 50 * LARGEST + b"]")

ANY: dict[str, Deed] = {
    "silence": says(b"", then="silence"),
    "closed at once": says(b""),
    "reset at once": accepts_and_resets,
    "reset when asked": says(b"", then="reset"),
    "half a head, then silence": says(b"HTTP/1.1 200 OK\r\nContent-Le", then="silence"),
    "half a head, then closed": says(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a head, then reset": says(b"HTTP/1.1 101 Switching", then="reset"),
    "a head by the byte": without_end(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.02),
    "a head without end": without_end(b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 60000),
    "headers without end": without_end(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "continue without end": without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "garbage": says(os.urandom(65536)),
    "another protocol": says(b"220 mail ESMTP\r\n"),
    "HTTP 0.9": says(b"<html>hello</html>"),
    "no such version": says(b"HTTP/9.9 200 OK\r\n\r\n"),
    "no such status": says(b"HTTP/1.1 999999 OK\r\n\r\n"),
    "a status that is no number": says(b"HTTP/1.1 two OK\r\n\r\n"),
    "a header without a name": says(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n"),
    "a header with a null": says(b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: 2\r\n\r\n[]"),
    "switching to what nobody asked for": says(
        b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", then="silence"
    ),
    "200 with HTML": ok(b"Content-Length: 13", b"<html></html>"),
    "503 that promises more": says(
        b"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\n", then="silence"
    ),
}

HTTP: dict[str, Deed] = {
    "less than promised": ok(b"Content-Length: 100", b"[]"),
    "less than promised, then reset": ok(b"Content-Length: 100", b"[]", then="reset"),
    "less than promised, then silence": ok(b"Content-Length: 100", b"[]", then="silence"),
    "more than promised": ok(b"Content-Length: 2", b"[]" * 1000),
    "a length below zero": ok(b"Content-Length: -5", b"[]"),
    "a length that is no number": ok(b"Content-Length: many", b"[]"),
    "two lengths": ok(b"Content-Length: 2\r\nContent-Length: 3", b"[]"),
    "a length without bounds": ok(b"Content-Length: " + b"9" * 30, b"[]", then="silence"),
    "a chunk that is no number": ok(b"Transfer-Encoding: chunked", b"zz\r\n[]\r\n0\r\n\r\n"),
    "a chunk without end": ok(b"Transfer-Encoding: chunked", b"ffffffff\r\n[", then="silence"),
    "chunks without end": without_end(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n%s\r\n" % (b" " * 1024)
    ),
    "a body by the byte": without_end(b"HTTP/1.1 200 OK\r\n\r\n", b" ", 0.02),
    "a body without end": without_end(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
    "no gzip though it says so": ok(b"Content-Encoding: gzip\r\nContent-Length: 2", b"[]"),
    "half a gzip": ok(
        b"Content-Encoding: gzip\r\nContent-Length: 20", gzip.compress(b"[" + b"1," * 99)[:20]
    ),
    "a bomb": ok(b"Content-Encoding: gzip\r\nContent-Length: %d" % len(BOMB), BOMB),
}

FRAMES: dict[str, Deed] = {
    "a key that is not ours": says(
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        then="silence",
    ),
    "no key": says(b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    "pings without end": floods_with_pings,
    "a frame of 4 EB": upgrades(b"\x81\x7f" + struct.pack(">Q", 2**62)),
    "a length with its highest bit": upgrades(b"\x81\x7f\xff" + b"\xff" * 7),
    "a frame that is larger than we take": upgrades(
        b"\x81\x7f" + struct.pack(">Q", 2 * LARGEST) + b" " * 2 * LARGEST
    ),
    "half a frame, then closed": upgrades(b"\x81\x10[", then="close"),
    "half a frame, then reset": upgrades(b"\x81\x10[", then="reset"),
    "half a frame, then silence": upgrades(b"\x81\x10["),
    "a masked frame": upgrades(b"\x81\x82abcd" + bytes([0x5B ^ 0x61, 0x5D ^ 0x62])),
    "an opcode that is reserved": upgrades(frame(0x83, b"[]")),
    "a bit that is reserved": upgrades(frame(0xC1, b"[]")),
    "text that is no UTF-8": upgrades(frame(0x81, b"\xff\xfe\xfd")),
    "a continuation of nothing": upgrades(frame(0x80, b"[]")),
    "a fragment without end": upgrades(frame(0x01, b"[")),
    "a ping in fragments": upgrades(frame(0x09, b"x")),
    "a ping that is too long": upgrades(frame(0x89, b"x" * 200)),
    "a close of one byte": upgrades(frame(0x88, b"\x03")),
    "a reason that is no UTF-8": upgrades(frame(0x88, b"\x03\xe8\xff\xff")),
    **{
        f"closed with {code}": closes(code)
        for code in (
            *(0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011),
            *(1012, 1013, 1014, 1015, 2999, 3000, 4000, 4999, 65535),
        )
    },
}

CASES = pytest.mark.parametrize(
    ("kind", "deed"),
    [
        pytest.param(kind, deed, id=f"{kind}-{name}")
        for kind, deeds in ((WEBSOCKET, {**ANY, **FRAMES}), (LONG_POLLING, {**ANY, **HTTP}))
        for name, deed in deeds.items()
    ],
)


def impatient(
    hostile: HostileServer, kind: ConnectionType, connection_timeout: float = 3.0
) -> Client:
    return client_of(
        hostile.url,
        kind,
        connection_timeout=connection_timeout,
        max_network_delay=0.2,
        max_message_size=LARGEST,
        extensions=[ack()],
    )


@CASES
async def test_who_opens_has_an_end_soon(kind: ConnectionType, deed: Deed) -> None:
    async with BayeuxServer() as server, HostileServer(server.url) as hostile:
        hostile.do_next(deed)
        client = impatient(hostile, kind)
        began = time.monotonic()
        (outcome,) = await asyncio.gather(_use(client), return_exceptions=True)
        if outcome is not None:
            assert isinstance(outcome, CometDError)
            assert 10 < len(str(outcome)) < 300
        assert time.monotonic() - began < 20
        assert hostile.done.is_set()
        await client.close()


@CASES
async def test_who_streams_goes_on(kind: ConnectionType, deed: Deed) -> None:
    async with (
        BayeuxServer(timeout=5) as server,
        HostileServer(server.url) as hostile,
        impatient(hostile, kind, connection_timeout=60.0) as client,
    ):
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        await held(server)
        session = client.client_id
        hostile.do_next(deed)
        began = time.monotonic()
        hostile.cut()
        await asyncio.wait_for(hostile.done.wait(), 20)
        await changes.until(partial(_is_back, changes))
        await server.publish("/a", 1)
        await seen.count(1)
        assert time.monotonic() - began < 20
        assert client.client_id == session
        for change in changes.items:
            assert change.error is None or 10 < len(str(change.error)) < 300


@BOTH
async def test_a_peer_that_stops_reading_is_left(kind: ConnectionType) -> None:
    """More is to be sent than the network takes: the publish has its end, closing does not hang,
    and no socket is left that waits to be flushed."""
    async with BayeuxServer() as server, HostileServer(server.url) as hostile:
        client = impatient(hostile, kind)
        await client.open()
        await held(server)
        hostile.deaf = True
        began = time.monotonic()
        with pytest.raises(CometDError):
            await client.publish("/a", "x" * 20 * LARGEST)
        hostile.deaf = False
        await held(server)
        await client.close()
        assert time.monotonic() - began < 20
        await _alone(hostile)


@BOTH
async def test_closing_does_not_wait_for_a_peer_that_does_not_read(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, HostileServer(server.url) as hostile:
        client = client_of(hostile.url, kind, max_network_delay=30, connection_timeout=60)
        await client.open()
        await held(server)
        hostile.deaf = True
        publishing = asyncio.ensure_future(client.publish("/a", "x" * 20 * LARGEST))
        await asyncio.sleep(0.2)  # it is under way: as much as the network takes
        began = time.monotonic()
        await client.close()
        assert time.monotonic() - began < 15
        with pytest.raises(CometDError):
            await publishing
        await _alone(hostile)


async def _alone(hostile: HostileServer) -> None:
    """Check that no client has a socket to a server any more, soon."""
    for _ in range(200):
        if not hostile.connected():
            break
        await asyncio.sleep(0.05)  # the kernel tells nobody
    assert hostile.connected() == 0


async def _use(client: Client) -> None:
    await client.open()
    await client.publish("/a", 1)


def _is_back(changes: Recorder) -> bool:
    return changes.items[-1].state is ClientState.CONNECTED and len(changes.items) > 2
