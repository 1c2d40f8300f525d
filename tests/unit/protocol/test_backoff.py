from __future__ import annotations

import math
import random
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._protocol.advice import Advice
from rx_cometd._protocol.backoff import Backoff, Pace, UnproductiveConnects, exponential, fail_safe

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


def _raises(*delays: float) -> Iterator[float]:
    yield from delays
    raise LookupError("no more delays")


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -math.inf, "1", b"1", None, [1.0]])
def test_nonsense_is_logged_and_the_default_delays_are_used(
    nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = Backoff(fail_safe(lambda: iter([7.0, nonsense, 7.0])))
    assert backoff.next_delay() == 7.0
    assert all(0.0 <= backoff.next_delay() <= bound for bound in (0.5, 1.0, 2.0, 4.0))
    assert len(caplog.records) == 1
    backoff.reset()
    assert backoff.next_delay() == 7.0


@pytest.mark.parametrize("delays", [_raises, lambda: None, lambda: 5.0, lambda: int("x")])
def test_a_function_that_fails_is_logged_and_the_default_delays_are_used(
    delays: Any, caplog: pytest.LogCaptureFixture
) -> None:
    backoff = Backoff(fail_safe(delays))
    assert all(0.0 <= backoff.next_delay() <= bound for bound in (0.5, 1.0, 2.0, 4.0))
    assert "`backoff` gave no delay" in caplog.text
    assert len(caplog.records) == 1


def test_delays_that_are_fine_are_left_alone() -> None:
    backoff = Backoff(fail_safe(lambda: iter([1.0, -1, 2])))
    assert [backoff.next_delay() for _ in range(5)] == [1.0, 0.0, 2.0, 2.0, 2.0]


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
    unproductive: UnproductiveConnects, after: float, *, held: bool = True, useful: bool = False
) -> float:
    unproductive.sent(100.0, held=held)
    return unproductive.answered(100.0 + after, useful=useful)


def test_connects_that_are_never_held_are_slowed_down_but_not_for_long() -> None:
    unproductive = UnproductiveConnects()
    delays = [answer(unproductive, 0.01) for _ in range(10)]
    assert delays == [0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6]


@pytest.mark.parametrize("relief", [{"after": 5.0}, {"useful": True}, {"held": False}])
def test_one_connect_that_was_of_use_ends_the_slowness(relief: dict[str, float]) -> None:
    unproductive = UnproductiveConnects()
    for _ in range(6):
        answer(unproductive, 0.01)
    assert answer(unproductive, **{"after": 0.01, **relief}) == 0.0  # type: ignore[arg-type]
    assert [answer(unproductive, 0.01) for _ in range(4)] == [0, 0, 0, 0.1]


# The pace of the cycle


def pace(*delays: float) -> Pace:
    return Pace(Backoff(lambda: iter(delays or (1.0, 2.0, 4.0))))


def test_a_failure_waits_for_the_interval_and_the_backoff() -> None:
    it = pace()
    advice = Advice(interval=0.5)
    assert [it.after_failure(advice, 0.0) for _ in range(3)] == [1.5, 2.5, 4.5]


def test_a_connect_that_succeeds_ends_the_run_of_failures() -> None:
    it = pace()
    it.after_failure(Advice(), 0.0)
    it.sent(0.0, held=True)
    assert it.after_connect(Advice(interval=0.25), 10.0) == 0.25
    assert it.after_failure(Advice(), 0.0) == 1.0


def test_a_session_is_resumed_only_while_the_server_may_know_it() -> None:
    it = pace(3.0)
    advice = Advice(timeout=5.0, interval=0.0, max_interval=5.0)
    assert it.before_resuming(advice, 100.0) == 3.0
    assert it.before_resuming(advice, 107.0) == 3.0  # down for 10 s by then
    assert it.before_resuming(advice, 109.0) == 1.0  # its last chance
    assert it.before_resuming(advice, 110.0) is None
    it.link_up()
    assert it.before_resuming(advice, 110.1) == 3.0


def test_no_delay_outlives_the_shortest_life_of_the_session() -> None:
    it = pace(1.0, 20.0)
    advice = Advice(timeout=30.0, interval=0.5, max_interval=10.0)
    assert it.before_resuming(advice, 0.0) == 1.5
    assert it.before_resuming(advice, 1.5) == 6.5  # a fifth is kept for the connect to arrive
    assert it.before_resuming(advice, 8.0) == 20.5


