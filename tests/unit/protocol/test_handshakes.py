"""Handshakes: what is sent, and what their replies and failures lead to."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Changed, Due, Lane, Step
from rx_cometd.exceptions import (
    AuthenticationError,
    ClientError,
    ClientInvalidOperation,
    ExtensionError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState as S
from rx_cometd.states import StateChange
from tests.unit.protocol.driver import (
    HANDSHAKE,
    LP,
    NONE,
    NOT_FOUND,
    RETRY,
    WS,
    Driver,
    advised,
    event,
    reply_to,
)

# -- handshake -----------------------------------------------------------------------------------


def test_opening_makes_a_handshake_due() -> None:
    driver = Driver()
    driver.open()
    driver.assert_states(S.HANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.assert_nothing_sent()


def test_a_session_is_opened_once() -> None:
    driver = Driver()
    driver.open()
    with pytest.raises(ClientInvalidOperation):
        driver.protocol.open(driver.now)
    driver.do(lambda: driver.protocol.end(None))
    with pytest.raises(ClientInvalidOperation):
        driver.protocol.open(driver.now)


def test_a_handshake_says_what_the_client_speaks() -> None:
    driver = Driver(LP, WS)
    driver.open()
    message = driver.take_step()
    assert message == {
        "channel": "/meta/handshake",
        "id": message["id"],
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": ["long-polling", "websocket"],
    }
    # Half of the resume_timeout: another transport is still to be tried.
    assert [(payload.lane, payload.timeout) for payload in driver.sent] == [(Lane.HANDSHAKE, 5)]
    alone = Driver(LP)
    alone.open()
    alone.take_step()
    assert [payload.timeout for payload in alone.sent] == [10]


def test_a_handshake_carries_the_users_fields_below_its_own() -> None:
    driver = Driver()
    driver.open()
    message = driver.take_step(ext={"token": "x"}, id="mine", version="9", channel="/y")
    assert message["ext"] == {"token": "x"}
    assert message["version"] == "1.0"
    assert message["channel"] == "/meta/handshake"
    assert message["id"] != "mine"


def test_a_handshake_reply_begins_a_session_whose_first_connect_is_due() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), clientId="abc", advice={"interval": 500})
    assert driver.of(Changed) == [Changed(StateChange(S.CONNECTING, "abc", WS))]
    driver.assert_due(Step.CONNECT, 0.5)


@pytest.mark.parametrize("client_id", [{}, {"clientId": ""}, {"clientId": 5}, {"clientId": None}])
def test_a_handshake_reply_without_client_id_is_none(client_id: dict[str, Any]) -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), **client_id)
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 1.0)


def test_a_late_handshake_reply_is_dropped() -> None:
    driver = Driver()
    driver.open()
    late = driver.take_step()
    driver.fail(late)
    driver.handshaken(clientId="new")
    driver.answer(late, clientId="late")
    assert driver.happened == []
    assert driver.protocol.client_id == "new"


def test_a_second_reply_to_the_same_handshake_is_dropped() -> None:
    driver = Driver()
    driver.open()
    request = driver.take_step()
    driver.receive(reply_to(request, clientId="first"), reply_to(request, clientId="second"))
    assert driver.protocol.client_id == "first"
    driver.assert_states(S.CONNECTING)


@pytest.mark.parametrize(
    "advice", [{}, advised(RETRY), advised(HANDSHAKE), advised({"interval": 0})]
)
def test_a_refused_handshake_is_repeated_with_growing_delays(advice: dict[str, Any]) -> None:
    driver = Driver()
    driver.open()
    for delay in (1.0, 2.0, 4.0, 4.0):
        driver.refuse(driver.take_step(), **advice)
        driver.assert_states(S.REHANDSHAKING)
        driver.assert_due(Step.HANDSHAKE, delay)


def test_the_interval_is_added_to_the_delay_of_the_next_handshake_only() -> None:
    driver = Driver()
    driver.open()
    driver.refuse(driver.take_step(), advice={"interval": 5000})
    driver.assert_due(Step.HANDSHAKE, 6.0)
    driver.refuse(driver.take_step())
    driver.assert_due(Step.HANDSHAKE, 2.0)


@pytest.mark.parametrize("advice", [NONE, {"reconnect": "retry", "interval": -1}])
def test_a_handshake_refused_for_good_ends_the_session(advice: dict[str, Any]) -> None:
    driver = Driver()
    driver.open()
    driver.refuse(driver.take_step(), "403::handshake_denied", advice=advice)
    driver.assert_states(S.DISCONNECTED)
    error = driver.assert_ended(AuthenticationError)
    assert isinstance(error, ServerError)
    assert error.error_code == 403
    driver.assert_nothing_due()


@pytest.mark.parametrize("error", [TransportError("refused"), ProtocolError("garbage")])
def test_a_handshake_that_got_lost_is_repeated_over_the_same_transport(error: Exception) -> None:
    driver = Driver()
    driver.open()
    for delay in (1.0, 2.0, 4.0, 4.0):
        driver.fail(driver.take_step(), error=error)
        driver.assert_states(S.REHANDSHAKING)
        driver.assert_due(Step.HANDSHAKE, delay)
        assert driver.protocol.connection_type is WS


def test_an_opening_that_an_extension_fails_twice_ends_with_its_error() -> None:
    driver = Driver()
    driver.open()
    driver.fail(driver.take_step(), error=ExtensionError("once"))
    driver.assert_states(S.REHANDSHAKING)
    driver.fail(driver.take_step(), error=TransportError("the network, in between"))
    driver.assert_states(S.REHANDSHAKING)
    driver.fail(driver.take_step(), error=ExtensionError("twice"))
    driver.assert_states(S.DISCONNECTED)
    assert str(driver.assert_ended(ExtensionError)) == "twice"


def test_a_handshake_that_could_not_be_made_is_tried_again() -> None:
    driver = Driver()
    driver.open()
    driver.do(lambda: driver.protocol.handshake_unready(LookupError("no fields"), 0.0))
    driver.assert_due(Step.HANDSHAKE, 1.0)
    driver.take_step()
    driver.do(lambda: driver.protocol.handshake_unready(LookupError("too late"), 0.0))
    assert driver.happened == []


def test_a_successful_handshake_may_forbid_to_connect() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), clientId="abc", advice=NONE)
    driver.assert_ended(ServerError)
    driver.assert_nothing_due()


def test_handshake_advice_on_a_successful_handshake_does_not_repeat_it() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), clientId="abc", advice=HANDSHAKE)
    driver.assert_due(Step.CONNECT, 0.0)


def test_advice_of_the_old_session_is_forgotten_at_the_handshake() -> None:
    """Salesforce's handshake reply carries none, and a stale one would repeat for ever."""
    driver = Driver().connected(advice={"interval": 7000, "timeout": 5000, "maxInterval": 1})
    driver.refuse(driver.take_step(), advice={**HANDSHAKE, "interval": 3000})
    driver.answer(driver.take_step(), clientId="b")
    driver.assert_due(Step.CONNECT, 0.0)
    driver.refuse(driver.take_step(), "503::busy")
    driver.assert_due(Step.CONNECT, 1.0)
    driver.take_step()
    assert driver.sent[0].timeout == 5.0
    assert driver.protocol.advice.timeout == 60.0


# -- messages that the handshake delivers --------------------------------------------------------


def test_the_connect_waits_for_the_messages_that_the_handshake_delivers() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), **{"clientId": "a", "x-messages": 3})
    driver.assert_due(Step.CONNECT, 10.0)
    driver.receive(event(), event())
    driver.assert_nothing_due()
    driver.receive(event())
    driver.assert_due(Step.CONNECT, 0.0)


def test_messages_that_come_in_the_payload_of_the_handshake_reply_count() -> None:
    driver = Driver()
    driver.open()
    reply = reply_to(
        driver.take_step(), **{"clientId": "a", "x-messages": 2, "advice": {"interval": 9}}
    )
    driver.receive(reply, event(), event())
    driver.assert_due(Step.CONNECT, 0.009)


def test_replies_are_no_messages_that_were_waited_for() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), **{"clientId": "a", "x-messages": 1})
    driver.publish()
    driver.answer(driver.message("/chat"))
    driver.assert_nothing_due()


def test_messages_that_never_come_are_not_waited_for_for_ever() -> None:
    driver = Driver(max_network_delay=3.0)
    driver.open()
    driver.answer(driver.take_step(), **{"clientId": "a", "x-messages": 2})
    driver.assert_due(Step.CONNECT, 3.0)
    connect = driver.take_step()
    # They come after all: that must not bring a second connect.
    driver.receive(event(), event(), event())
    driver.assert_nothing_due()
    driver.do(lambda: driver.protocol.connect(driver.now))
    driver.assert_nothing_sent()
    driver.answer(connect)
    driver.assert_due(Step.CONNECT)


@pytest.mark.parametrize("announced", [0, -1, None, "2", 1.5, []])
def test_a_strange_count_of_messages_is_none(announced: object) -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), **{"clientId": "a", "x-messages": announced})
    driver.assert_due(Step.CONNECT, 0.0)


# -- negotiation and fallback --------------------------------------------------------------------


def test_a_server_without_the_first_preference_gets_the_next_one_at_once() -> None:
    driver = Driver(WS, LP)
    driver.open()
    driver.fail(driver.take_step(), error=NOT_FOUND)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.take_step()
    assert driver.protocol.connection_type is LP


@pytest.mark.parametrize(
    "error",
    [
        TransportTimeoutError("silence"),
        TransportConnectionClosed("cut"),
        TransportError(http_status=503),
    ],
)
def test_a_transport_that_may_be_blocked_gives_way_but_is_tried_again(error: Exception) -> None:
    driver = Driver(WS, LP)
    driver.open()
    tried: list[object] = []
    delays: list[float] = []
    for _ in range(4):
        request = driver.take_step()
        tried.append(driver.protocol.connection_type)
        driver.fail(request, error=error)
        delays += [due.delay for due in driver.of(Due)]
    assert tried == [WS, LP, WS, LP]
    assert delays == [0.0, 1.0, 0.0, 2.0]


@pytest.mark.parametrize("types", [(WS,), (LP,), (WS, LP)])
def test_a_server_that_speaks_none_of_the_transports_ends_the_session(types: Any) -> None:
    driver = Driver(*types)
    driver.open()
    for _ in types:
        driver.fail(driver.take_step(), error=NOT_FOUND)
    error = driver.assert_ended(ClientError)
    assert error is not None
    assert error.__cause__ is NOT_FOUND
    assert ", ".join(types) in str(error)


def test_no_common_transport_ends_the_session_and_no_connect_is_sent() -> None:
    driver = Driver(LP)
    driver.open()
    request = driver.take_step()
    driver.answer(request, clientId="a", supportedConnectionTypes=["websocket"])
    driver.assert_ended(ClientError)
    driver.assert_nothing_due()
    driver.assert_nothing_sent()


def test_the_handshake_reply_decides() -> None:
    driver = Driver(WS, LP)
    driver.open()
    driver.fail(driver.take_step(), error=NOT_FOUND)
    driver.answer(
        driver.take_step(), clientId="a", supportedConnectionTypes=["websocket", "long-polling"]
    )
    assert [changed.change.connection_type for changed in driver.of(Changed)] == [LP]


def test_a_handshake_that_came_through_is_not_undone_by_a_404_of_a_connect() -> None:
    driver = Driver(LP).handshaken(supportedConnectionTypes=["long-polling"])
    driver.fail(driver.take_step(), error=NOT_FOUND)
    driver.assert_due(Step.CONNECT, 1.0)
    driver.refuse(driver.take_step(), "402::session_unknown", advice=HANDSHAKE)
    driver.handshaken().connected()
    assert driver.state is S.CONNECTED


def test_a_connect_that_is_blocked_goes_over_another_transport_of_the_server() -> None:
    driver = Driver(WS, LP).handshaken(supportedConnectionTypes=["websocket", "long-polling"])
    driver.fail(driver.take_step(), error=TransportTimeoutError("silence"))
    assert driver.take_step()["connectionType"] == "long-polling"


@pytest.mark.parametrize("error", [NOT_FOUND, TransportTimeoutError(), TransportConnectionClosed()])
def test_a_transport_that_worked_is_kept(error: Exception) -> None:
    driver = Driver(WS, LP).connected()
    driver.fail(driver.take_step(), error=error)
    assert driver.take_step()["connectionType"] == "websocket"


def test_where_the_server_wants_a_new_session_the_first_preference_is_tried_again() -> None:
    """A transport that a network error made doubtful must not be disabled for ever."""
    driver = Driver(WS, LP)
    driver.open()
    driver.fail(driver.take_step(), error=TransportTimeoutError("silence"))
    driver.handshaken().connected()
    assert driver.protocol.connection_type is LP
    driver.refuse(driver.take_step(), "402::session_unknown", advice=HANDSHAKE)
    driver.take_step()
    assert driver.protocol.connection_type is WS


BAD_CERTIFICATE = TransportError("the certificate is not accepted", final=True)


def test_what_waiting_cannot_mend_ends_the_opening_at_once() -> None:
    driver = Driver(WS, LP)
    driver.open()
    driver.fail(driver.take_step(), error=BAD_CERTIFICATE)
    assert driver.assert_ended(TransportError) is BAD_CERTIFICATE


def test_what_worked_before_is_tried_again_whatever_the_error() -> None:
    """A certificate that has expired may be renewed while the session is sought again."""
    driver = Driver(WS, LP).connected()
    driver.refuse(driver.take_step(), "402::session_unknown", advice=HANDSHAKE)
    driver.fail(driver.take_step(), error=BAD_CERTIFICATE)
    assert driver.state is S.REHANDSHAKING
