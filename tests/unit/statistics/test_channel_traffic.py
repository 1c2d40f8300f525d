"""What came on each channel."""

from __future__ import annotations

from rx_cometd.statistics import ChannelTraffic


def events(*channels: str) -> list[dict[str, object]]:
    return [{"channel": channel, "data": {}} for channel in channels]


def test_messages_and_bytes_are_counted_by_channel() -> None:
    traffic = ChannelTraffic(0.0)
    traffic.count(events("/a", "/b", "/a"), 10.5, 1.0)
    traffic.count(events("/b"), 4.0, 3.0)
    a, b = traffic.snapshot(4.0).values()
    assert (a.messages, a.bytes, a.age) == (2, 21, 3.0)
    assert (b.messages, b.bytes, b.age) == (2, 14, 1.0)


def test_a_rate_is_of_the_last_five_to_ten_seconds() -> None:
    traffic = ChannelTraffic(0.0)
    for tenth in range(200):  # 10 a second, and 50 from the eleventh second on
        traffic.count(events(*["/a"] * (1 if tenth < 100 else 5)), 1.0, tenth / 10)
        if tenth == 50:
            assert 9.7 < traffic.snapshot(tenth / 10)["/a"].rate < 10.3
    assert 48.5 < traffic.snapshot(20.0)["/a"].rate < 51.5


def test_a_channel_that_fell_silent_has_no_rate() -> None:
    traffic = ChannelTraffic(0.0)
    for second in range(20):
        traffic.count(events("/a"), 1.0, float(second))
    assert traffic.snapshot(20.0)["/a"].rate > 0.5
    assert traffic.snapshot(30.0)["/a"].rate == 0.0
    traffic.count(events("/b"), 1.0, 100.0)
    told = traffic.snapshot(101.0)
    assert told["/a"].rate == 0.0
    assert 0 < told["/b"].rate < 1


def test_names_without_end_take_no_memory_without_end() -> None:
    traffic = ChannelTraffic(0.0)
    for number in range(10_050):
        traffic.count(events(f"/user/{number}"), 1.0, 1.0)
    told = traffic.snapshot(1.0)
    assert len(told) == 10_001
    assert told["*"].messages == 50
