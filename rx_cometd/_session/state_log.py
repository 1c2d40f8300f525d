"""How the life of a session is logged: changes of the state, and attempts that are put off."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from yarl import URL

    from rx_cometd.states import StateChange

__all__ = ["log_attempt", "log_change"]

_log = logging.getLogger("rx_cometd.session")


def log_change(change: StateChange, url: URL) -> None:
    """Log a change of the state.

    Args:
        change: The change.
        url: The server's address, of which host and port are told.
    """
    # Without the client id: whoever has it can act for the client.
    error, kind = change.error, change.connection_type
    notes = [] if kind is None else [f"over {kind.value}"]
    if change.state is ClientState.CONNECTED:
        notes.append("session resumed" if change.resumed else "new session")
    if error is not None:
        notes.append(str(error))
    _log.info(
        "%s:%s %s%s",
        url.host,
        url.port,
        change.state.value,
        f" ({', '.join(notes)})" if notes else "",
        extra={
            "event": "state_changed",
            "state": change.state.value,
            "connection_type": None if kind is None else kind.value,
            "resumed": change.resumed,
            "error_type": None if error is None else type(error).__name__,
            "server_address": url.host,
            "server_port": url.port,
        },
    )


def log_attempt(change: StateChange) -> None:
    """Log when the next attempt is, and why it is needed."""
    _log.info(
        "tried again in %.1f s: %s",
        change.delay,
        change.error,
        extra={
            "event": "attempt_scheduled",
            "attempt": change.attempt,
            "delay": change.delay,
            "error_type": type(change.error).__name__,
        },
    )
