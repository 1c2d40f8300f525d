"""Every promise about slow consumers, kept on the embedded server and the Java one."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from rx_cometd import Client
from rx_cometd.extensions import ack
from tests.conformance.serving import MAX_INTERVAL, Pool, Server, make_server
from tests.integration.flow_control.feeding import Payloads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from tests.conformance.differences import Target

    StartServer = Callable[..., Awaitable[Server]]
    MakeClient = Callable[..., Client]


@pytest.fixture(scope="session")
def pool() -> Generator[Pool]:
    """The Java server that the tests share."""
    pool = Pool()
    yield pool
    asyncio.run(pool.stop())


@pytest_asyncio.fixture
async def server(target: Target, pool: Pool) -> AsyncGenerator[Server]:
    """A running server, which a test must leave as it found it."""
    if target.name != "embedded":
        yield await pool.server(target.name, "steady")
        return
    async with make_server(target.name) as embedded:
        yield embedded


@pytest_asyncio.fixture
async def start_server(target: Target) -> AsyncGenerator[StartServer]:
    """Starts servers that belong to the test alone: see `make_server` for the options."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Server:
            return await stack.enter_async_context(make_server(target.name, **options))

        yield start


@pytest.fixture
def payloads(target: Target) -> Payloads:
    """What the clients of `make_client` receive, payload by payload."""
    return Payloads(target.connection_type)


@pytest_asyncio.fixture
async def make_client(target: Target, payloads: Payloads) -> AsyncGenerator[MakeClient]:
    """Makes clients that speak the target's transport, and closes them.

    Over a WebSocket they have the ack extension, unless ``acknowledged=False``.
    """
    async with AsyncExitStack() as stack:

        def make(server: Server, *, acknowledged: bool = True, **options: Any) -> Client:
            extensions = [payloads.extension]
            if target.websocket and acknowledged:
                extensions.append(ack())
            defaults: dict[str, Any] = {
                "connection_types": target.connection_type,
                "extensions": extensions,
                # The servers do not tell their maxInterval unless asked to.
                "max_suspension": MAX_INTERVAL / 2,
            }
            client = Client(server.url, **{**defaults, **options})
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return f"/flow/{uuid.uuid4().hex}"
