from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd import ClientState, StateChange, TransportError
from rx_cometd.relay import Counts
from rx_cometd.relay.source_link import SourceLink

if TYPE_CHECKING:
    import pytest

ERROR = TransportError("refused")
CONNECTED = StateChange(ClientState.CONNECTED)


def later(attempt: int) -> StateChange:
    return StateChange(ClientState.REHANDSHAKING, error=ERROR, attempt=attempt, delay=0.5)


def test_an_outage_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rx_cometd.relay")
    counts = Counts()
    link = SourceLink("orders", counts)
    for change in (CONNECTED, later(1), later(2), CONNECTED, CONNECTED, later(1)):
        link(change)
    assert [r.getMessage() for r in caplog.records] == [
        "orders: no link to the source: refused",
        "orders: the source is back",
        "orders: no link to the source: refused",
    ]
    assert counts.source_outages == 2


def test_what_is_tried_again_at_once_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "rx_cometd.relay")
    link = SourceLink("orders", Counts())
    # No WebSocket there: the other transport is next.
    link(StateChange(ClientState.REHANDSHAKING, error=ERROR, attempt=2))
    link(CONNECTED)
    link(StateChange(ClientState.DISCONNECTED, error=ERROR))
    assert not caplog.records
