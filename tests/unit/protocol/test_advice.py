from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._protocol.advice import Advice, Reconnect, reconnect_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
FIELD = st.sampled_from(["reconnect", "interval", "timeout", "maxInterval", "max-interval"])


def test_before_the_server_tells_the_defaults_of_the_reference_client_hold() -> None:
    assert Advice() == Advice(reconnect=None, interval=0.0, timeout=60.0, max_interval=None)


def test_milliseconds_become_seconds() -> None:
    advice = Advice().merge(
        {"reconnect": "retry", "interval": 2, "timeout": 30000, "maxInterval": 10000}
    )
    assert advice == Advice(Reconnect.RETRY, 0.002, 30.0, 10.0)


def test_advice_is_merged_so_that_what_is_left_out_stays() -> None:
    known = Advice(Reconnect.RETRY, 1.0, 30.0, 10.0)
    assert known.merge({"interval": 0}) == Advice(Reconnect.RETRY, 0.0, 30.0, 10.0)
    assert known.merge({}) == known
    assert known.merge({"reconnect": "none"}).timeout == 30.0


def test_the_advice_merged_onto_is_left_as_it_was() -> None:
    known = Advice()
    known.merge({"timeout": 1})
    assert known.timeout == 60.0


@pytest.mark.parametrize("key", ["maxInterval", "max-interval"])
def test_both_spellings_of_the_maximal_interval_are_read(key: str) -> None:
    assert Advice().merge({key: 5000}).max_interval == 5.0


def test_the_usual_spelling_comes_first_where_both_are_there() -> None:
    assert Advice().merge({"max-interval": 1000, "maxInterval": 2000}).max_interval == 2.0


def test_a_maximal_interval_of_zero_means_that_there_is_none() -> None:
    assert Advice(max_interval=5.0).merge({"maxInterval": 0}).max_interval is None


@pytest.mark.parametrize("value", ["30000", 30000, 30000.0, " 30000 "])
def test_numbers_may_come_as_text(value: object) -> None:
    assert Advice().merge({"timeout": value}).timeout == 30.0


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", True, [], {}, -1, math.nan, math.inf, "nan", "1e999", 10**400, "9" * 500],
)
def test_times_that_cannot_be_read_are_ignored(value: object) -> None:
    assert Advice(timeout=7.0).merge({"timeout": value}).timeout == 7.0


@pytest.mark.parametrize("raw", [None, "retry", 5, [], [{"reconnect": "none"}]])
def test_what_is_no_object_is_no_advice(raw: object) -> None:
    known = Advice(interval=3.0)
    assert known.merge(raw) == known
    assert reconnect_of(raw) is None


@pytest.mark.parametrize("reconnect", list(Reconnect))
def test_reconnect_is_read(reconnect: Reconnect) -> None:
    assert reconnect_of({"reconnect": reconnect.value}) is reconnect
    assert Advice().merge({"reconnect": reconnect.value}).reconnect is reconnect


@pytest.mark.parametrize("value", ["", None, "NONE", "again", 0, ["none"], {}])
def test_a_reconnect_that_is_not_known_is_no_word_at_all(value: object) -> None:
    assert reconnect_of({"reconnect": value}) is None
    assert Advice(Reconnect.RETRY).merge({"reconnect": value}).reconnect is Reconnect.RETRY


@pytest.mark.parametrize("interval", [-1, "-1", -0.5])
def test_a_negative_interval_forbids_to_reconnect(interval: object) -> None:
    raw = {"reconnect": "retry", "interval": interval}
    assert reconnect_of(raw) is Reconnect.NONE
    assert Advice(interval=2.0).merge(raw) == Advice(Reconnect.NONE, interval=2.0)


@given(st.dictionaries(FIELD, JSON))
def test_whatever_comes_times_stay_sound(raw: dict[str, Any]) -> None:
    advice = Advice().merge(raw)
    for seconds in (advice.interval, advice.timeout, advice.max_interval or 0.0):
        assert math.isfinite(seconds)
        assert seconds >= 0
