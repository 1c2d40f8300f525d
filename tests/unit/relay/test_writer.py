from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from rx_cometd import Overflow
from rx_cometd._flow.delivery import Delivery
from rx_cometd.relay import Counts, Record
from rx_cometd.relay.waiting import Waiting
from rx_cometd.relay.writer import Writer
from tests.unit.relay.notebook import Notebook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from rx_cometd.extensions import ReplayId
    from rx_cometd.messages import Event

pytestmark = pytest.mark.usefixtures("nothing_left")


def record_of(event: Event, came: float) -> Record:
    channel = event["channel"]
    replay_id, value = event["data"]
    return Record(f"cometd{channel}", channel, replay_id, None, {}, value)


class Written:
    """A writer at work, what waits for it, and the broker it writes to."""

    def __init__(self, notebook: Notebook, markers: Mapping[str, ReplayId], sources: int) -> None:
        self.notebook = notebook
        self.counts = Counts()
        self.writer = Writer(notebook, markers, dead_letter="dead", max_batch=3, counts=self.counts)
        self.sources = [
            Waiting(record_of, self.writer.arrived, max_pending_count=100, overflow=Overflow.ERROR)
            for _ in range(sources)
        ]
        self.writer.sources.extend(self.sources)
        #: The replay ids of what was processed, in that order.
        self.processed: list[ReplayId | None] = []

    def arrive(
        self, *ids: ReplayId | None, channel: str = "/a", value: bytes = b"1", source: int = 0
    ) -> None:
        for replay_id in ids:
            event: Any = {"channel": channel, "data": (replay_id, value)}
            with Delivery(partial(self.processed.append, replay_id)):
                self.sources[source].offer(cast("Event", event))

    async def all_written(self) -> None:
        async with asyncio.timeout(30):
            for source in self.sources:
                await source.written()

    def ids(self) -> list[ReplayId | None]:
        return [record.replay_id for record in self.notebook.records]


@asynccontextmanager
async def writing(
    markers: Mapping[str, ReplayId] | None = None, *, sources: int = 1
) -> AsyncGenerator[Written]:
    written = Written(Notebook(), markers or {}, sources)
    running = asyncio.create_task(written.writer.run())
    try:
        yield written
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_arrives_meanwhile_is_the_next_batch() -> None:
    async with writing() as written:
        held = written.notebook.held = asyncio.Event()
        written.arrive(1)
        await asyncio.sleep(0)
        written.arrive(2, 3, 4, 5, 6)
        await asyncio.sleep(0)
        assert written.processed == []
        assert written.sources[0].pending_count == 6
        held.set()
        await written.all_written()
        assert [len(batch.records) for batch in written.notebook.batches] == [1, 3, 2]
        assert written.ids() == [1, 2, 3, 4, 5, 6]
        assert written.counts.written == 6
        assert sorted(cast("list[int]", written.processed)) == [1, 2, 3, 4, 5, 6]


async def test_no_source_is_kept_waiting_by_another_that_is_crowded() -> None:
    async with writing(sources=2) as written:
        written.arrive(1, 2, 3, 4, 5, 6, channel="/a", source=0)
        written.arrive(7, 8, channel="/b", source=1)
        await written.all_written()
        batches = [[r.replay_id for r in batch.records] for batch in written.notebook.batches]
        assert batches == [[1, 2, 3], [7, 8, 4], [5, 6]]


async def test_the_markers_are_those_of_the_last_record_of_each_channel() -> None:
    async with writing() as written:
        written.arrive(4)
        written.arrive(9, channel="/b")
        written.arrive(5)
        await written.all_written()
        assert written.notebook.kept == {"/a": 5, "/b": 9}
        assert len(written.notebook.batches) == 1


async def test_nothing_is_processed_before_the_broker_has_confirmed_it() -> None:
    async with writing() as written:
        written.notebook.away = 1_000_000
        written.arrive(1, 2)
        while written.counts.outages == 0:  # noqa: ASYNC110 - counts change without an event
            await asyncio.sleep(0)
        assert written.processed == []
        assert written.sources[0].pending_count == 2
        written.notebook.away = 0
        await written.all_written()
        assert set(written.processed) == {1, 2}


async def test_a_broker_that_is_away_is_asked_again_with_the_same_batch() -> None:
    async with writing() as written:
        written.notebook.away = 2
        written.arrive(1, 2)
        await written.all_written()
        assert written.ids() == [1, 2]
        assert written.counts.outages == 1
        assert written.counts.available


async def test_what_comes_again_is_written_once() -> None:
    async with writing({"/a": 2}) as written:
        written.arrive(1, 2, 3, 4, 3, 4, 5)
        await written.all_written()
        assert written.ids() == [3, 4, 5]
        assert written.counts.repeated == 4


async def test_what_comes_again_is_done_only_when_the_first_one_is() -> None:
    async with writing() as written:
        held = written.notebook.held = asyncio.Event()
        written.arrive(1, 1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert written.processed == []
        held.set()
        await written.all_written()
        assert written.processed == [1, 1]


async def test_numbers_that_begin_anew_are_written() -> None:
    async with writing({"/a": 100}) as written:
        written.writer.reset("/a")
        written.arrive(1)
        await written.all_written()
        assert written.ids() == [1]


async def test_opaque_ids_and_none_cannot_be_compared() -> None:
    async with writing() as written:
        written.arrive("b", "a", None, None)
        await written.all_written()
        assert written.ids() == ["b", "a", None, None]


async def test_a_refused_record_becomes_a_dead_letter_and_the_others_are_written() -> None:
    async with writing() as written:
        written.notebook.refuses = lambda record: record.value == b"poison"
        for number, value in enumerate((b"1", b"poison", b"3")):
            written.arrive(number, value=value)
        await written.all_written()
        assert [r.subject for r in written.notebook.records] == ["cometd/a", "dead", "cometd/a"]
        told = json.loads(written.notebook.records[1].value)
        assert told == {"reason": "too large", "subject": "cometd/a", "bytes": 6, "head": "poison"}
        assert written.notebook.kept == {"/a": 2}
        assert (written.counts.refused, written.counts.written) == (1, 2)


async def test_a_dead_letter_that_is_refused_does_not_stop_the_stream() -> None:
    async with writing() as written:
        written.notebook.refuses = lambda record: record.replay_id == 1
        written.arrive(1, 2)
        await written.all_written()
        assert written.ids() == [2]
        assert written.notebook.kept == {"/a": 2}


async def test_a_broker_that_answers_at_once_does_not_hold_up_the_loop() -> None:
    async with writing() as written:
        written.arrive(*range(30))
        turns = 0
        while written.sources[0].pending_count:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 30 / 3
