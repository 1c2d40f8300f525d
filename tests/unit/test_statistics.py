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
    snapshot = counters.snapshot()
    assert snapshot._fields == names
    assert snapshot == Statistics(*range(len(names)))
    counters.drops = 100
    assert snapshot.drops != 100