def test_no_delay_outlives_the_connection_timeout() -> None:
    """A jittered delay would outlive it: with a last attempt just before, nobody is given up."""
    it = Pace(Backoff(lambda: iter([1.0, 20.0])), connection_timeout=10.0, draw=lambda a, _: a)
    it.begin_outage(100.0)
    assert it.after_failure(Advice(), 100.0) == 1.0
    assert it.after_failure(Advice(), 101.0) == 8.0
    assert round(it.after_failure(Advice(), 109.0), 9) == 0.8
    assert it.after_failure(Advice(), 109.9) == 20.0  # that was the last
    it.connected()
    assert it.after_failure(Advice(), 200.0) == 9.0


def test_the_last_attempts_of_many_are_spread() -> None:
    delays: set[float] = set()
    for _ in range(50):
        it = Pace(Backoff(lambda: iter([20.0])), connection_timeout=10.0)
        delays.add(it.after_failure(Advice(), 0.0))
    assert len(delays) > 40
    assert min(delays) >= 9.0
    assert max(delays) <= 9.6


def test_what_the_server_advises_to_wait_is_waited_whatever_the_connection_timeout() -> None:
    it = Pace(Backoff(lambda: iter([1.0])), connection_timeout=1.0)
    assert it.after_failure(Advice(interval=5.0), 0.0) == 5.0


def test_beginning_anew_forgets_the_failures() -> None:
    it = Pace(Backoff(lambda: iter([1.0, 8.0])), connection_timeout=10.0)
    it.after_failure(Advice(), 0.0)
    it.begin_anew(9.0)
    assert [it.after_failure(Advice(), 9.0) for _ in range(2)] == [1.0, 8.0]


def test_a_session_is_resumed_for_ever_where_the_server_does_not_tell_its_lifetime() -> None:
    it = pace(3.0)
    assert it.before_resuming(Advice(), 0.0) == 3.0
    assert it.before_resuming(Advice(), 1e6) == 3.0


def resuming(advice: Advice, *, until: float, **options: bool) -> list[float]:
    """Give the times of the attempts to resume a session, each of which fails at once."""
    it = Pace(Backoff(lambda: iter([0.5, 30.0])), draw=lambda _, longest: longest)
    times = [0.0]
    while times[-1] < until:
        delay = it.before_resuming(advice, times[-1], **options)
        assert delay is not None
        times.append(times[-1] + delay)
    return times[1:-1]


def test_an_acknowledging_session_is_sought_several_times_within_its_lifetime() -> None:
    """Each attempt may meet a short fault, and the server does not tell its lifetime."""
    times = resuming(Advice(), until=10.0, acknowledges=True)
    assert times == [0.5, 3.0, 5.5, 8.0]
    assert resuming(Advice(), until=10.0) == [0.5]


def test_the_longer_the_link_is_down_the_longer_are_the_delays_of_such_a_session() -> None:
    """A session of 60 s is sought a dozen times; a server away for hours is not pressed."""
    times = resuming(Advice(), until=3600.0, acknowledges=True)
    assert len([time for time in times if time < 60.0]) >= 11
    gaps = [later - time for time, later in pairwise(times)]
    assert all(gap <= max(2.5, time / 4) for time, gap in zip(times, gaps, strict=False))
    assert gaps[-1] == 30.0


def test_the_lifetime_that_the_server_tells_counts_for_such_a_session() -> None:
    advice = Advice(max_interval=40.0)
    assert resuming(advice, until=32.0, acknowledges=True) == [0.5, 10.5, 20.5, 30.5]
    slow = Advice(interval=12.0, max_interval=40.0)
    assert resuming(slow, until=32.0, acknowledges=True)[:2] == [12.0, 24.0]


def test_the_capped_delays_of_many_are_spread() -> None:
    delays: set[float] = set()
    for _ in range(50):
        delay = pace(30.0).before_resuming(Advice(), 0.0, acknowledges=True)
        assert delay is not None
        delays.add(delay)
    assert len(delays) > 40
    assert min(delays) >= 1.25
    assert max(delays) <= 2.5


