from __future__ import annotations

from typing import get_args

from rx_cometd._protocol import outcomes
from rx_cometd._protocol.outcomes import Lane, Outcome, Settled, Step, Unsubscribed


def test_an_outcome_is_one_of_those_that_are_exported() -> None:
    kinds = {kind.__name__ for kind in get_args(Outcome)}
    assert kinds | {"Lane", "Outcome", "Outgoing", "Step"} == set(outcomes.__all__)


def test_errors_are_left_out_where_there_are_none() -> None:
    assert Settled("1", {"channel": "/a"}).error is None
    assert Unsubscribed("/a").error is None


def test_steps_and_lanes_are_told_apart_by_name() -> None:
    assert [step.value for step in Step] == ["handshake", "connect"]
    assert len({lane.value for lane in Lane}) == 5
