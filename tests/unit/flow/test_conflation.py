"""Of the messages with one key only the latest waits, in the place of the first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._flow.conflation import channel_of, conflate

Latest = OrderedDict[Hashable, str]


def first_letter(text: str) -> str:
    return text[0]


def test_what_waits_is_conflated_with_what_arrives() -> None:
    latest, dropped = conflate(Latest(), ["a1", "b1", "a2"], "b2", first_letter)
    assert list(latest.values()) == ["a2", "b2"]
    assert dropped == ["a1", "b1"]


def test_once_conflated_the_queue_is_not_looked_at() -> None:
    latest, dropped = conflate(Latest([("a", "a1"), ("b", "b1")]), [], "a2", first_letter)
    assert (list(latest.values()), dropped) == (["a2", "b1"], ["a1"])
    latest, dropped = conflate(latest, [], "c1", first_letter)
    assert (list(latest.values()), dropped) == (["a2", "b1", "c1"], [])


@pytest.mark.parametrize("latest", [Latest(), Latest([("a", "a1")])], ids=["waiting", "conflated"])
def test_a_key_that_raises_changes_nothing(latest: Latest) -> None:
    before = Latest(latest)
    waiting = [] if latest else ["a1", ""]
    with pytest.raises(IndexError):
        conflate(latest, waiting, "", first_letter)
    assert latest == before


@given(st.lists(st.text("abc", min_size=1)))
def test_nothing_is_lost_and_the_latest_of_each_key_is_left(messages: list[str]) -> None:
    latest, dropped = Latest(), list[str]()
    for message in messages:
        latest, replaced = conflate(latest, [], message, first_letter)
        dropped += replaced
    assert sorted(dropped + list(latest.values())) == sorted(messages)
    assert dict(latest) == {message[0]: message for message in messages}
    assert list(latest) == list(dict.fromkeys(message[0] for message in messages))


def test_the_key_of_a_message_is_its_channel() -> None:
    assert channel_of({"channel": "/a"}) == "/a"
    items: tuple[object, ...] = (5, {}, None)
    for item in items:
        with pytest.raises(TypeError, match="key="):
            channel_of(item)
