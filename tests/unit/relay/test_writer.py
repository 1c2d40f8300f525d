from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from rx_cometd.relay import Counts, Record
from rx_cometd.relay.writer import Writer
from tests.unit.relay.notebook import Notebook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from rx_cometd.extensions import ReplayId

pytestmark = pytest.mark.usefixtures("nothing_left")


def record(replay_id: ReplayId | None, channel: str = "/a", value: bytes = b"1") -> Record:
    return Record(f"cometd{channel}", channel, replay_id, None, {}, value)


class Written:
    """A writer at work, and the broker it writes to."""

    def __init__(self, notebook: Notebook, markers: Mapping[str, ReplayId]) -> None:
        self.notebook = notebook
        self.counts = Counts()
        self.writer = Writer(notebook, markers, dead_letter="dead", max_batch=3, counts=self.counts)

    def ids(self) -> list[ReplayId | None]:
        return [record.replay_id for record in self.notebook.records]


@asynccontextmanager
async def writing(markers: Mapping[str, ReplayId] | None = None) -> AsyncGenerator[Written]:
    written = Written(Notebook(), markers or {})
    running = asyncio.create_task(written.writer.run())
    try:
        yield written
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    async with writing() as written:
        held = written.notebook.held = asyncio.Event()
        futures = [written.writer.write(record(1))]
        await asyncio.sleep(0)
        futures += [written.writer.write(record(number)) for number in range(2, 7)]
        await asyncio.sleep(0)
        assert not any(future.done() for future in futures)
        held.set()
        await asyncio.gather(*futures)
        sizes = [len(batch.records) for batch in written.notebook.batches]
        assert sum(sizes) == 6
        assert max(sizes) == 3
        assert written.ids() == [1, 2, 3, 4, 5, 6]
        assert written.counts.written == 6


async def test_the_markers_are_those_of_the_last_record_of_each_channel() -> None:
    async with writing() as written:
        await asyncio.gather(
            *(written.writer.write(r) for r in (record(4), record(9, "/b"), record(5)))
        )
        assert written.notebook.kept == {"/a": 5, "/b": 9}


async def test_a_broker_that_is_away_is_asked_again_with_the_same_batch() -> None:
    async with writing() as written:
        written.notebook.away = 2
        await asyncio.gather(written.writer.write(record(1)), written.writer.write(record(2)))
        assert written.ids() == [1, 2]
        assert written.counts.outages == 1
        assert written.counts.available


async def test_what_comes_again_is_written_once() -> None:
    async with writing({"/a": 2}) as written:
        ids = (1, 2, 3, 4, 3, 4, 5)
        await asyncio.gather(*(written.writer.write(record(number)) for number in ids))
        assert written.ids() == [3, 4, 5]
        assert written.counts.repeated == 4


async def test_what_comes_again_is_done_only_when_the_first_one_is() -> None:
    async with writing() as written:
        held = written.notebook.held = asyncio.Event()
        first = written.writer.write(record(1))
        again = written.writer.write(record(1))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not again.done()
        held.set()
        await asyncio.gather(first, again)


async def test_numbers_that_begin_anew_are_written() -> None:
    async with writing({"/a": 100}) as written:
        written.writer.reset("/a")
        await written.writer.write(record(1))
        assert written.ids() == [1]


async def test_opaque_ids_and_none_cannot_be_compared() -> None:
    async with writing() as written:
        for replay_id in ("b", "a", None, None):
            await written.writer.write(record(replay_id))
        assert written.ids() == ["b", "a", None, None]


async def test_a_refused_record_becomes_a_dead_letter_and_the_others_are_written() -> None:
    async with writing() as written:
        written.notebook.refuses = lambda record: record.value == b"poison"
        values = (b"1", b"poison", b"3")
        futures = [written.writer.write(record(n, value=v)) for n, v in enumerate(values)]
        await asyncio.gather(*futures)
        assert [r.subject for r in written.notebook.records] == ["cometd/a", "dead", "cometd/a"]
        told = json.loads(written.notebook.records[1].value)
        assert told == {"reason": "too large", "subject": "cometd/a", "bytes": 6, "head": "poison"}
        assert written.notebook.kept == {"/a": 2}
        assert (written.counts.refused, written.counts.written) == (1, 2)


async def test_a_dead_letter_that_is_refused_does_not_stop_the_stream() -> None:
    async with writing() as written:
        written.notebook.refuses = lambda record: record.replay_id == 1
        await asyncio.gather(written.writer.write(record(1)), written.writer.write(record(2)))
        assert written.ids() == [2]
        assert written.notebook.kept == {"/a": 2}


async def test_who_waits_may_go_away() -> None:
    async with writing() as written:
        written.writer.write(record(1)).cancel()
        await written.writer.write(record(2))
        assert written.ids() == [1, 2]
