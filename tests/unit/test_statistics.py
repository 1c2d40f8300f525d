"""The counters of a client."""

from __future__ import annotations

from dataclasses import fields

from rx_cometd import Statistics
from rx_cometd.statistics import Counters


def test_a_snapshot_has_every_counter_in_its_place() -> None:
    counters = Counters()
    names = tuple(field.name for field in fields(Counters))
    for number, name in enumerate(names):
        setattr(counters, name, number)
    snapshot = counters.snapshot(now=500.0, steady_now=500.0)
    assert (*snapshot._fields[:-1], "last_heard") == names
    assert snapshot == Statistics(*range(len(names)))
    counters.drops = 100
    assert snapshot.drops != 100


def test_when_the_server_was_last_heard_of_is_told_by_the_clock_on_the_wall() -> None:
    counters = Counters()
    assert counters.snapshot(1e9, 100.0).last_seen is None
    counters.last_heard = 97.5
    assert counters.snapshot(1e9, 100.0).last_seen == 1e9 - 2.5
