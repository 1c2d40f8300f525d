"""What every replay store must do, and what is particular to each."""

from __future__ import annotations

import asyncio
import inspect
import json
import sqlite3
import sys
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
import pytest
import redis.asyncio
from psycopg.sql import SQL, Identifier

from rx_cometd.extensions import (
    MemoryStore,
    PostgresStore,
    RedisStore,
    ReplayOption,
    SqliteStore,
)
from rx_cometd.extensions.marker_writer import MarkerWriter
from rx_cometd.extensions.replay_store import StoreLockedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from pathlib import Path

    from rx_cometd.extensions import ReplayId
    from tests.integration.stores.servers import Server

    Store: TypeAlias = MemoryStore | SqliteStore | RedisStore | PostgresStore

CHANNEL = "/event/Order__e"


@pytest.fixture
def name() -> str:
    """What no test before has written to, not even this one in an attempt that failed."""
    return f"t{uuid.uuid4().hex}"


async def load(store: Store, channel: str = CHANNEL) -> ReplayId | None:
    found = store.load(channel)
    return await found if inspect.isawaitable(found) else found


async def save(
    store: Store, replay_id: ReplayId, channel: str = CHANNEL, *, reset: bool = False
) -> None:
    saved = store.save(channel, replay_id, reset=reset)
    if inspect.isawaitable(saved):
        await saved


class Stores:
    """Opens stores onto the same data, as several machines would."""

    def __init__(self, kind: str, place: str) -> None:
        self.kind = kind
        self._place = place
        self._data = uuid.uuid4().hex
        self._memory = MemoryStore()
        self._opened: list[Store] = []

    def open(self) -> Store:
        store = self._make()
        self._opened.append(store)
        return store

    def _make(self) -> Store:
        match self.kind:
            case "memory":
                return self._memory
            case "sqlite":
                return SqliteStore(self._place)
            case "redis":
                return RedisStore(self._place, key=f"test:{self._data}")
            case _:
                return PostgresStore(self._place, table=f"test {self._data}")

    async def close(self) -> None:
        for store in self._opened:
            if isinstance(store, SqliteStore):
                store.close()
            elif not isinstance(store, MemoryStore):
                await store.aclose()


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    if request.param in ("redis", "postgres"):
        place = request.getfixturevalue(f"{request.param}_server")[1]
    else:
        place = str(tmp_path / "markers.db")
    opened = Stores(request.param, place)
    yield opened
    await opened.close()


async def test_knows_nothing_at_first(stores: Stores) -> None:
    assert await load(stores.open()) is None


@pytest.mark.parametrize(
    "replay_id", [0, 82, 2**62, "opaque", "82", "", "ünï ' \" \n", ReplayOption.ALL_EVENTS]
)
async def test_gives_what_was_saved(stores: Stores, replay_id: ReplayId) -> None:
    store = stores.open()
    await save(store, replay_id)
    loaded = await load(store)
    assert loaded == replay_id
    assert isinstance(loaded, str) == isinstance(replay_id, str)


async def test_channels_have_markers_of_their_own(stores: Stores) -> None:
    store = stores.open()
    await save(store, 1, "/a")
    await save(store, 2, "/b'; DROP TABLE x; --")
    assert await load(store, "/a") == 1
    assert await load(store, "/b'; DROP TABLE x; --") == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [(82, 81), (82, 82), (100, 99), (82, -1), (82, -2), (2**62, 2**62 - 1)],
)
async def test_integers_move_forward_only_from_any_machine(
    stores: Stores, old: int, new: int
) -> None:
    one, two = stores.open(), stores.open()
    await save(one, old)
    await save(two, new)
    assert await load(one) == await load(two) == old


@pytest.mark.parametrize(
    ("old", "new"),
    [(81, 82), (99, 100), (-2, 1), (-1, 0), (2**62 - 1, 2**62), ("b", "a"), ("b", 1), (9, "a")],
)
async def test_what_may_be_ahead_moves(stores: Stores, old: ReplayId, new: ReplayId) -> None:
    one, two = stores.open(), stores.open()
    await save(one, old)
    await save(two, new)
    assert await load(one) == await load(two) == new


