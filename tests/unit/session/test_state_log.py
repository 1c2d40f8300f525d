"""What the log says of the life of a session: enough to follow it, and nothing to act with."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from yarl import URL

from rx_cometd import ClientState, ConnectionType, StateChange, TransportError
from rx_cometd._session.state_log import log_attempt, log_change

URL_WITH_SECRETS = URL("https://me:pw@example.com:8443/cometd?token=t")


def logged(caplog: pytest.LogCaptureFixture) -> tuple[str, dict[str, Any]]:
    (record,) = caplog.records
    assert record.name == "rx_cometd.session"
    assert record.levelno == logging.INFO
    return record.getMessage(), record.__dict__


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            StateChange(ClientState.CONNECTED, "id-7", ConnectionType.WEBSOCKET),
            "example.com:8443 connected (over websocket, new session)",
        ),
        (
            StateChange(ClientState.CONNECTED, "id-7", ConnectionType.LONG_POLLING, resumed=True),
            "example.com:8443 connected (over long-polling, session resumed)",
        ),
        (
            StateChange(ClientState.UNCONNECTED, "id-7", error=TransportError("gone")),
            "example.com:8443 unconnected (gone)",
        ),
    ],
)
def test_a_change_is_told_without_what_would_let_one_act_for_the_client(
    change: StateChange, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rx_cometd.session")
    log_change(change, URL_WITH_SECRETS)
    message, facts = logged(caplog)
    assert message == text
    assert facts["event"] == "state_changed"
    assert (facts["state"], facts["resumed"]) == (change.state.value, change.resumed)
    assert facts["error_type"] == (None if change.error is None else "TransportError")
    assert (facts["server_address"], facts["server_port"]) == ("example.com", 8443)
    for secret in ("id-7", "pw", "token"):
        assert secret not in message
        assert secret not in map(str, facts.values())


def test_an_attempt_that_is_put_off_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rx_cometd.session")
    error = TransportError("busy")
    log_attempt(StateChange(ClientState.CONNECTED, error=error, attempt=3, delay=1.25))
    message, facts = logged(caplog)
    assert message == "tried again in 1.2 s: busy"
    assert facts["event"] == "attempt_scheduled"
    assert (facts["attempt"], facts["delay"], facts["error_type"]) == (3, 1.25, "TransportError")
