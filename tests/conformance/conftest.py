"""Every scenario runs against every server that it fits, over each of its transports."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from rx_cometd import Client
from rx_cometd.testing import FaultProxy
from tests.conformance.differences import Target, targets
from tests.conformance.serving import ROLES, Pool, Role, Server, make_server
from tests.servers import requires

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator

    StartServer = Callable[..., Awaitable[Server]]
    StartProxy = Callable[[Server], Awaitable[FaultProxy]]
    MakeClient = Callable[..., Client]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*facts): run against servers with these Differences only"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "target" not in metafunc.fixturenames:
        return
    needs = [mark.args for mark in metafunc.definition.iter_markers("needs")]
    found = targets(tuple(itertools.chain.from_iterable(needs)))
    parameters = [
        pytest.param(t, id=str(t), marks=[] if t.name == "embedded" else [requires(t.name)])
        for t in found
    ]
    metafunc.parametrize("target", parameters)


@pytest.fixture(scope="session")
def pool() -> Generator[Pool]:
    """The real servers that tests share."""
    pool = Pool()
    yield pool
    asyncio.run(pool.stop())


@pytest_asyncio.fixture
async def server(target: Target, pool: Pool) -> AsyncGenerator[Server]:
    """A running server, which a test must leave as it found it."""
    async with _serving(pool, target, "steady") as server:
        yield server


@pytest_asyncio.fixture
async def own_server(target: Target, pool: Pool) -> AsyncGenerator[Server]:
    """A server that the test may kill, pause and restart."""
    async with _serving(pool, target, "victim") as server:
        yield server


@pytest_asyncio.fixture
async def hasty_server(target: Target, pool: Pool) -> AsyncGenerator[Server]:
    """A server that forgets sessions half a second after their last connect."""
    async with _serving(pool, target, "hasty") as server:
        yield server


@asynccontextmanager
async def _serving(pool: Pool, target: Target, role: Role) -> AsyncGenerator[Server]:
    if target.name == "embedded":
        async with make_server(target.name, **ROLES[role]) as embedded:
            yield embedded
    else:
        yield await pool.server(target.name, role)


@pytest_asyncio.fixture
async def start_server(target: Target) -> AsyncGenerator[StartServer]:
    """Starts servers that belong to the test alone: see `make_server` for the options."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> Server:
            return await stack.enter_async_context(make_server(target.name, **options))

        yield start


@pytest_asyncio.fixture
async def start_proxy() -> AsyncGenerator[StartProxy]:
    """Puts a proxy in front of a server."""
    async with AsyncExitStack() as stack:

        async def start(server: Server) -> FaultProxy:
            return await stack.enter_async_context(FaultProxy(server.url))

        yield start


@pytest_asyncio.fixture
async def make_client(target: Target) -> AsyncGenerator[MakeClient]:
    """Makes clients that speak the target's transport, and closes them."""
    async with AsyncExitStack() as stack:

        def make(server: Server | FaultProxy, **options: Any) -> Client:
            defaults: dict[str, Any] = {
                "connection_types": target.connection_type,
                "backoff": quick_backoff,
                "connection_timeout": 60.0,
            }
            client = Client(server.url, **{**defaults, **options})
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def channel() -> str:
    """A channel that no other test uses."""
    return f"/test/{uuid.uuid4().hex}"


def quick_backoff() -> Iterator[float]:
    """Delays that are never long, and never none."""
    return itertools.repeat(0.05)
