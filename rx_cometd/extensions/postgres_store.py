"""Replay markers in PostgreSQL, for several machines (``pip install rx-cometd[postgres]``)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from rx_cometd._flow.extras import how_to_install

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from psycopg import AsyncConnection, AsyncCursor, sql

    from rx_cometd.extensions.replay_store import ReplayId

__all__ = ["PostgresStore"]

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS {table} (
        channel text PRIMARY KEY,
        replay_id text NOT NULL,
        updated timestamptz NOT NULL DEFAULT now()
    )
"""
_LOAD: Final = "SELECT replay_id FROM {table} WHERE channel = %s"
# Markers are JSON: a text has quotes, so that what matches is an integer. CASE, because the
# operands of OR are evaluated in any order, and a text cannot be cast.
_SAVE: Final = """
    INSERT INTO {table} AS old (channel, replay_id) VALUES (%s, %s)
    ON CONFLICT (channel) DO UPDATE SET replay_id = excluded.replay_id, updated = now()
    WHERE CASE
        WHEN %s THEN true
        WHEN old.replay_id ~ '^-?[0-9]+$' AND excluded.replay_id ~ '^-?[0-9]+$'
            THEN excluded.replay_id::numeric > old.replay_id::numeric
        ELSE true
    END
"""


class PostgresStore:
    """Markers in a table of a PostgreSQL database.

    A marker moves in one conditional statement, so it only moves forward, whichever machine
    is first. The store opens a connection at its first use, and a new one if that is lost.

    Args:
        dsn: A connection string or URL, as accepted by libpq.
        table: The name of the table, which is made if there is none; it has the columns
            ``channel``, ``replay_id`` (JSON) and ``updated``.

    Raises:
        ImportError: The package ``psycopg`` is not installed.
    """

    def __init__(self, dsn: str, *, table: str = "rx_cometd_replay") -> None:
        try:
            from psycopg import sql  # noqa: PLC0415 - an extra
        except ImportError as error:
            text = f"PostgresStore needs the package psycopg: {how_to_install('postgres')}"
            raise ImportError(text) from error
        name = sql.Identifier(table)
        self._schema = sql.SQL(_SCHEMA).format(table=name)
        self._load = sql.SQL(_LOAD).format(table=name)
        self._save = sql.SQL(_SAVE).format(table=name)
        self._dsn = dsn
        self._table = table
        self._connection: AsyncConnection | None = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<PostgresStore {self._table}>"  # the DSN may hold a password

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def load(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel, ``None`` if there is none.

        Raises:
            psycopg.Error: The server cannot be reached, or refuses.
        """
        cursor = await self._execute(self._load, (channel,))
        row = await cursor.fetchone()
        return None if row is None else cast("ReplayId", json.loads(row[0]))

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`.

        Raises:
            psycopg.Error: The server cannot be reached, or refuses.
        """
        await self._execute(self._save, (channel, json.dumps(replay_id), reset))

    async def aclose(self) -> None:
        """Close the connection. Using the store again opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _execute(
        self, statement: sql.Composed, parameters: tuple[object, ...]
    ) -> AsyncCursor[tuple[str]]:
        """Execute a statement, once more if the connection turns out to have been lost.

        Both statements may be executed twice.
        """
        from psycopg import OperationalError  # noqa: PLC0415 - an extra

        connection = await self._open()
        try:
            return await connection.execute(statement, parameters)
        except OperationalError:
            if not connection.closed:
                raise
        return await (await self._open()).execute(statement, parameters)

    async def _open(self) -> AsyncConnection:
        from psycopg import AsyncConnection  # noqa: PLC0415 - an extra

        async with self._opening:
            if self._connection is None or self._connection.closed:
                connection = await AsyncConnection.connect(self._dsn, autocommit=True)
                try:
                    await self._make_table(connection)
                except BaseException:
                    await connection.close()
                    raise
                self._connection = connection
            return self._connection

    async def _make_table(self, connection: AsyncConnection) -> None:
        from psycopg import errors  # noqa: PLC0415 - an extra

        # IF NOT EXISTS does not hold between two that make it at the same time, and asks for
        # the right to make it even where it exists.
        with suppress(errors.UniqueViolation, errors.DuplicateTable, errors.InsufficientPrivilege):
            await connection.execute(self._schema)
