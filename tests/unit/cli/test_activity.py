from __future__ import annotations

import json
from typing import Any

import pytest

from rx_cometd.cli import activity as module
from rx_cometd.cli.activity import OTHERS, Activity


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def message(channel: str, data: Any = None) -> dict[str, Any]:
    return {"channel": channel, "data": data}


def test_rates_sizes_and_ages() -> None:
    clock = Clock()
    activity = Activity(clock)
    for _ in range(10):
        activity.count(message("/a"))
    clock.now = 2.0
    activity.measure()
    (channel,) = activity.channels.values()
    size = len(json.dumps(message("/a")))
    assert (channel.messages, channel.rate, channel.age) == (10, 5.0, 0.0)
    assert channel.byte_rate == pytest.approx(5 * size)
    clock.now = 5.0
    activity.measure()
    assert (channel.rate, channel.byte_rate, channel.age) == (0.0, 0.0, 3.0)
    assert [*channel.trend] == [5.0, 0.0]


def test_a_message_that_several_observers_get_counts_once() -> None:
    activity = Activity(Clock())
    first = message("/a")
    activity.count(first)
    activity.count(first)
    activity.count(message("/a"))
    assert activity.channels["/a"].messages == 2


def test_a_channel_without_messages_has_no_age() -> None:
    activity = Activity(Clock())
    activity.channel("/a")
    activity.measure()
    assert activity.channels["/a"].age is None


def test_channels_without_end_become_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHANNELS", 2)
    activity = Activity(Clock())
    for number in range(5):
        activity.count(message(f"/{number}"))
    assert {name: c.messages for name, c in activity.channels.items()} == {
        "/0": 1,
        "/1": 1,
        OTHERS: 3,
    }
