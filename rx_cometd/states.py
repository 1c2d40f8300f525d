"""The states of a client, and which may follow which.

Everything that says how states follow each other is in `TRANSITIONS`; a pair that is not in it
cannot happen. After BayeuxClient.java, whose states these are but for two: what Java calls
HANDSHAKEN and CONNECTING is one state here (nothing is allowed in one and not in the other),
and TERMINATING is a moment, not a state, where nothing waits in between.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from rx_cometd.connection_types import ConnectionType

__all__ = ["TRANSITIONS", "ClientState", "StateChange", "follow"]


class ClientState(Enum):
    """The states of a client."""

    DISCONNECTED = "disconnected"
    """No session, and the client is not trying to get one."""
    HANDSHAKING = "handshaking"
    """The first handshake is under way."""
    REHANDSHAKING = "rehandshaking"
    """A handshake failed, or the session was lost; the client tries to get a new one."""
    CONNECTING = "connecting"
    """The handshake succeeded; the first connect has not been answered yet."""
    CONNECTED = "connected"
    """The last connect was answered."""
    UNCONNECTED = "unconnected"
    """The last connect failed; the client tries to resume the session, which may still exist."""
    DISCONNECTING = "disconnecting"
    """The client sent a disconnect and waits for the answer."""


_S = ClientState

TRANSITIONS: Final[dict[ClientState, frozenset[ClientState]]] = {
    _S.DISCONNECTED: frozenset({_S.HANDSHAKING}),
    _S.HANDSHAKING: frozenset({_S.REHANDSHAKING, _S.CONNECTING, _S.DISCONNECTING, _S.DISCONNECTED}),
    _S.REHANDSHAKING: frozenset(
        {_S.REHANDSHAKING, _S.CONNECTING, _S.DISCONNECTING, _S.DISCONNECTED}
    ),
    _S.CONNECTING: frozenset(
        {_S.CONNECTED, _S.UNCONNECTED, _S.REHANDSHAKING, _S.DISCONNECTING, _S.DISCONNECTED}
    ),
    _S.CONNECTED: frozenset(
        {_S.CONNECTED, _S.UNCONNECTED, _S.REHANDSHAKING, _S.DISCONNECTING, _S.DISCONNECTED}
    ),
    _S.UNCONNECTED: frozenset(
        {_S.CONNECTED, _S.UNCONNECTED, _S.REHANDSHAKING, _S.DISCONNECTING, _S.DISCONNECTED}
    ),
    _S.DISCONNECTING: frozenset({_S.DISCONNECTED}),
}


def follow(state: ClientState, successor: ClientState) -> ClientState:
    """Give the successor of a state.

    Raises:
        ValueError: It may not follow: a fault of this library, never of the server.
    """
    if successor not in TRANSITIONS[state]:
        raise ValueError(f"{successor} may not follow {state}")
    return successor


class StateChange(NamedTuple):
    """A change of a client's state.

    Attributes:
        state: The new state of the client.
        client_id: The server's name for the session, ``None`` while there is none.
        connection_type: The transport in use, ``None`` before the first is tried.
        resumed: On ``CONNECTED``: whether it is the session of before, so that the server may
            have kept messages. ``False`` on a new session, and in every other state.
        error: What caused the change, ``None`` if nothing went wrong. A change to the
            same state, with an error, reports a refusal that is retried.
        attempt: The number of the next attempt in a row, from 1; 0 if there is no next attempt.
        delay: Seconds until that attempt.
    """

    state: ClientState
    client_id: str | None = None
    connection_type: ConnectionType | None = None
    resumed: bool = False
    error: Exception | None = None
    attempt: int = 0
    delay: float = 0.0
