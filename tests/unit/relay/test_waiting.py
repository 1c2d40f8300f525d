from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rx_cometd import BufferOverflowError, Overflow
from rx_cometd._flow.delivery import Delivery
from rx_cometd.extensions.marker import Marker
from rx_cometd.relay.record import record_of
from rx_cometd.relay.waiting import Waiting


def waiting(*, bound: int = 100, policy: Overflow = Overflow.ERROR) -> Waiting:
    return Waiting(
        lambda event, came: record_of(event, "s", "r", came),
        lambda: None,
        max_pending_count=bound,
        overflow=policy,
    )


def event(number: int) -> Any:
    return {"channel": "/a", "data": {"event": {"replayId": number}}}


def ids(waits: Waiting, count: int) -> list[Any]:
    return [record.replay_id for record in waits.take(count, 1_000_000)]


def test_what_came_first_is_taken_first_and_pending_until_it_is_written() -> None:
    waits = waiting()
    for number in range(5):
        waits.offer(event(number))
    assert ids(waits, 3) == [0, 1, 2]
    assert waits.pending_count == 5
    waits.settle()
    assert waits.pending_count == 2
    assert ids(waits, 3) == [3, 4]
    assert ids(waits, 3) == []
    waits.settle()
    assert waits.pending_count == 0


def test_the_marker_moves_once_for_a_batch() -> None:
    moves: list[Any] = []
    marker = Marker(-2, moves.append)
    waits = waiting()
    for number in range(10):
        with Delivery(marker.arrived(number)):
            waits.offer(event(number))
    waits.take(6, 1_000_000)
    assert moves == []
    waits.settle()
    assert moves == [5]
    waits.take(6, 1_000_000)
    waits.settle()
    assert moves == [5, 9]


def test_what_is_given_up_does_not_count_as_processed() -> None:
    processed: list[int] = []
    waits = waiting()
    for number in range(2):
        with Delivery(lambda: processed.append(1)):
            waits.offer(event(number))
    waits.take(1, 1_000_000)
    waits.close()
    waits.settle()
    assert processed == []
    assert waits.pending_count == 0


async def test_its_end_comes_after_what_is_pending() -> None:
    waits = waiting()
    waits.offer(event(1))
    waits.complete()
    assert waits.ended
    end = asyncio.create_task(waits.written())
    await asyncio.sleep(0)
    waits.take(1, 1_000_000)
    await asyncio.sleep(0)
    assert not end.done()
    waits.settle()
    await end
    assert waits.error is None


async def test_one_that_is_full_ends_where_nobody_can_be_made_to_wait() -> None:
    waits = waiting(bound=2)
    for number in range(3):
        waits.offer(event(number))
    assert waits.ended
    assert ids(waits, 10) == [0, 1]
    waits.settle()
    await waits.written()
    with pytest.raises(BufferOverflowError):
        raise waits.error or AssertionError


def test_a_batch_takes_no_more_once_it_has_its_bytes() -> None:
    waits = waiting()
    for number in range(5):
        large = event(number)
        large["data"]["pad"] = "x" * 100
        waits.offer(large)
    assert [record.replay_id for record in waits.take(10, 250)] == [0, 1]
    taken = waits.taken_bytes
    assert 250 < taken < 400
    assert waits.take(10, 0) == []
    assert [record.replay_id for record in waits.take(10, 1)] == [2]
    assert waits.taken_bytes == taken * 3 // 2
    waits.settle()
    assert waits.pending_count == 2
