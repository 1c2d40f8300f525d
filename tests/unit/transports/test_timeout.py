"""The timeout that progress moves and that a stalled loop does not use up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import threading
import time
from typing import Any

import pytest
from aiohttp.http import WS_KEY

from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd._transports.timeout import timeout_after

from .echo import http_session, options

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_in_time() -> None:
    async with timeout_after(5.0):
        await asyncio.sleep(0)


async def test_too_late() -> None:
    with pytest.raises(TimeoutError):
        async with timeout_after(0.02):
            await asyncio.Event().wait()


async def test_progress_moves_it() -> None:
    began = time.monotonic()

    async def work() -> None:
        async with timeout_after(0.1) as timeout:
            for _ in range(5):
                await asyncio.sleep(0.05)  # the pace of the progress
                timeout.restart()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert time.monotonic() - began >= 0.3


async def test_other_errors_and_cancellation_pass() -> None:
    with pytest.raises(LookupError):
        async with timeout_after(0.02):
            raise LookupError
    waiting = asyncio.ensure_future(_limited())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def _limited() -> None:
    async with timeout_after(5.0):
        await asyncio.Event().wait()


async def test_a_stall_is_excused_once() -> None:
    """After the stall there is as much time again, at most the timeout, and then it is over."""
    began = time.monotonic()

    async def work() -> None:
        async with timeout_after(0.1):
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251 - the stall
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert 0.4 <= time.monotonic() - began < 2.0


@pytest.mark.parametrize("upgrade", [False, True])
async def test_an_answer_that_came_during_a_stall_is_seen(upgrade: bool) -> None:
    """The loop stands still for much longer than the timeout; the answer was there all the time."""
    asked, answered = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        with connection:
            request = connection.recv(65536)
            asked.set()
            time.sleep(0.02)  # the loop is standing still by then
            connection.sendall(_answer(request))
            answered.set()
            while connection.recv(65536):
                pass

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/cometd"
    try:
        async with http_session() as http:
            socket_transport = WebSocketTransport(http, options(url))
            exchange: asyncio.Task[Any]
            if upgrade:
                exchange = asyncio.ensure_future(socket_transport.open({}, 0.2))
            else:
                transport = LongPollingTransport(http, options(url))
                exchange = asyncio.ensure_future(transport.exchange("[]", {}, 0.2))
            await asyncio.to_thread(asked.wait, 5)
            assert answered.wait(5)
            time.sleep(0.5)  # noqa: ASYNC251 - the stall
            await exchange
            await socket_transport.close()
    finally:
        await asyncio.to_thread(serving.join, 5)
        listener.close()


def _answer(request: bytes) -> bytes:
    if b"Upgrade: websocket" not in request:
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    lines = request.decode().split("\r\n")
    (key,) = (line.split(": ")[1] for line in lines if line.startswith("Sec-WebSocket-Key"))
    accept = base64.b64encode(hashlib.sha1(key.encode() + WS_KEY).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()
