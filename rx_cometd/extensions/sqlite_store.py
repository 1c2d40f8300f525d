"""Replay markers in a file of this machine."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rx_cometd.extensions.replay_store import StoreLockedError

if TYPE_CHECKING:
    import os
    from collections.abc import Generator
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


#: Seconds to wait for a lock that another process holds.
_LOCK_TIMEOUT: Final = 10.0
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class SqliteStore:
    """Markers in a SQLite database, safe against the process being killed at any moment.

    A marker is written before the next event is looked at, some tens of microseconds each:
    write-ahead log, no ``fsync`` at each commit. A killed process loses nothing that was saved;
    after a power failure the last markers may be missing, which means duplicates. Several
    processes may share the file. While one of them holds it locked, `replay` keeps receiving and
    writes its markers in a thread; `load` and `save` wait for the lock, 10 s at most.

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
        #: Held by the thread that uses the connection.
        self._using = threading.Lock()

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
        """Return the marker of a channel, ``None`` if there is none.

        Raises:
            sqlite3.Error: The file cannot be read, or is locked for longer than 10 s.
        """
        with self._using:
            return self._load(channel, _LOCK_TIMEOUT)

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel; see `ReplayStore.save`.

        Raises:
            sqlite3.Error: The file cannot be written, or is locked for longer than 10 s.
        """
        with self._using:
            self._execute(_SAVE, (channel, replay_id, reset), _LOCK_TIMEOUT)

    def load_at_once(self, channel: str) -> ReplayId | None:
        """Return the marker of a channel without waiting for a lock; see `LockableStore`.

        Raises:
            StoreLockedError: Another process, or another thread, has the file locked.
            sqlite3.Error: The file cannot be read.
        """
        with self._at_once():
            return self._load(channel, 0.0)

    def save_at_once(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel without waiting for a lock; see `LockableStore`.

        Raises:
            StoreLockedError: Another process, or another thread, has the file locked.
            sqlite3.Error: The file cannot be written.
        """
        with self._at_once():
            self._execute(_SAVE, (channel, replay_id, reset), 0.0)

    def close(self) -> None:
        """Close the file. Using the store again opens it again."""
        with self._using:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _at_once(self) -> Generator[None]:
        if not self._using.acquire(blocking=False):
            raise StoreLockedError(f"another thread is using {self._path}")
        try:
            yield
        except sqlite3.OperationalError as error:
            # The low byte is the error, what is above it says more.
            if error.sqlite_errorcode & 0xFF in _LOCKED:
                raise StoreLockedError(f"another process has locked {self._path}") from error
            raise
        finally:
            self._using.release()

    def _load(self, channel: str, timeout: float) -> ReplayId | None:
        row: tuple[ReplayId] | None = self._execute(_LOAD, (channel,), timeout).fetchone()
        return None if row is None else row[0]

    def _execute(
        self, statement: str, parameters: tuple[object, ...], timeout: float
    ) -> sqlite3.Cursor:
        connection = self._open(timeout)
        connection.execute(f"PRAGMA busy_timeout = {timeout * 1000:.0f}")
        return connection.execute(statement, parameters)

    def _open(self, timeout: float) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(
                self._path,
                timeout=timeout,
                isolation_level=None,
                check_same_thread=False,  # one at a time: see _using
            )
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection
