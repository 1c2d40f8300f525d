from __future__ import annotations

from rx_cometd import ClientState, ConnectionType, ExtensionError, StateChange, TransportError
from rx_cometd.cli.link import LinkReport


def lost(why: str) -> StateChange:
    return StateChange(ClientState.UNCONNECTED, error=TransportError(why))


def connected(*, resumed: bool = False) -> StateChange:
    return StateChange(ClientState.CONNECTED, "s1", ConnectionType.WEBSOCKET, resumed=resumed)


def test_each_cause_of_an_outage_is_told_once() -> None:
    told: list[str] = []
    report = LinkReport(lambda text, _style: told.append(text))
    for change in (connected(), *[lost("a"), lost("b")] * 5, connected(resumed=True), lost("a")):
        report(change)
    assert told == [
        "connected over websocket, session s1",
        "link lost, seeking it: a",
        "link lost, seeking it: b",
        "connected over websocket, the same session s1",
        "link lost, seeking it: a",
    ]


def test_what_an_extension_refuses_at_first_is_the_commands_to_tell() -> None:
    told: list[str] = []
    report = LinkReport(lambda text, _style: told.append(text))
    refused = StateChange(ClientState.REHANDSHAKING, error=ExtensionError("no token"))
    report(refused)
    assert told == []
    report(connected())
    report(refused)  # sought again, so nobody else tells
    assert told[1:] == ["seeking a new session: no token"]


def test_steps_without_news_are_not_told() -> None:
    told: list[str] = []
    report = LinkReport(lambda text, _style: told.append(text))
    for state in (ClientState.HANDSHAKING, ClientState.CONNECTING, ClientState.DISCONNECTED):
        report(StateChange(state))
    assert told == []


def test_a_link_that_is_not_sought_again_is_not_said_to_be() -> None:
    told: list[str] = []
    report = LinkReport(lambda text, _style: told.append(text), reconnect=False)
    for change in (lost("a"), connected(), lost("b")):
        report(change)
    assert told == ["link lost, seeking it: a", "connected over websocket, session s1"]
