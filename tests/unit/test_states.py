from __future__ import annotations

import itertools

import pytest

from rx_cometd.connection_types import ConnectionType
from rx_cometd.states import TRANSITIONS, ClientState, StateChange, follow

S = ClientState
#: BayeuxClient.java:1060-1138, with HANDSHAKEN and CONNECTING as one and TERMINATING as none.
LAW = """
DISCONNECTED  -> HANDSHAKING
HANDSHAKING   -> REHANDSHAKING CONNECTING DISCONNECTING DISCONNECTED
REHANDSHAKING -> REHANDSHAKING CONNECTING DISCONNECTING DISCONNECTED
CONNECTING    -> REHANDSHAKING CONNECTED UNCONNECTED DISCONNECTING DISCONNECTED
CONNECTED     -> REHANDSHAKING CONNECTED UNCONNECTED DISCONNECTING DISCONNECTED
UNCONNECTED   -> REHANDSHAKING CONNECTED UNCONNECTED DISCONNECTING DISCONNECTED
DISCONNECTING -> DISCONNECTED
"""
ALLOWED = {
    (ClientState[state.strip()], ClientState[successor])
    for state, _, successors in (line.partition("->") for line in LAW.strip().splitlines())
    for successor in successors.split()
}


@pytest.mark.parametrize(("state", "successor"), list(itertools.product(S, S)))
def test_each_cell_of_the_table(state: ClientState, successor: ClientState) -> None:
    if (state, successor) in ALLOWED:
        assert follow(state, successor) is successor
    else:
        with pytest.raises(ValueError, match="may not follow"):
            follow(state, successor)


def test_every_state_is_left_and_reached() -> None:
    assert set(TRANSITIONS) == set(S)
    assert set().union(*TRANSITIONS.values()) == set(S)


def test_a_change_tells_little_by_default() -> None:
    assert StateChange(S.HANDSHAKING) == (S.HANDSHAKING, None, None, False, None, 0, 0.0)
    change = StateChange(S.CONNECTED, "id", ConnectionType.WEBSOCKET, resumed=True)
    assert change.resumed
