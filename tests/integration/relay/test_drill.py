"""Relays are killed and brokers restarted at random: nothing is lost, and nothing repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.relay.brokers import BROKERS
from tests.integration.relay.drill import Outcome, Plan, drill

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.timeout(240)
async def test_nothing_is_lost_and_nothing_repeated(kind: str, tmp_path: Path) -> None:
    with BROKERS[kind](tmp_path) as broker:
        restarts = 1 if kind == "kafka" else 2  # it takes its time
        outcome = await drill(
            broker,
            tmp_path / "relay",
            Plan(events=4000, kills=4, restarts=restarts, seconds=8, seed=1),
        )
    assert outcome == Outcome(4000, lost=0, repeated=0, disordered=0)
