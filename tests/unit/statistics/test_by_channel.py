"""All that is known of each channel, brought together."""

from __future__ import annotations

import json

from rx_cometd import BufferStatistics, ChannelStatistics
from rx_cometd.statistics import ChannelTraffic, by_channel


def test_what_is_known_of_a_channel_is_brought_together() -> None:
    traffic = ChannelTraffic(0.0)
    traffic.count([{"channel": "/a"}], 7.0, 1.0)
    full = BufferStatistics("suspend", 10, 10, 0, 2, suspended=True)
    losing = BufferStatistics("drop_oldest", 5, 3, 4, 0, suspended=False)
    told = by_channel(
        traffic, [("/a", full), ("/a", losing), (None, losing), ("/b/*", full)], [{"/a": 2.5}], 2.0
    )
    assert list(told) == ["/a", "*", "/b/*"]
    assert told["/a"] == ChannelStatistics(1, 7, 0.5, 1.0, (full, losing), 2.5)
    assert (told["/a"].pending, told["/a"].drops, told["/a"].suspensions) == (13, 4, 2)
    assert told["*"].buffers == (losing,)
    written = json.loads(json.dumps(told["/a"].as_dict()))
    assert written["pending"] == 13
    assert written["buffers"][0]["policy"] == "suspend"


def test_nothing_is_known_of_what_is_not_counted() -> None:
    assert by_channel(None, [], [{}], 1.0) == {}
