"""A server of HTTP and WebSockets by hand, which answers as it should, or anything at all."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

from tests.fuzz.mutating import Mutator
from tests.raw_server import RawServer, accept_of

__all__ = ["FuzzedServer"]


class FuzzedServer(RawServer):
    """Answers one time in two as a Bayeux server would; the seed says when, and how else."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._mutator = Mutator(seed)
        self._dice = self._mutator.dice

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cometd"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            headers = {
                name.lower().strip(): value.strip()
                for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
            }
            if b"sec-websocket-key" in headers:
                await self._upgrade(headers[b"sec-websocket-key"], reader, writer)
                return
            body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
            data = await self._answer(body)
            status = self._dice.choice([b"200 OK"] * 8 + [b"500 No", b"204 None"])
            response = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)
            writer.write(self._damaged(response))
            await writer.drain()

    async def _upgrade(
        self, key: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(self._damaged(head + b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(key)))
        while True:
            data = await self._answer(await _read_frame(reader))
            writer.write(self._damaged(self._frame(data)))
            await writer.drain()

    def _damaged(self, data: bytes) -> bytes:
        return self._mutator.mangle(data) if self._dice.random() < 0.1 else data

    def _frame(self, data: bytes) -> bytes:
        """Make a frame: of text, seldom of another kind, and seldom with a false length."""
        kind = self._dice.choice([0x81] * 10 + [0x82, 0x80, 0x01, 0x88, 0x89, 0x8A, 0x8F, 0xC1])
        length = len(data) if self._dice.random() < 0.95 else self._dice.choice([2**62, 2**40])
        if length < 126:
            return bytes([kind, length]) + data
        if length < 65536:
            return bytes([kind, 126]) + struct.pack(">H", length) + data
        return bytes([kind, 127]) + struct.pack(">Q", length) + data

    async def _answer(self, body: bytes) -> bytes:
        messages = _messages(body)
        if not messages:  # a pong, for instance, which has what was in the ping
            return self._mutator.payload(ID="1", CLIENT="c")
        if self._dice.random() < 0.5:
            request_id = str(messages[0].get("id"))
            return self._mutator.payload(ID=request_id, CLIENT="c")
        if messages[0].get("channel") == "/meta/connect":
            await asyncio.sleep(0.01)  # a connect is held
        return json.dumps([_reply(message) for message in messages]).encode()


def _messages(body: bytes) -> list[dict[str, Any]]:
    """Give the messages of a payload; none, where it is none.

    What a pong has is what was in the ping, which may look like a payload at first.
    """
    try:
        decoded: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    listed: list[Any] = decoded if str(body[:1], "latin-1") == "[" else []
    return [message for message in listed if isinstance(message, dict)]


def _reply(message: Any) -> Any:
    reply = {"channel": message.get("channel"), "id": message.get("id"), "successful": True}
    if message.get("channel") == "/meta/handshake":
        types = ["websocket", "long-polling"]
        return {**reply, "clientId": "c", "version": "1.0", "supportedConnectionTypes": types}
    if "subscription" in message:
        return {**reply, "subscription": message["subscription"]}
    return reply


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """Read a frame of the client's, which is masked; give its payload."""
    _, length = await reader.readexactly(2)
    length &= 0x7F
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(await reader.readexactly(size), "big")
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length)
    return bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
