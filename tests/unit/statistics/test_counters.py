"""The counters of a client."""

from __future__ import annotations

import json

from rx_cometd import Statistics
from rx_cometd.statistics import Counters


def test_a_snapshot_has_every_counter_in_its_place() -> None:
    counters = Counters()
    told = [name for name in Statistics._fields if hasattr(counters, name)]
    assert set(Statistics._fields) - set(told) == {"last_seen", "pending"}
    for number, name in enumerate(told):
        setattr(counters, name, {"error": 1} if name == "drops_by_policy" else number)
    counters.last_heard = 0.5
    snapshot = counters.snapshot(now=500.0, steady_now=500.0, pending=77)
    assert snapshot.pending == 77
    assert snapshot.last_seen == 0.5
    for name in told:
        assert getattr(snapshot, name) == getattr(counters, name), name
    counters.drops = 100
    counters.drops_by_policy["error"] = 2
    assert snapshot.drops != 100
    assert snapshot.drops_by_policy == {"error": 1}


def test_the_names_of_the_first_release_keep_their_places() -> None:
    assert Statistics._fields[:9] == (
        *("messages_in", "messages_out", "bytes_in", "bytes_out", "handshakes"),
        *("reconnects", "drops", "suspensions", "last_seen"),
    )


def test_a_snapshot_can_be_written_as_json() -> None:
    counters = Counters(messages_in=3)
    counters.drops_by_policy["error"] = 1
    told = json.loads(json.dumps(counters.snapshot(1.0, 1.0, 0)._asdict()))
    assert told["messages_in"] == 3
    assert told["drops_by_policy"] == {"error": 1}


def test_when_the_server_was_last_heard_of_is_told_by_the_clock_on_the_wall() -> None:
    counters = Counters()
    assert counters.snapshot(1e9, 100.0, 0).last_seen is None
    counters.last_heard = 97.5
    counters.events_came([{"channel": "/a", "data": 1}])
    counters.last_heard = 99.5
    snapshot = counters.snapshot(1e9, 100.0, 0)
    assert snapshot.last_seen == 1e9 - 0.5
    assert snapshot.last_event == 1e9 - 2.5


def counted(counters: Counters) -> dict[str, tuple[int, int]] | None:
    if counters.channels is None:
        return None
    told = counters.channels.snapshot(2.0).items()
    return {channel: (traffic.messages, traffic.bytes) for channel, traffic in told}


def test_channels_are_counted_while_somebody_wants_it() -> None:
    counters = Counters(last_heard=1.0, payload_size=20)
    event = {"channel": "/a", "data": 1}
    counters.events_came([event])
    with counters.counting_channels(1.0):
        with counters.counting_channels(1.0):
            counters.events_came([event, event])
        assert counted(counters) == {"/a": (2, 20)}
    assert counted(counters) is None
