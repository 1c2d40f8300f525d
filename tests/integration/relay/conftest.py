from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.integration.relay.brokers import BROKERS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from tests.integration.relay.brokers import Broker


@pytest.fixture(params=BROKERS, scope="module")
def broker_of_the_module(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """A broker of each kind, for all tests of a module."""
    with BROKERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def broker(broker_of_the_module: Broker) -> Broker:
    """That of the module, up."""
    return broker_of_the_module.up()


@pytest_asyncio.fixture
async def everything_closed() -> AsyncGenerator[None]:
    """Wait until the tasks of a test have closed their connections."""
    yield
    left = [task for task in asyncio.all_tasks() if task.get_name() == "rx_cometd.relay.consume"]
    if left:
        async with asyncio.timeout(30):
            await asyncio.wait(left)