async def test_reset_moves_anywhere(stores: Stores) -> None:
    store = stores.open()
    await save(store, 82)
    await save(store, ReplayOption.ALL_EVENTS, reset=True)
    assert await load(store) == -2
    await save(store, 5)
    assert await load(store) == 5


async def test_another_process_finds_what_was_saved(stores: Stores) -> None:
    await save(stores.open(), 82)
    await stores.close()
    assert await load(stores.open()) == 82


async def test_machines_at_the_same_time_end_at_the_furthest(stores: Stores) -> None:
    handles = [stores.open() for _ in range(4)]
    # The first use makes the table: all of them at once.
    await asyncio.gather(
        *(save(handles[i % 4], replay_id) for i, replay_id in enumerate(range(40, 0, -1)))
    )
    assert await load(handles[0]) == 40


async def test_sqlite_keeps_its_file_in_write_ahead_mode(tmp_path: Path) -> None:
    path = tmp_path / "markers.db"
    with SqliteStore(path) as store:
        assert not path.exists()
        store.save(CHANNEL, 82)
        with SqliteStore(path) as other:
            assert other.load(CHANNEL) == 82
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_sqlite_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    path.write_bytes(b"this is no database, it is a text" * 100)
    with SqliteStore(path) as store, pytest.raises(sqlite3.DatabaseError):
        store.load(CHANNEL)


