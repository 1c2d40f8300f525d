from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._protocol.backoff import Backoff, UnproductiveConnects, exponential

if TYPE_CHECKING:
    from collections.abc import Iterator


@given(st.integers())
def test_delays_double_up_to_the_cap_with_full_jitter(seed: int) -> None:
    delays = list(islice(exponential(1.0, 10.0, rng=random.Random(seed)), 8))
    for delay, bound in zip(delays, (1, 2, 4, 8, 10, 10, 10, 10), strict=True):
        assert 0 <= delay <= bound


def test_the_same_source_of_randomness_gives_the_same_delays() -> None:
    def draw(seed: int) -> list[float]:
        return list(islice(exponential(rng=random.Random(seed)), 5))

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_by_default_no_delay_passes_thirty_seconds_and_the_first_half_a_second() -> None:
    delays = list(islice(exponential(), 50))
    assert delays[0] <= 0.5
    assert max(delays) <= 30
    # Full jitter over 30 s: that all of 40 draws are below 10 s has a chance of 1 in 10^19.
    assert max(delays[10:]) > 10


def test_a_cap_below_the_base_holds_from_the_start() -> None:
    assert next(exponential(5.0, 0.0)) == 0.0


def test_a_backoff_goes_through_its_delays_and_begins_anew_after_a_success() -> None:
    backoff = Backoff(lambda: iter([1.0, 2.0, 3.0]))
    assert [backoff.next_delay() for _ in range(2)] == [1.0, 2.0]
    backoff.reset()
    assert [backoff.next_delay() for _ in range(3)] == [1.0, 2.0, 3.0]


def test_where_the_delays_end_the_last_is_repeated() -> None:
    backoff = Backoff(lambda: iter([1.0, 2.0]))
    assert [backoff.next_delay() for _ in range(4)] == [1.0, 2.0, 2.0, 2.0]


def test_no_delays_at_all_are_no_delay() -> None:
    assert Backoff(lambda: iter(())).next_delay() == 0.0


def test_a_negative_delay_is_none() -> None:
    assert Backoff(lambda: iter([-1.0])).next_delay() == 0.0


def test_delays_are_made_only_when_they_are_needed() -> None:
    made: list[int] = []

    def delays() -> Iterator[float]:
        made.append(1)
        return iter([1.0])

    backoff = Backoff(delays)
    backoff.reset()
    assert made == []
    backoff.next_delay()
    assert made == [1]


def answer(
    unproductive: UnproductiveConnects, after: float, *, held: bool = True, events: int = 0
) -> float:
    unproductive.sent(100.0, held=held)
    unproductive.count_events(events)
    return unproductive.answered(100.0 + after)


def test_connects_that_are_never_held_are_slowed_down_but_not_for_long() -> None:
    unproductive = UnproductiveConnects()
    delays = [answer(unproductive, 0.01) for _ in range(10)]
    assert delays == [0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6]


@pytest.mark.parametrize("relief", [{"after": 5.0}, {"events": 1}, {"held": False}])
def test_one_connect_that_was_of_use_ends_the_slowness(relief: dict[str, float]) -> None:
    unproductive = UnproductiveConnects()
    for _ in range(6):
        answer(unproductive, 0.01)
    assert answer(unproductive, **{"after": 0.01, **relief}) == 0.0  # type: ignore[arg-type]
    assert [answer(unproductive, 0.01) for _ in range(4)] == [0, 0, 0, 0.1]


def test_messages_of_an_earlier_connect_do_not_count_for_the_next() -> None:
    unproductive = UnproductiveConnects()
    for _ in range(3):
        answer(unproductive, 0.01)
    unproductive.count_events(1)
    assert answer(unproductive, 0.01) == 0.1
