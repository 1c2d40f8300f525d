from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from rx_cometd.extensions.marker import Marker

if TYPE_CHECKING:
    from rx_cometd.extensions.replay_store import ReplayId


def marker(value: ReplayId = -1) -> tuple[Marker, list[ReplayId]]:
    moves: list[ReplayId] = []
    return Marker(value, moves.append), moves


def test_moves_with_each_event_processed_in_order() -> None:
    it, moves = marker()
    for replay_id in (3, 7, 9):
        it.arrived(replay_id)()
    assert moves == [3, 7, 9]
    assert it.value == 9


def test_stays_below_an_event_that_is_not_processed() -> None:
    it, moves = marker(3)
    four, five, six = it.arrived(4), it.arrived(5), it.arrived(6)
    five()
    six()
    assert it.value == 3
    four()
    assert it.value == 6
    assert moves == [6]


def test_gaps_close_one_by_one() -> None:
    it, moves = marker(0)
    one, two, three, four, five = (it.arrived(replay_id) for replay_id in range(1, 6))
    four()
    two()
    assert moves == []
    one()
    assert moves == [2]
    three()
    assert moves == [2, 4]
    five()
    assert moves == [2, 4, 5]


def test_ids_are_opaque_and_the_arrival_decides() -> None:
    it, moves = marker()
    zoe, adam = it.arrived("zoe"), it.arrived("adam")
    adam()
    assert moves == []
    zoe()
    assert moves == ["adam"]
    it.arrived("aaa")()
    assert moves == ["adam", "aaa"]


def test_redelivered_events_do_not_move_it_backwards() -> None:
    it, moves = marker()
    for replay_id in (1, 2, 3, 1, 2, 3, 4):
        it.arrived(replay_id)()
    assert moves == [1, 2, 3, 4]


def test_redelivered_events_behind_an_outstanding_one() -> None:
    it, moves = marker()
    one, two, again, twice = (it.arrived(replay_id) for replay_id in (1, 2, 1, 2))
    two()
    twice()
    again()
    assert moves == []
    one()
    assert moves == [2]


def test_an_event_counts_once() -> None:
    it, moves = marker()
    one, two = it.arrived(1), it.arrived(2)
    two()
    two()
    assert moves == []
    one()
    one()
    it.arrived(3)()
    assert moves == [2, 3]


def test_a_new_order_does_not_wait_for_what_the_old_one_lost() -> None:
    it, moves = marker(0)
    it.arrived(1)  # its buffer is gone
    it.arrived(2)()
    it.begin()
    for replay_id in (1, 2, 3):
        it.arrived(replay_id)()
    assert moves == [1, 2, 3]


def test_an_old_order_still_counts_where_integers_tell_what_is_ahead() -> None:
    it, moves = marker(0)
    one, two, three = (it.arrived(replay_id) for replay_id in (1, 2, 3))
    it.begin()
    one()
    assert moves == [1]
    it.arrived(2)()
    assert moves == [1, 2]
    two()
    three()
    assert moves == [1, 2, 3]
    it.arrived(3)()
    assert moves == [1, 2, 3]


def test_an_old_order_of_texts_does_not_count() -> None:
    it, moves = marker("a")
    old = it.arrived("b")
    it.begin()
    it.arrived("b")()
    it.arrived("c")()
    old()
    assert moves == ["b", "c"]


def test_reset_makes_all_that_arrived_before_void() -> None:
    it, moves = marker(80)
    old, older = it.arrived(81), it.arrived(82)
    it.begin()
    it.reset(-2)
    assert it.value == -2
    old()
    older()
    assert it.value == -2
    it.begin()
    it.arrived(5)()  # the server counts anew
    assert it.value == 5
    assert moves == [5]


@pytest.mark.parametrize("seed", range(20))
def test_never_passes_an_unprocessed_event_whatever_the_order(seed: int) -> None:
    source = random.Random(seed)
    it, _ = marker(0)
    outstanding = {replay_id: it.arrived(replay_id) for replay_id in range(1, 101)}
    for replay_id in source.sample(range(1, 101), 100):
        outstanding.pop(replay_id)()
        assert it.value == min(outstanding, default=101) - 1


def test_what_was_processed_takes_no_memory() -> None:
    import gc

    it, _ = marker(0)
    it.arrived(1)  # stuck
    gc.collect()
    before = len(gc.get_objects())
    for replay_id in range(2, 2000):
        it.arrived(replay_id)()
    gc.collect()
    assert len(gc.get_objects()) - before < 100
