"""A client on one event loop after another, on two at once, and on one that is over."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import Client, ClientInvalidOperation, ClientState, Overflow
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, data_of, subscribed

if TYPE_CHECKING:
    from collections.abc import Generator

    from reactivex import abc

    from rx_cometd import ConnectionType


@contextlib.contextmanager
def sockets_left_open() -> Generator[None]:
    """Allow what a loop that dies under a client leaves behind.

    Where the loop dies in the middle of a request, aiohttp cannot even close what it collects.
    """
    told, unraisable = sys.unraisablehook, "Event loop is closed"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        sys.unraisablehook = lambda it: None if str(it.exc_value) == unraisable else told(it)
        try:
            yield
            gc.collect()
        finally:
            sys.unraisablehook = told


async def listen(client: Client, server: BayeuxServer) -> abc.DisposableBase:
    subscription = client.channel("/a").subscribe()
    await subscribed(server, "/a")
    return subscription


def test_a_client_of_a_dead_loop_starts_afresh(unused_tcp_port: int) -> None:
    client = client_of(f"http://127.0.0.1:{unused_tcp_port}/cometd")

    async def first() -> abc.DisposableBase:
        async with BayeuxServer(port=unused_tcp_port) as server:
            await client.open()
            return await listen(client, server)

    async def second() -> list[Any]:
        async with BayeuxServer(port=unused_tcp_port) as server:
            with pytest.raises(ClientInvalidOperation, match="not open"):
                await client.publish("/a", 0)
            assert client.state is ClientState.DISCONNECTED
            seen = Recorder(client.channel("/a"))
            await subscribed(server, "/a")
            await client.open()
            await client.publish("/a", 1)
            await seen.count(1)
            await client.close()
            assert seen.completed
            return seen.data

    with sockets_left_open():
        left = asyncio.run(first())
        left.dispose()  # nothing is left to send it on
        assert asyncio.run(second()) == [1]


@BOTH
async def test_another_live_loop_is_told_what_to_do(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:

        async def elsewhere() -> None:
            with pytest.raises(ClientInvalidOperation, match="another event loop"):
                await client.publish("/a", 1)
            with pytest.raises(ClientInvalidOperation, match="another event loop"):
                client.channel("/a").subscribe()
            with pytest.raises(ClientInvalidOperation, match="another event loop"):
                client.channel("/a").pipe(ops.retry()).subscribe()  # does not try for ever
            with pytest.raises(ClientInvalidOperation, match="another event loop"):
                client.state_changes.subscribe()
            for refused in (client.open(), client.close(), client.receive(), client.drain()):
                with pytest.raises(ClientInvalidOperation, match="another event loop"):
                    await refused
            with pytest.raises(ClientInvalidOperation, match="another event loop"):
                aiter(client)

        await asyncio.to_thread(asyncio.run, elsewhere())
        assert client.state is ClientState.CONNECTED
        await client.publish("/a", 1)  # nothing elsewhere has changed it


async def test_closed_on_one_loop_and_opened_on_another() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        async with client:
            pass

        async def elsewhere() -> Any:
            async with client:
                await client.subscribe("/a")
                await client.publish("/a", 5)
                return data_of(await client.receive())

        assert await asyncio.to_thread(asyncio.run, elsewhere()) == 5


@BOTH
async def test_closing_and_opening_at_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        await asyncio.gather(client.close(), client.open())
        assert client.state is ClientState.CONNECTED
        assert not client.closed
        await client.publish("/a", 1)
        await client.close()
        with pytest.raises(ClientInvalidOperation):
            await asyncio.gather(client.open(), client.close())
        assert client.closed


@BOTH
async def test_subscribe_async_awaits_one_at_a_time(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen: list[str] = []
        done = asyncio.Event()

        async def work(message: Any) -> None:
            seen.append(f"begin {message['data']}")
            await asyncio.sleep(0)
            seen.append(f"end {message['data']}")

        with client.channel("/a").subscribe_async(work, on_completed=done.set):
            await subscribed(server, "/a")
            for number in range(2):
                await client.publish("/a", number)
            await client.close()
            await done.wait()
        assert seen == ["begin 0", "end 0", "begin 1", "end 1"]


async def test_subscribe_async_is_bounded_and_fails() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        failed: list[Exception] = []

        async def stick(_: Any) -> None:
            await asyncio.Event().wait()

        channel = client.channel("/a")
        channel.subscribe_async(
            stick, failed.append, max_pending_count=1, overflow=Overflow.DROP_NEWEST
        )
        await subscribed(server, "/a")
        for number in range(4):
            await client.publish("/a", number)
        assert (client.pending_count, client.statistics().drops) == (1, 2)
        with pytest.raises(TypeError, match="on_next"):
            channel.subscribe_async(5)  # type: ignore[arg-type]
        assert failed == []


@BOTH
def test_receiving_from_a_dead_loop_is_told_that_the_client_is_not_open(
    kind: ConnectionType, unused_tcp_port: int
) -> None:
    client = client_of(f"http://127.0.0.1:{unused_tcp_port}/cometd", kind)

    async def first() -> None:
        async with BayeuxServer(port=unused_tcp_port):
            await client.open()
            await client.subscribe("/a")
            waiting = asyncio.ensure_future(client.receive())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def second() -> Any:
        with pytest.raises(ClientInvalidOperation, match="not open"):
            await client.receive()
        assert [message async for message in client] == []
        async with BayeuxServer(port=unused_tcp_port), client:
            await client.subscribe("/a")
            await client.publish("/a", 1)
            return (await client.receive())["data"]

    with sockets_left_open():
        asyncio.run(first())
        assert asyncio.run(second()) == 1
