"""Replay markers in a file of this machine."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from types import TracebackType
    from typing import Self

    from rx_cometd.extensions.replay_store import ReplayId

__all__ = ["SqliteStore"]

# The column of the marker has no type: SQLite keeps integers and texts as they are.
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS rx_cometd_replay (
        channel TEXT PRIMARY KEY NOT NULL,
        replay_id NOT NULL
    ) WITHOUT ROWID
"""
_LOAD = "SELECT replay_id FROM rx_cometd_replay WHERE channel = ?"
_SAVE = """
    INSERT INTO rx_cometd_replay (channel, replay_id) VALUES (?, ?)
    ON CONFLICT (channel) DO UPDATE SET replay_id = excluded.replay_id
    WHERE ?
       OR typeof(rx_cometd_replay.replay_id) <> 'integer'
       OR typeof(excluded.replay_id) <> 'integer'
       OR excluded.replay_id > rx_cometd_replay.replay_id
"""


class SqliteStore:
    """Markers in a SQLite database, safe against the process being killed at any moment.

    A marker is written before the next event is looked at, some tens of microseconds each:
    write-ahead log, no ``fsync`` at each commit. A killed process loses nothing that was saved;
    after a power failure the last markers may be missing, which means duplicates. Several
    processes may share the file.

    Args:
        path: The file; made, with its table, at the first use.

    Example:
        >>> with SqliteStore(":memory:") as store:
        ...     store.save("/event/Order__e", 82)
        ...     store.load("/event/Order__e")
        82
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def load(self, channel: str) -> ReplayId | None:
        """Give the marker of a channel, ``None`` if there is none.

        Raises:
            sqlite3.Error: The file cannot be read.
        """
        row: tuple[ReplayId] | None = self._open().execute(_LOAD, (channel,)).fetchone()
        return None if row is None else row[0]

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`.

        Raises:
            sqlite3.Error: The file cannot be written.
        """
        self._open().execute(_SAVE, (channel, replay_id, reset))

    def close(self) -> None:
        """Close the file. Using the store again opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection
