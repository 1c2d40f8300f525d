"""The long-polling transport: one HTTP request per payload."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from rx_cometd import (
    ProtocolError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd._transports import LongPollingTransport, Received

from .echo import http_session, options, serving

if TYPE_CHECKING:
    from rx_cometd._transports import TransportOptions

pytestmark = pytest.mark.usefixtures("nothing_left")


async def exchange(
    made: TransportOptions,
    data: str | bytes = "[]",
    headers: dict[str, str] | None = None,
    timeout: float = 2.0,
) -> Received:
    async with http_session() as http:
        transport = LongPollingTransport(http, made)
        return await transport.exchange(data, headers or {}, timeout)


async def echo(request: web.Request) -> web.Response:
    kept = {"X-Type": request.headers["Content-Type"], "X-Method": request.method}
    kept["X-Own"] = request.headers.get("X-Own", "")
    return web.Response(body=await request.read(), headers=kept)


@pytest.mark.parametrize("data", ['["ü"]', '["ü"]'.encode(), b"[]" * 1_000_000])
async def test_an_exchange(data: str | bytes) -> None:
    async with serving(echo) as url:
        received = await exchange(options(url, max_message_size=10**9), data, {"X-Own": "1"})
        assert received.data == (data.encode() if isinstance(data, str) else data)
        assert received.headers is not None
        assert received.headers["x-type"] == "application/json;charset=UTF-8"
        assert (received.headers["X-Method"], received.headers["X-Own"]) == ("POST", "1")


async def test_ws_addresses_are_http_here() -> None:
    async with serving(echo) as url:
        received = await exchange(options(url.replace("http:", "ws:")), b"[1]")
        assert received.data == b"[1]"


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 500, 503])
async def test_only_200_is_a_success(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="" if status == 204 else "[]")

    async with serving(answer) as url:
        with pytest.raises(TransportError) as caught:
            await exchange(options(url))
        assert caught.value.http_status == status
        assert str(status) in str(caught.value)


async def test_an_empty_response_is_a_failure() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with serving(answer) as url:
        with pytest.raises(TransportError, match="empty"):
            await exchange(options(url))


@pytest.mark.parametrize("size", [100, 101])
async def test_a_response_that_is_too_large(size: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * size)

    async with serving(answer) as url:
        made = options(url, max_message_size=100)
        if size <= 100:
            assert len((await exchange(made)).data) == 100
        else:
            with pytest.raises(ProtocolError, match="larger than 100 bytes"):
                await exchange(made)


async def test_a_response_without_end() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        except ConnectionError:
            return response

    async with serving(answer) as url:
        with pytest.raises(ProtocolError):
            await exchange(options(url, max_message_size=1_000_000))


async def test_a_response_in_pieces() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"[", b"1,", b"2]"):
            await response.write(piece)
            await asyncio.sleep(0.005)
        return response

    async with serving(answer) as url:
        assert (await exchange(options(url))).data == b"[1,2]"


@pytest.mark.parametrize("begun", [False, True])
async def test_a_late_response(begun: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if begun:
            await response.prepare(request)
            await response.write(b"[")
        await asyncio.sleep(60)
        return response

    async with serving(answer) as url:
        with pytest.raises(TransportTimeoutError):
            await exchange(options(url), timeout=0.05)


async def test_a_connection_that_is_cut() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(answer) as url:
        with pytest.raises(TransportConnectionClosed):
            await exchange(options(url))


async def test_a_body_that_is_cut() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"[")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(answer) as url:
        with pytest.raises(TransportError):
            await exchange(options(url))


async def test_nobody_there() -> None:
    async with serving(echo) as url:
        pass
    with pytest.raises(TransportError) as caught:
        await exchange(options(url))
    assert caught.value.http_status is None
    assert caught.value.__cause__ is not None


async def test_compressed_responses() -> None:
    async def answer(_: web.Request) -> web.Response:
        response = web.Response(body=b"[1]" * 1000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(answer) as url:
        assert (await exchange(options(url))).data == b"[1]" * 1000
        with pytest.raises(ProtocolError):
            await exchange(options(url, max_message_size=2000))