def test_a_first_new_session_is_sought_at_once_and_more_of_them_with_the_backoff() -> None:
    it = pace()
    assert [it.before_new_session(Advice(), 0.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert it.before_new_session(Advice(interval=9.0), 0.0) == 9.0


@pytest.mark.parametrize(("held", "delay"), [(True, 0.0), (False, 1.0)])
def test_only_a_connect_that_was_held_proves_a_handshake_of_use(
    delay: float, *, held: bool
) -> None:
    it = pace()
    it.before_new_session(Advice(), 0.0)
    it.sent(0.0, held=held)
    it.after_connect(Advice(), 10.0)
    assert it.before_new_session(Advice(), 0.0) == delay


def failures(it: Pace, count: int, now: float = 0.0) -> list[float]:
    return [it.after_failure(Advice(), now) for _ in range(count)]


def test_a_connect_that_was_not_held_does_not_end_the_run_of_failures() -> None:
    it = pace()
    delays: list[float] = []
    for _ in range(4):
        it.sent(0.0, held=False)
        it.after_connect(Advice(), 0.0)
        it.sent(0.0, held=True)
        delays += failures(it, 1)
    assert delays == [1.0, 2.0, 4.0, 4.0]


def test_an_event_that_somebody_wants_ends_the_run_of_failures() -> None:
    for wanted, after in ((True, 1.0), (False, 4.0)):
        it = pace()
        failures(it, 2)
        it.sent(0.0, held=False)
        it.events_came(0.0, wanted=wanted)
        assert failures(it, 2) == [after, 2.0 if wanted else 4.0]


def test_a_connect_that_was_held_for_long_before_it_failed_ends_it_too_once() -> None:
    it = pace()
    failures(it, 2)
    it.sent(0.0, held=True)
    assert failures(it, 3, now=5.0) == [1.0, 2.0, 4.0]
    it.sent(5.0, held=True)
    assert failures(it, 1, now=9.9) == [4.0]


def test_events_that_nobody_wants_are_no_reason_to_be_asked_without_end() -> None:
    it = pace()
    delays: list[float] = []
    for _ in range(5):
        it.sent(100.0, held=True)
        it.events_came(100.0, wanted=False)
        delays.append(it.after_connect(Advice(), 100.01))
    assert delays == [0.0, 0.0, 0.0, 0.1, 0.2]
    it.sent(100.0, held=True)
    it.events_came(100.0, wanted=False)
    useful = [it.useful]
    it.events_came(100.0, wanted=True)
    assert [*useful, it.useful] == [False, True]
    assert it.after_connect(Advice(), 100.01) == 0.0


def test_messages_of_an_earlier_connect_do_not_count_for_the_next() -> None:
    it = pace()
    delays: list[float] = []
    for _ in range(4):
        it.sent(100.0, held=True)
        delays.append(it.after_connect(Advice(), 100.01))
        it.events_came(100.02, wanted=True)
    assert delays == [0.0, 0.0, 0.0, 0.1]


def test_the_first_event_since_the_last_connect_is_timed() -> None:
    it = pace()
    it.sent(0.0, held=True)
    times = [it.first_event_at]
    it.events_came(2.0, wanted=False)
    it.events_came(3.0, wanted=True)
    times.append(it.first_event_at)
    it.sent(4.0, held=True)
    assert [*times, it.first_event_at] == [None, 2.0, None]


# -- Retry-After -----------------------------------------------------------------------------------


def test_what_a_server_asks_to_wait_is_the_least() -> None:
    assert pace(1.0, 2.0).after_failure(Advice(), 0.0, asked=5.0) == 5.0
    assert pace(8.0).after_failure(Advice(interval=1.0), 0.0, asked=5.0) == 9.0
    assert pace(1.0).before_new_session(Advice(), 0.0, asked=5.0) == 5.0
    assert pace(1.0).as_asked(Advice(), 0.0, 5.0) == 5.0
    assert pace(1.0).as_asked(Advice(), 0.0, 0.0) == 0.0


def test_nobody_waits_for_hours_because_a_server_asked_for_it() -> None:
    for asked in (301.0, 86_400.0):
        assert pace(1.0).after_failure(Advice(), 0.0, asked=asked) == 300.0
        assert pace(1.0).before_new_session(Advice(), 0.0, asked=asked) == 300.0
        assert pace(1.0).as_asked(Advice(), 0.0, asked) == 300.0


def test_the_last_attempt_is_made_whatever_a_server_asks_to_wait() -> None:
    waiting = Pace(Backoff(lambda: iter([1.0])), 10.0, draw=max)
    waiting.begin_outage(0.0)
    assert waiting.after_failure(Advice(), 0.0, asked=60.0) == 9.0


def test_it_counts_more_than_the_lifetime_of_the_session() -> None:
    advice = Advice(timeout=1.0, max_interval=10.0)
    assert pace(1.0).before_resuming(advice, 0.0, asked=30.0) == 30.0
    assert pace(1.0).before_resuming(advice, 0.0, asked=30.0, acknowledges=True) == 30.0
    assert pace(30.0).before_resuming(advice, 0.0) == 8.0


def test_reconnecting_now_does_not_wait_for_it() -> None:
    waiting = pace(1.0)
    waiting.begin_anew(0.0, at_once=True)
    assert waiting.after_failure(Advice(), 0.0, asked=5.0) == 0.0
