from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.stores.servers import Server, run_postgres, run_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def redis_of_the_session() -> Iterator[tuple[Server, str]]:
    with run_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_of_the_session() -> Iterator[tuple[Server, str]]:
    with run_postgres() as server:
        yield server


def up(server: Server) -> None:
    """See that it runs, whatever became of the test before: one that failed may have left it."""
    if not server.running:
        server.start()


@pytest.fixture
def redis_server(redis_of_the_session: tuple[Server, str]) -> tuple[Server, str]:
    up(redis_of_the_session[0])
    return redis_of_the_session


@pytest.fixture
def postgres_server(postgres_of_the_session: tuple[Server, str]) -> tuple[Server, str]:
    up(postgres_of_the_session[0])
    return postgres_of_the_session
