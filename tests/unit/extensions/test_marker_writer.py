from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from rx_cometd.extensions import MemoryStore
from rx_cometd.extensions.marker_writer import MarkerWriter

if TYPE_CHECKING:
    from rx_cometd.extensions import ReplayId

Saved = tuple[str, "ReplayId", bool]


class PlainStore(MemoryStore):
    """A store on a disk that may be full."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[Saved] = []
        self.full = False

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        if self.full:
            raise OSError("disk full")
        self.saved.append((channel, replay_id, reset))
        super().save(channel, replay_id, reset=reset)


class RemoteStore:
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        self.saved: list[Saved] = []
        self.asked: list[str] = []
        self.writing = asyncio.Event()
        self.answer = asyncio.Event()
        self.down = False

    async def load(self, channel: str) -> ReplayId | None:
        self.asked.append(channel)
        return 5

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        self.writing.set()
        await self.answer.wait()
        if self.down:
            raise OSError("no route to host")
        self.saved.append((channel, replay_id, reset))


async def test_a_plain_store_is_written_to_at_once() -> None:
    store = PlainStore()
    writer = MarkerWriter(store)
    assert not writer.asynchronous
    writer.save("/a", 1)
    writer.save("/a", 2)
    assert store.saved == [("/a", 1, False), ("/a", 2, False)]
    assert writer.load("/a") == 2
    await writer.flush()
    assert len(store.saved) == 2


async def test_what_a_plain_store_refused_is_tried_with_the_next_marker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = PlainStore()
    writer = MarkerWriter(store)
    store.full = True
    with caplog.at_level(logging.INFO, "rx_cometd"):
        writer.save("/a", 1, reset=True)
        writer.save("/a", 2)
        writer.save("/b", 7)
        assert store.saved == []
        assert writer.load("/a") == 2
        store.full = False
        writer.save("/b", 8)
    assert store.saved == [("/a", 2, True), ("/b", 8, False)]
    assert [record.getMessage() for record in caplog.records] == [
        "the replay marker of /a was not saved",
        "replay markers are saved again",
    ]


async def test_what_a_plain_store_refused_is_tried_at_the_end() -> None:
    store = PlainStore()
    writer = MarkerWriter(store)
    store.full = True
    writer.save("/a", 1)
    store.full = False
    await writer.flush()
    assert store.saved == [("/a", 1, False)]


async def test_only_the_newest_marker_of_each_channel_is_written_behind() -> None:
    store = RemoteStore()
    writer = MarkerWriter(store)
    assert writer.asynchronous
    writer.save("/a", 1)
    await store.writing.wait()
    for replay_id in range(2, 100):
        writer.save("/a", replay_id)
        writer.save("/b", replay_id)
    store.answer.set()
    await writer.flush()
    # /a was being written and waits behind /b with what is newer.
    assert store.saved == [("/a", 1, False), ("/b", 99, False), ("/a", 99, False)]


async def test_what_is_not_written_yet_is_found() -> None:
    store = RemoteStore()
    writer = MarkerWriter(store)
    writer.save("/a", 9)
    assert await writer.load_async("/a") == 9
    assert await writer.load_async("/b") == 5
    assert store.asked == ["/b"]
    store.answer.set()
    await writer.flush()
    assert await writer.load_async("/a") == 5


async def test_a_reset_is_not_lost_to_the_marker_after_it() -> None:
    store = RemoteStore()
    writer = MarkerWriter(store)
    writer.save("/a", -2, reset=True)
    writer.save("/a", 1)
    store.answer.set()
    await writer.flush()
    assert store.saved == [("/a", 1, True)]


async def test_what_a_remote_store_refused_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = RemoteStore()
    store.answer.set()
    store.down = True
    writer = MarkerWriter(store)
    with caplog.at_level(logging.INFO, "rx_cometd"):
        writer.save("/a", 1)
        await writer.flush()
        await writer.flush()
        assert store.saved == []
        store.down = False
        writer.save("/b", 1)
        await writer.flush()
    assert store.saved == [("/a", 1, False), ("/b", 1, False)]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


async def test_nothing_to_write_leaves_no_task() -> None:
    writer = MarkerWriter(RemoteStore())
    await writer.flush()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_giving_up_the_wait_does_not_give_up_the_writing() -> None:
    store = RemoteStore()
    writer = MarkerWriter(store)
    writer.save("/a", 1)
    flushing = asyncio.create_task(writer.flush())
    await store.writing.wait()
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    store.answer.set()
    await writer.flush()
    assert store.saved == [("/a", 1, False)]


def test_what_an_event_loop_left_is_written_on_the_next() -> None:
    store: list[RemoteStore] = []
    writers: list[MarkerWriter] = []

    async def leave() -> None:
        store.append(RemoteStore())
        writers.append(MarkerWriter(store[0]))
        writers[0].save("/a", 1)
        await store[0].writing.wait()

    async def take_up() -> None:
        store[0].answer = asyncio.Event()
        store[0].answer.set()
        await writers[0].flush()

    asyncio.run(leave())
    assert store[0].saved == []
    asyncio.run(take_up())
    assert store[0].saved == [("/a", 1, False)]
