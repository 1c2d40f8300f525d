"""Write every message to SQLite, several at a time, without stopping the event loop."""

import asyncio
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

from rx_cometd import Client, Event
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer

COUNT = 1000


class Archive:
    """Messages in a table."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.execute("CREATE TABLE messages (channel TEXT, data TEXT)")

    async def store(self, messages: list[Event]) -> int:
        """Store some messages in one transaction; gives how many."""
        return await asyncio.to_thread(self._store, messages)

    def _store(self, messages: list[Event]) -> int:
        rows = [(message["channel"], json.dumps(message["data"])) for message in messages]
        with self._connection:
            self._connection.executemany("INSERT INTO messages VALUES (?, ?)", rows)
        return len(rows)

    def count(self) -> Any:
        """Tell how many there are."""
        return self._connection.execute("SELECT count(*) FROM messages").fetchone()[0]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


async def publish(server: BayeuxServer) -> None:
    """Publish readings on the embedded server."""
    for number in range(COUNT):
        await server.publish(f"/sensor/{number % 10}", {"number": number})


async def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Archive(Path(directory) / "messages.sqlite")) as archive,
    ):
        async with BayeuxServer() as server, Client(server.url) as client:
            # One transaction at a time, of what has come in a tenth of a second. Batches that
            # come meanwhile wait: 100 at most, beyond which it would be an error.
            batches: Observable[list[Event]] = client.channel("/sensor/*").pipe(
                ops.buffer_with_time_or_count(timespan=0.1, count=100), ops.filter(bool)
            )
            stored = batches.pipe(
                cometd_ops.map_async(archive.store, max_concurrency=1),
                cometd_ops.to_async_iterable(),
            )
            async with aiter(stored) as counts:
                await server.until(lambda: server.subscribers("/sensor/0"))
                await publish(server)
                total = 0
                while total < COUNT:
                    total += await anext(counts)
                    print("stored", total)
        print("in the file:", archive.count())


if __name__ == "__main__":
    asyncio.run(main())
