from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.stores.servers import Server, run_postgres, run_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def redis_server() -> Iterator[tuple[Server, str]]:
    with run_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[Server, str]]:
    with run_postgres() as server:
        yield server
