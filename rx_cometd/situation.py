"""Where a session is: its state, its name, the step that is due, and whether it is over.

The one place where the state changes. How it comes to change is decided in `control`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.outcomes import Changed, Due, Outcome, Step
from rx_cometd.states import ClientState, StateChange, follow

if TYPE_CHECKING:
    from rx_cometd.connection_types import ConnectionType

__all__ = ["Situation"]


class Situation:
    """The situation of a session, told as it changes.

    Args:
        outcomes: Where changes, and steps that are due, are put.

    Attributes:
        state: The state.
        client_id: The server's name for the session, ``None`` while there is none.
        connection_type: The transport in use, ``None`` before the first is tried.
        due: The step that is due, ``None`` while one is under way.
        over: Whether the session is over.
        error: Why, ``None`` where it was closed in order.
        awaits_credentials: Whether the cycle waits for new credentials.
    """

    def __init__(self, outcomes: list[Outcome]) -> None:
        self._outcomes = outcomes
        self.state = ClientState.DISCONNECTED
        self.client_id: str | None = None
        self.connection_type: ConnectionType | None = None
        self.due: Step | None = None
        self.over = False
        self.error: Exception | None = None
        self.awaits_credentials = False
        self._awaited_messages = 0

    def begin(self, step: Step) -> bool:
        """Take a step, if it is the one that is due: a timer may be late, and one too many."""
        if self.due is not step:
            return False
        self.due = None
        return True

    def end(self, error: Exception | None) -> None:
        """Be over: nothing is due any more."""
        if not self.over:
            self.over = True
            self.error = error
            self.due = None
            self._awaited_messages = 0
            self.awaits_credentials = False
            if self.state is not ClientState.DISCONNECTED:
                self._become(ClientState.DISCONNECTED, error)

    def _due(self, step: Step, delay: float) -> None:
        self.due = step
        self._outcomes.append(Due(step, delay))

    def _become(
        self, state: ClientState, error: Exception | None = None, *, resumed: bool = False
    ) -> None:
        if state is self.state is ClientState.CONNECTED:
            return
        self.state = follow(self.state, state)
        change = StateChange(state, self.client_id, self.connection_type, resumed, error)
        self._outcomes.append(Changed(change))
