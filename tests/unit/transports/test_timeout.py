"""The timeout that progress moves and that a stalled loop does not use up."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp.http import WS_KEY

from rx_cometd._transports import LongPollingTransport, WebSocketTransport
from rx_cometd._transports.timeout import timeout_after

from .echo import http_session, options

if TYPE_CHECKING:
    from tests.unit.transports.clock import Clock

pytestmark = pytest.mark.usefixtures("nothing_left")


async def test_in_time() -> None:
    async with timeout_after(5.0):
        await asyncio.sleep(0)


async def test_too_late() -> None:
    with pytest.raises(TimeoutError):
        async with timeout_after(0.02):
            await asyncio.Event().wait()


@pytest.mark.virtual_time
async def test_progress_moves_it() -> None:
    async def work() -> None:
        async with timeout_after(10) as timeout:
            for _ in range(5):
                await asyncio.sleep(6)  # the pace of the progress
                timeout.restart()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert asyncio.get_running_loop().time() == pytest.approx(5 * 6 + 10)


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


@pytest.mark.virtual_time
@pytest.mark.parametrize(("stall", "over"), [(15, 20), (30, 40)])
async def test_a_stall_is_excused_once(clock: Clock, stall: float, over: float) -> None:
    """After the stall there is as much time again, at most the timeout, and then it is over."""

    async def work() -> None:
        async with timeout_after(10):
            await asyncio.sleep(0)
            clock.advance(stall)
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await work()
    assert clock.time() == pytest.approx(over)


@pytest.mark.parametrize("upgrade", [False, True])
async def test_an_answer_that_came_during_a_stall_is_seen(upgrade: bool, clock: Clock) -> None:
    """The loop stands still for much longer than the timeout; the answer was there all the time."""
    asked, standing, answered = threading.Event(), threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(30)
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            asked.set()
            standing.wait(30)
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
                exchange = asyncio.ensure_future(socket_transport.open({}, 60.0))
            else:
                transport = LongPollingTransport(http, options(url))
                exchange = asyncio.ensure_future(transport.exchange("[]", {}, 60.0))
            assert await asyncio.to_thread(asked.wait, 30)
            standing.set()
            assert answered.wait(30)  # by then the loop is standing still
            clock.advance(150)
            await exchange
            await socket_transport.close()
    finally:
        standing.set()
        await asyncio.to_thread(serving.join, 30)
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
