"""The load generator: a server in a process of its own that costs the receiver nothing.

It speaks just enough Bayeux for a client to be content. A client asks it for messages by
publishing an `Order` on `PUSH`; they are sent as fast as the socket takes them, from WebSocket
frames and response bodies made beforehand, or at a rate, and then each message says when it was
sent.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
import trustme
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

PUSH: Final = "/push"
"""Where to publish an `Order` to have messages sent."""

_BLOCK: Final = 64 * 1024
"""Bytes that are written in one go."""
_UNSENT: Final = 1024 * 1024
"""Bytes that may wait in the socket before the generator waits."""
_TICK: Final = 0.001
"""Seconds between two looks at a socket, or two bursts of a rate."""


class Order(NamedTuple):
    """What a client wants to be sent.

    Attributes:
        messages: How many in all.
        per_frame: Messages in a frame, or in a response.
        channels: Channels that take turns, named ``/bench/0/x`` and so on.
        rate: Messages a second, one in a frame; 0 is as fast as can be.
        compress: Whether the frames are deflated.
        coalesced: Whether many frames are written at once, as no server does: the receiver then
            hardly ever waits for the socket, so that nothing hides what it costs itself.
    """

    messages: int
    per_frame: int = 1
    channels: int = 1
    rate: int = 0
    compress: bool = False
    coalesced: bool = False


class Address(NamedTuple):
    """Where the generator is found.

    Attributes:
        plain: Its address.
        secure: Its address with TLS.
        authority: The file with the certificate that vouches for it.
    """

    plain: str
    secure: str
    authority: str


@cache
def payloads(per_frame: int, channels: int) -> list[bytes]:
    """Make the payloads of an order, as JSON without its brackets.

    They hold quotes of a realistic size, about 120 bytes each, whose channels take turns.
    """
    quotes = [
        orjson.dumps(
            {
                "channel": f"/bench/{n % channels}/x",
                "data": {"symbol": "ACME", "price": 100 + n % 50 / 10, "volume": n, "side": "buy"},
            }
        )
        for n in range(max(per_frame, channels))
    ]
    pieces = range(0, len(quotes) - per_frame + 1, per_frame)
    return [b",".join(quotes[n : n + per_frame]) for n in pieces]


def frame(payload: bytes) -> bytes:
    """Make an unmasked WebSocket text frame (RFC 6455, 5.2)."""
    first = 0x81
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 1 << 16:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


@cache
def frames(per_frame: int, channels: int) -> list[bytes]:
    """Make the frames of an order."""
    return [frame(b"[%b]" % payload) for payload in payloads(per_frame, channels)]


class LongPoller:
    """The client that uses long-polling: what it is to be sent. One at a time, the latest."""

    def __init__(self) -> None:
        self.connected = False
        self.payloads: deque[bytes] = deque()
        self.ordered = asyncio.Event()

    def order(self, order: Order) -> None:
        """Have the next connects answered with messages."""
        found = cycle(payloads(order.per_frame, order.channels))
        self.payloads.extend(next(found) for _ in range(order.messages // order.per_frame))
        self.ordered.set()

    async def answer(self, messages: list[dict[str, Any]]) -> web.Response:
        """Answer a POST."""
        body = b""
        replies: list[bytes] = []
        for message in messages:
            if message["channel"] == PUSH:
                self.order(Order(**message["data"]))
            elif message["channel"] == "/meta/connect":
                # The first one is not held, nor what asks not to be, as Faye's client does where
                # other messages are in one payload with it: it may wait for their replies.
                if self.connected and message.get("advice", {}).get("timeout") != 0:
                    await self.ordered.wait()
                self.connected = True
                if self.payloads:
                    body = self.payloads.popleft() + b","
                if not self.payloads:
                    self.ordered.clear()
            replies.append(orjson.dumps(_reply(message)))
        return web.Response(
            body=b"[%b%b]" % (body, b",".join(replies)), content_type="application/json"
        )


def _reply(message: dict[str, Any]) -> dict[str, Any]:
    """Answer a message, always with yes."""
    reply = {"id": message.get("id"), "channel": message["channel"], "successful": True}
    if message["channel"] == "/meta/handshake":
        reply |= {"clientId": "x", "version": "1.0"}
        reply["supportedConnectionTypes"] = ["websocket", "long-polling"]
        reply["advice"] = {"reconnect": "retry", "interval": 0, "timeout": 300_000}
    if message["channel"] == "/meta/subscribe":
        reply["subscription"] = message["subscription"]
    return reply


async def _over_websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(max_msg_size=0)
    await socket.prepare(request)
    connects = 0
    tasks: list[asyncio.Task[None]] = []
    async for received in socket:
        replies: list[dict[str, Any]] = []
        for message in orjson.loads(received.data):
            if message["channel"] == "/meta/connect":
                connects += 1
                if connects > 1:
                    continue  # held for longer than a run takes
            if message["channel"] == PUSH:
                tasks.append(asyncio.create_task(_push(request, socket, Order(**message["data"]))))
            replies.append(_reply(message))
        if replies:
            await socket.send_str(orjson.dumps(replies).decode())
    for task in tasks:
        task.cancel()
    return socket


async def _push(request: web.Request, socket: web.WebSocketResponse, order: Order) -> None:
    transport = request.transport
    if transport is None:
        return
    if order.rate:
        await _push_at_rate(transport, order)
        return
    if order.compress:
        # Cannot be prepared: what is deflated refers to what was sent before.
        found = cycle(payloads(order.per_frame, order.channels))
        for _ in range(order.messages // order.per_frame):
            await socket.send_str(f"[{next(found).decode()}]")
        return
    prepared = frames(order.per_frame, order.channels)
    at_once = max(1, _BLOCK // len(prepared[0])) if order.coalesced else 1
    for block in _blocks(prepared, order.messages // order.per_frame, at_once):
        while transport.get_write_buffer_size() > _UNSENT:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(_TICK)
        transport.write(block)


def _blocks(prepared: list[bytes], count: int, at_once: int) -> Iterator[bytes]:
    """Give so many frames, several at a time."""
    endless = cycle(prepared)
    while count > 0:
        yield b"".join(next(endless) for _ in range(min(at_once, count)))
        count -= at_once


async def _push_at_rate(transport: asyncio.Transport, order: Order) -> None:
    """Send single messages that say when they were sent, by the clock all processes share."""
    begun = time.monotonic()
    sent = 0
    while sent < order.messages:
        due = min(order.messages, int((time.monotonic() - begun) * order.rate))
        for _ in range(sent, due):
            data = {"sent": time.monotonic_ns()}
            transport.write(frame(orjson.dumps([{"channel": "/bench/0/x", "data": data}])))
        sent = due
        await asyncio.sleep(_TICK)


async def _serve(certificates: str) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate: Any = authority.issue_cert("127.0.0.1")  # its types name another TLS library
    certificate.configure_cert(context)
    authority.cert_pem.write_to_path(f"{certificates}/authority.pem")
    poller = LongPoller()

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal poller
        if request.method != "POST":
            return await _over_websocket(request)
        messages = orjson.loads(await request.read())
        if messages[0]["channel"] == "/meta/handshake":
            poller = LongPoller()
        return await poller.answer(messages)

    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(json.dumps([port for _, port in runner.addresses]), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # ends when whoever started it does
    await runner.cleanup()


@contextmanager
def generator() -> Generator[Address]:
    """Run the process for as long as the context lasts. Gives its addresses."""
    with TemporaryDirectory() as certificates:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.generator", certificates],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None  # noqa: S101 - for the type checkers
        try:
            plain, secure = json.loads(process.stdout.readline())
            yield Address(
                f"http://127.0.0.1:{plain}/cometd",
                f"https://127.0.0.1:{secure}/cometd",
                f"{certificates}/authority.pem",
            )
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