@contextmanager
def locked(path: Path) -> Generator[sqlite3.Connection]:
    """Hold the lock of a file, as another process does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection
        if connection.in_transaction:
            connection.execute("ROLLBACK")


async def test_sqlite_does_not_wait_for_a_lock_where_it_must_not(tmp_path: Path) -> None:
    path = tmp_path / "markers.db"
    with SqliteStore(path) as store:
        store.save_at_once(CHANNEL, 82)
        assert store.load_at_once(CHANNEL) == 82
        with locked(path), pytest.raises(StoreLockedError, match=r"markers\.db"):
            store.save_at_once(CHANNEL, 83)
        assert store.load_at_once(CHANNEL) == 82


async def test_a_file_that_is_locked_when_it_is_first_used(tmp_path: Path) -> None:
    path = tmp_path / "markers.db"
    sqlite3.connect(path).close()
    with SqliteStore(path) as store:
        with locked(path), pytest.raises(StoreLockedError):
            store.load_at_once(CHANNEL)
        assert store.load_at_once(CHANNEL) is None


async def test_a_locked_file_does_not_block_the_event_loop(tmp_path: Path) -> None:
    """Another process holds the lock while markers are saved and loaded: the loop goes on."""
    path = tmp_path / "markers.db"
    with SqliteStore(path) as store:
        writer = MarkerWriter(store)
        writer.save(CHANNEL, 1)
        with locked(path) as other:
            for replay_id in range(2, 100):
                writer.save(CHANNEL, replay_id)
            flushing = asyncio.create_task(writer.flush())
            loading = asyncio.create_task(writer.load_async("/other"))
            for _ in range(100):
                await asyncio.sleep(0)  # turns of the loop, none of which waits for the lock
            # Nothing counts as saved that is not committed.
            assert not flushing.done()
            assert writer.load(CHANNEL) == 99
            other.execute("COMMIT")
            await flushing
            await loading
        with SqliteStore(path) as again:
            assert again.load(CHANNEL) == 99
        writer.save(CHANNEL, 100)
        assert store.load_at_once(CHANNEL) == 100


async def test_redis_takes_a_client_and_leaves_it_open(
    redis_server: tuple[Server, str], name: str
) -> None:
    client: Any = redis.asyncio.Redis
    client = client.from_url(redis_server[1], decode_responses=True)
    async with RedisStore(client, key=name) as store:
        await store.save(CHANNEL, 82)
        assert await store.load(CHANNEL) == 82
    assert json.loads(await client.hget(name, CHANNEL)) == 82
    await client.aclose()


async def test_redis_goes_on_after_a_restart(redis_server: tuple[Server, str], name: str) -> None:
    server, url = redis_server
    async with RedisStore(url, key=name) as store:
        await store.save(CHANNEL, 82)
        server.stop()
        with pytest.raises(redis.RedisError):
            await store.load(CHANNEL)
        server.start()
        assert await store.load(CHANNEL) == 82
        await store.save(CHANNEL, 83)
        assert await store.load(CHANNEL) == 83


async def test_postgres_goes_on_after_a_restart(
    postgres_server: tuple[Server, str], name: str
) -> None:
    server, dsn = postgres_server
    async with PostgresStore(dsn, table=name) as store:
        await store.save(CHANNEL, 82)
        server.stop()
        server.start()
        # The connection is lost, and nobody has noticed.
        assert await store.load(CHANNEL) == 82
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            await store.save(CHANNEL, 83)
        server.start()
        await store.save(CHANNEL, 84)
        assert await store.load(CHANNEL) == 84


async def test_postgres_errors_other_than_a_lost_connection_are_told(
    postgres_server: tuple[Server, str], name: str
) -> None:
    async with PostgresStore(postgres_server[1], table=name) as store:
        await store.save(CHANNEL, 1)
        async with await psycopg.AsyncConnection.connect(postgres_server[1]) as blocker:
            await blocker.execute(SQL("LOCK TABLE {}").format(Identifier(name)))
            saving = asyncio.create_task(store.save(CHANNEL, 2))
            async with await psycopg.AsyncConnection.connect(
                postgres_server[1], autocommit=True
            ) as other:
                await cancel_waiting(other)
            with pytest.raises(psycopg.errors.QueryCanceled):
                await saving
        assert await store.load(CHANNEL) == 1


async def cancel_waiting(connection: psycopg.AsyncConnection) -> None:
    """Cancel the statement that waits for a lock, once there is one."""
    cancelled = None
    while not cancelled:
        cursor = await connection.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        )
        cancelled = await cursor.fetchone()


async def test_postgres_does_with_a_table_that_it_may_not_make(
    postgres_server: tuple[Server, str], name: str
) -> None:
    dsn, poor = postgres_server[1], f"{name}_poor"
    async with PostgresStore(dsn, table=name) as store:
        await store.save(CHANNEL, 82)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for statement in (
            "CREATE ROLE {poor} LOGIN",
            "REVOKE CREATE ON SCHEMA public FROM public, {poor}",
            "GRANT SELECT, INSERT, UPDATE ON {table} TO {poor}",
        ):
            names = {"poor": Identifier(poor), "table": Identifier(name)}
            await connection.execute(SQL(statement).format(**names))
    dsn = dsn.replace("user=rx", f"user={poor}")
    async with PostgresStore(dsn, table=name) as store:
        await store.save(CHANNEL, 83)
        assert await store.load(CHANNEL) == 83
    async with PostgresStore(dsn, table=f"{name}_missing") as store:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await store.load(CHANNEL)


async def test_postgres_leaves_no_connection_where_the_table_cannot_be_made(
    postgres_server: tuple[Server, str],
) -> None:
    async with PostgresStore(postgres_server[1], table="") as store:
        with pytest.raises(psycopg.errors.SyntaxError):
            await store.load(CHANNEL)


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("redis.asyncio", lambda: RedisStore("redis://127.0.0.1")),
        ("psycopg", lambda: PostgresStore("host=127.0.0.1")),
    ],
)
def test_a_missing_package_is_named(
    package: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'rx-cometd\[(redis|postgres)\]'"):
        make()


def test_shows_no_password() -> None:
    assert repr(RedisStore("redis://me:6e3b@127.0.0.1")) == "<RedisStore rx_cometd:replay>"
    shown = repr(PostgresStore("host=127.0.0.1 password=6e3b"))
    assert shown == "<PostgresStore rx_cometd_replay>"
