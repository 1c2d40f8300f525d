"""The handshake and connect cycle, row by row of the reference clients' behaviour."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Changed, Due, Ended, Lane, Step, Unauthorized
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
    RETRY,
    WS,
    Driver,
    event,
    refusal_of,
    reply_to,
)

UNKNOWN = ["402::session_unknown", "401:abc:Unknown client", "403::Unknown client"]
NOT_FOUND = TransportError("not found", http_status=404)
DENIED = TransportError("denied", http_status=401)


def advised(advice: dict[str, Any]) -> dict[str, Any]:
    return {"advice": advice}


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


# -- connect -------------------------------------------------------------------------------------


def test_the_first_connect_asks_not_to_be_held_and_the_next_ones_do_not() -> None:
    driver = Driver().handshaken()
    first = driver.take_step()
    assert first == {
        "channel": "/meta/connect",
        "id": first["id"],
        "clientId": "client-1",
        "connectionType": "websocket",
        "advice": {"timeout": 0},
    }
    assert [payload.lane for payload in driver.sent] == [Lane.CONNECT]
    driver.answer(first)
    driver.assert_states(S.CONNECTED)
    driver.assert_due(Step.CONNECT, 0.0)
    second = driver.take_step()
    assert "advice" not in second
    assert second["id"] != first["id"]


def test_a_connect_names_the_connection_type_that_was_chosen() -> None:
    driver = Driver(WS, LP).handshaken(supportedConnectionTypes=["long-polling"])
    assert driver.take_step()["connectionType"] == "long-polling"


def test_a_held_connect_may_take_the_servers_timeout_and_the_network_delay() -> None:
    driver = Driver(max_network_delay=7.0).handshaken(advice={"timeout": 30000})
    driver.take_step()
    assert driver.sent[0].timeout == 7.0
    driver = Driver(max_network_delay=7.0).connected(advice={"timeout": 30000})
    driver.take_step()
    assert driver.sent[0].timeout == 37.0


@pytest.mark.parametrize(("resume_timeout", "expected"), [(2.0, 2.0), (20.0, 7.0)])
def test_a_connect_that_resumes_a_session_is_given_little_time(
    resume_timeout: float, expected: float
) -> None:
    driver = Driver(max_network_delay=7.0, resume_timeout=resume_timeout).connected()
    driver.fail(driver.take_step())
    assert driver.take_step()["advice"] == {"timeout": 0}
    assert driver.sent[0].timeout == expected


def test_only_one_step_is_taken_however_often_a_timer_fires() -> None:
    driver = Driver()
    driver.do(lambda: driver.protocol.handshake({}))
    driver.assert_nothing_sent()
    driver.open()
    driver.do(lambda: driver.protocol.connect(0.0))
    driver.assert_nothing_sent()
    handshake = driver.take_step()
    driver.do(lambda: driver.protocol.handshake({}))
    driver.assert_nothing_sent()
    driver.answer(handshake, clientId="a")
    driver.do(lambda: driver.protocol.handshake({}))
    driver.assert_nothing_sent()
    driver.take_step()
    driver.do(lambda: driver.protocol.connect(0.0))
    driver.assert_nothing_sent()


def test_a_state_is_told_once_however_many_connects_succeed() -> None:
    driver = Driver().connected()
    for _ in range(3):
        driver.answer(driver.take_step())
        driver.assert_states()
        driver.assert_due(Step.CONNECT, 0.0)


def test_the_next_connect_waits_for_the_interval() -> None:
    driver = Driver().connected(advice={"interval": 2000})
    driver.assert_due(Step.CONNECT, 2.0)
    driver.answer(driver.take_step())
    driver.assert_due(Step.CONNECT, 2.0)
    driver.answer(driver.take_step(), advice={"interval": 0})
    driver.assert_due(Step.CONNECT, 0.0)


def test_multiple_clients_advice_is_obeyed_by_polling() -> None:
    driver = Driver().connected(advice={"interval": 2000, "multiple-clients": True})
    driver.assert_due(Step.CONNECT, 2.0)
    driver.assert_goes_on()


@pytest.mark.parametrize("failed", [True, False])
def test_a_late_connect_reply_of_an_earlier_cycle_is_dropped(*, failed: bool) -> None:
    driver = Driver().connected()
    late = driver.take_step()
    driver.fail(late)
    current = driver.take_step()
    driver.receive(refusal_of(late, advice=NONE) if failed else reply_to(late, advice=NONE))
    assert driver.happened == []
    driver.fail(late)
    assert driver.happened == []
    driver.answer(current)
    driver.assert_states(S.CONNECTED)


def test_a_late_connect_reply_of_an_earlier_session_is_dropped() -> None:
    driver = Driver().connected()
    late = driver.take_step()
    driver.refuse(late, "402::session_unknown")
    driver.handshaken()
    driver.answer(late, advice=NONE)
    assert driver.happened == []
    assert driver.state is S.CONNECTING


def test_a_reply_that_was_given_up_does_not_start_a_second_loop() -> None:
    driver = Driver().connected()
    overtaken = driver.take_step()
    driver.fail(overtaken, error=TransportTimeoutError("late"))
    retried = driver.take_step()
    driver.receive(reply_to(overtaken), reply_to(retried), reply_to(overtaken))
    assert len(driver.of(Due)) == 1


# -- advice on connect replies -------------------------------------------------------------------


def test_a_connected_session_may_be_ended_by_the_server() -> None:
    driver = Driver().connected()
    driver.answer(driver.take_step(), advice=NONE)
    driver.assert_states(S.DISCONNECTED)
    driver.assert_ended(ServerError)
    driver.assert_nothing_due()


def test_a_session_may_be_ended_by_the_first_connect_reply() -> None:
    driver = Driver().handshaken()
    driver.answer(driver.take_step(), advice=NONE)
    driver.assert_states(S.CONNECTED, S.DISCONNECTED)
    driver.assert_ended(ServerError)


def test_handshake_advice_is_obeyed_on_success_too() -> None:
    driver = Driver().connected()
    driver.answer(driver.take_step(), advice=HANDSHAKE)
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    message = driver.take_step()
    assert "clientId" not in message


@pytest.mark.parametrize("error", ["500::oops", "404::unknown", *UNKNOWN, ""])
def test_a_refused_connect_follows_its_advice_whatever_the_code(error: str) -> None:
    for advice, state, step, delay in (
        (RETRY, S.UNCONNECTED, Step.CONNECT, 1.0),
        (HANDSHAKE, S.REHANDSHAKING, Step.HANDSHAKE, 0.0),
        ({"reconnect": "handshake", "interval": 300}, S.REHANDSHAKING, Step.HANDSHAKE, 0.3),
    ):
        driver = Driver().connected()
        driver.refuse(driver.take_step(), error, advice=advice)
        driver.assert_states(state)
        driver.assert_due(step, delay)
    driver = Driver().connected()
    driver.refuse(driver.take_step(), error, advice=NONE)
    driver.assert_ended(ServerError)


@pytest.mark.parametrize("error", UNKNOWN)
def test_an_unknown_client_without_advice_shakes_hands_again(error: str) -> None:
    driver = Driver().connected(advice=RETRY)
    driver.refuse(driver.take_step(), error)
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)


def test_another_refusal_without_advice_is_retried() -> None:
    driver = Driver().connected()
    driver.refuse(driver.take_step(), "402:clientId:Missing required parameter")
    driver.assert_states(S.UNCONNECTED)
    driver.assert_due(Step.CONNECT, 1.0)


@pytest.mark.parametrize(
    ("known", "step"),
    [(RETRY, Step.CONNECT), (HANDSHAKE, Step.HANDSHAKE), ({"timeout": 1}, Step.CONNECT)],
)
def test_without_advice_what_the_server_said_last_counts(known: dict[str, Any], step: Step) -> None:
    driver = Driver().handshaken(advice=known)
    driver.refuse(driver.take_step(), "500::oops")
    assert [due.step for due in driver.of(Due)] == [step]


@pytest.mark.parametrize("advice", [None, [], "none", {"reconnect": "perhaps"}])
def test_advice_that_cannot_be_read_is_none(advice: object) -> None:
    driver = Driver().connected()
    driver.refuse(driver.take_step(), "500::oops", advice=advice)
    driver.assert_due(Step.CONNECT, 1.0)


# -- losing and resuming the link ----------------------------------------------------------------


def test_a_lost_connect_is_retried_with_growing_delays_that_a_held_one_resets() -> None:
    driver = Driver().connected()
    for _ in range(2):
        for delay in (1.0, 2.0, 4.0, 4.0):
            driver.fail(driver.take_step())
            driver.assert_states(S.UNCONNECTED)
            driver.assert_due(Step.CONNECT, delay)
        driver.answer(driver.take_step())
        driver.assert_due(Step.CONNECT, 0.0)
        driver.answer(driver.take_step())


def test_a_server_that_fails_every_connect_it_is_to_hold_is_left_alone_more_and_more() -> None:
    """The one that asks not to be held is answered each time, which proves little."""
    driver = Driver().connected()
    delays: list[float] = []
    for _ in range(5):
        driver.fail(driver.take_step())
        delays += [due.delay for due in driver.of(Due)]
        driver.answer(driver.take_step())
        assert driver.state is S.CONNECTED
    assert delays == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_an_event_on_a_link_that_fails_proves_more() -> None:
    driver = Driver().connected()
    for _ in range(5):
        connect = driver.take_step()
        driver.receive(event())
        driver.fail(connect)
        driver.assert_due(Step.CONNECT, 1.0)
        driver.answer(driver.take_step())


def test_the_interval_is_added_to_the_delay() -> None:
    driver = Driver().connected(advice={"interval": 500})
    driver.fail(driver.take_step())
    driver.assert_due(Step.CONNECT, 1.5)


def test_a_resumed_session_is_told_from_a_new_one() -> None:
    driver = Driver().handshaken()
    driver.answer(driver.take_step())
    assert [changed.change.resumed for changed in driver.of(Changed)] == [False]
    driver.fail(driver.take_step())
    driver.answer(driver.take_step())
    assert [changed.change.resumed for changed in driver.of(Changed)] == [True]
    driver.refuse(driver.take_step(), advice=HANDSHAKE)
    driver.handshaken()
    driver.fail(driver.take_step())
    driver.answer(driver.take_step())
    assert [changed.change.resumed for changed in driver.of(Changed)] == [False]


def test_a_change_tells_what_brought_it_about() -> None:
    driver = Driver().connected()
    error = TransportConnectionClosed("cut off")
    driver.fail(driver.take_step(), error=error)
    assert driver.of(Changed) == [
        Changed(StateChange(S.UNCONNECTED, "client-1", WS, error=error, attempt=1, delay=1.0))
    ]


def test_a_session_that_the_server_must_have_forgotten_is_not_resumed() -> None:
    advice = {"timeout": 3000, "interval": 1000, "maxInterval": 4000}
    driver = Driver().connected(advice=advice)
    # Lifetime 3 + 1 + 4 = 8, at least four fifths of 4; retries with 1 + 1, 1 + 2, 1 + 4 seconds.
    for delay in (2.0, 1.2, 4.8):
        driver.fail(driver.take_step())
        (due,) = driver.of(Due)
        assert (due.step, round(due.delay, 9)) == (Step.CONNECT, delay)
    driver.fail(driver.take_step())
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 1.0)


def test_the_time_of_being_down_begins_anew_after_a_success() -> None:
    driver = Driver(delays=[1.0]).connected(advice={"timeout": 0, "maxInterval": 2500})
    for _ in range(5):
        for _ in range(2):
            driver.fail(driver.take_step())
            driver.assert_due(Step.CONNECT, 1.0)
        driver.answer(driver.take_step())
    for _ in range(3):
        driver.fail(driver.take_step())
    driver.assert_due(Step.CONNECT, 0.5)
    driver.fail(driver.take_step())
    driver.assert_due(Step.HANDSHAKE, 0.0)


@pytest.mark.parametrize("advice", [{}, {"maxInterval": 0}])
def test_without_a_maximal_interval_a_session_is_sought_for_ever(advice: dict[str, Any]) -> None:
    driver = Driver().connected(advice={"timeout": 0, **advice})
    for _ in range(50):
        driver.fail(driver.take_step())
        assert driver.state is S.UNCONNECTED


def test_a_resuming_connect_that_is_not_answered_gives_way_to_a_handshake() -> None:
    """Faye holds a second connect while it still has the one of the dead link."""
    driver = Driver().connected()
    driver.fail(driver.take_step(), error=TransportTimeoutError("silence"))
    driver.assert_states(S.UNCONNECTED)
    driver.fail(driver.take_step(), error=TransportTimeoutError("silence"))
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)


# -- no hot loops --------------------------------------------------------------------------------


def delays_of(driver: Driver, rounds: int, advice: dict[str, Any]) -> list[float]:
    """Give the delays of handshakes where connects get handshake advice for ever."""
    delays: list[float] = []
    for _ in range(rounds):
        driver.refuse(driver.take_step(), "301:x:Connection types not supported", advice=advice)
        delays += [due.delay for due in driver.of(Due)]
        driver.handshaken()
    return delays


def test_handshake_advice_on_every_refused_connect_does_not_spin() -> None:
    driver = Driver().handshaken()
    assert delays_of(driver, 5, HANDSHAKE) == [0.0, 1.0, 2.0, 4.0, 4.0]


def test_handshake_advice_on_every_successful_connect_does_not_spin() -> None:
    driver = Driver().handshaken()
    delays: list[float] = []
    for _ in range(5):
        driver.answer(driver.take_step(), advice=HANDSHAKE)
        delays += [due.delay for due in driver.of(Due)]
        driver.handshaken()
    assert delays == [0.0, 1.0, 2.0, 4.0, 4.0]


def test_a_server_that_forgets_each_session_after_its_first_connect_does_not_spin() -> None:
    """Behind a balancer without affinity, say: the first connect is answered, the next is not."""
    driver = Driver().connected()
    delays: list[float] = []
    for _ in range(4):
        driver.refuse(driver.take_step(), "402::session_unknown", advice=HANDSHAKE)
        delays += [due.delay for due in driver.of(Due)]
        driver.handshaken().connected()
    assert delays == [0.0, 1.0, 2.0, 4.0]


def test_after_a_connect_that_was_held_a_handshake_is_at_once_again() -> None:
    driver = Driver().handshaken()
    delays_of(driver, 3, HANDSHAKE)
    driver.connected()
    driver.answer(driver.take_step())
    driver.refuse(driver.take_step(), advice=HANDSHAKE)
    driver.assert_due(Step.HANDSHAKE, 0.0)


def test_an_interval_longer_than_the_delay_is_kept() -> None:
    driver = Driver().handshaken()
    advice = {"reconnect": "handshake", "interval": 1500}
    assert delays_of(driver, 3, advice) == [1.5, 1.5, 2.0]


def test_retry_advice_on_every_refused_connect_does_not_spin() -> None:
    driver = Driver().connected()
    for delay in (1.0, 2.0, 4.0, 4.0):
        driver.refuse(driver.take_step(), advice=RETRY)
        driver.assert_due(Step.CONNECT, delay)


def test_connects_answered_at_once_for_ever_do_not_spin() -> None:
    driver = Driver().connected(advice=RETRY)
    delays: list[float] = []
    for _ in range(10):
        driver.answer(driver.take_step(), advice=RETRY)
        delays += [due.delay for due in driver.of(Due)]
    assert delays == [0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 1.6, 1.6]


def test_connects_answered_at_once_with_what_nobody_wants_do_not_spin() -> None:
    driver = Driver(is_wanted="/wanted".__eq__).connected()
    delays: list[float] = []
    for channel in ("/other",) * 5 + ("/wanted",) + ("/other",) * 4:
        driver.receive(event(channel), reply_to(driver.take_step()))
        delays += [due.delay for due in driver.of(Due)]
    assert delays == [0, 0, 0, 0.1, 0.2, 0, 0, 0, 0, 0.1]


def test_answers_to_calls_are_wanted() -> None:
    driver = Driver(LP, is_wanted="/wanted".__eq__).connected()
    for _ in range(10):
        connect = driver.take_step()
        call = driver.publish("/service/x", call=True)
        driver.answer(driver.message("/service/x"))
        driver.receive(event("/service/x", id=call), reply_to(connect))
        driver.assert_due(Step.CONNECT, 0.0)


@pytest.mark.parametrize("order", ["by itself", "before the reply", "after the reply"])
def test_a_busy_server_is_not_slowed_down(order: str) -> None:
    driver = Driver().connected()
    for _ in range(10):
        reply = reply_to(driver.take_step())
        if order == "by itself":
            driver.receive(event())
            driver.receive(reply)
        elif order == "before the reply":
            driver.receive(event(), reply)
        else:
            driver.receive(reply, event())
        driver.assert_due(Step.CONNECT, 0.0)


def test_a_server_that_holds_connects_again_is_not_slowed_down_any_more() -> None:
    driver = Driver().connected()
    for _ in range(6):
        driver.answer(driver.take_step())
    driver.assert_due(Step.CONNECT, 0.4)
    request = driver.take_step()
    driver.now += 30
    driver.answer(request)
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


# -- disconnect and end --------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("first_connect", ["due", "sent", "answered", "next"])
def test_a_goodbye_is_said_where_there_is_a_link(first_connect: str, *, answered: bool) -> None:
    driver = Driver().handshaken()
    if first_connect in ("answered", "next"):
        driver.connected()
    if first_connect in ("sent", "next"):
        driver.take_step()
    driver.do(driver.protocol.disconnect)
    driver.assert_states(S.DISCONNECTING)
    (message,) = driver.assert_sent(Lane.DISCONNECT, "/meta/disconnect")
    assert message["clientId"] == "client-1"
    driver.assert_goes_on()
    # What was due is not due any more.
    driver.do(lambda: driver.protocol.connect(driver.now))
    driver.assert_nothing_sent()
    if answered:
        driver.answer(message)
    else:
        driver.fail(message)
    driver.assert_states(S.DISCONNECTED)
    driver.assert_ended(None)


def test_a_refused_goodbye_ends_the_session_all_the_same() -> None:
    driver = Driver().connected()
    driver.do(driver.protocol.disconnect)
    driver.refuse(driver.message("/meta/disconnect"), "402::session_unknown")
    driver.assert_ended(None)


def test_a_goodbye_answered_without_id_is_answered() -> None:
    driver = Driver().connected()
    driver.do(driver.protocol.disconnect)
    driver.receive({"channel": "/meta/disconnect", "successful": True})
    driver.assert_ended(None)


@pytest.mark.parametrize("answer", ["success", "refusal", "failure"])
def test_while_saying_goodbye_the_held_connect_changes_nothing(answer: str) -> None:
    driver = Driver().connected()
    held = driver.take_step()
    driver.do(driver.protocol.disconnect)
    if answer == "success":
        driver.answer(held, advice=NONE)
    elif answer == "refusal":
        driver.refuse(held, "402::session_unknown", advice=HANDSHAKE)
    else:
        driver.fail(held)
    assert driver.happened == []
    assert driver.state is S.DISCONNECTING


@pytest.mark.parametrize("successful", [True, False])
def test_goodbye_and_held_connect_may_be_answered_in_one_payload(*, successful: bool) -> None:
    driver = Driver().connected()
    held = driver.take_step()
    driver.do(driver.protocol.disconnect)
    disconnect = driver.message("/meta/disconnect")
    driver.receive(reply_to(disconnect), reply_to(held, successful=successful))
    driver.assert_states(S.DISCONNECTED)
    driver.assert_ended(None)


def test_messages_awaited_from_the_handshake_bring_no_connect_after_the_goodbye() -> None:
    driver = Driver()
    driver.open()
    driver.answer(driver.take_step(), **{"clientId": "a", "x-messages": 1})
    driver.do(driver.protocol.disconnect)
    driver.receive(event())
    driver.assert_nothing_due()


@pytest.mark.parametrize("state", ["new", "opened", "handshaking", "rehandshaking", "unconnected"])
def test_without_a_link_a_disconnect_just_ends_the_session(state: str) -> None:
    driver = Driver()
    if state == "unconnected":
        driver.connected()
        driver.fail(driver.take_step())
    elif state != "new":
        driver.open()
        if state != "opened":
            request = driver.take_step()
            if state == "rehandshaking":
                driver.refuse(request)
    driver.do(driver.protocol.disconnect)
    driver.assert_nothing_sent()
    driver.assert_ended(None)
    assert driver.state is S.DISCONNECTED


def test_a_disconnect_is_sent_once() -> None:
    driver = Driver().connected()
    driver.do(driver.protocol.disconnect)
    disconnect = driver.message("/meta/disconnect")
    driver.do(driver.protocol.disconnect)
    driver.assert_nothing_sent()
    driver.answer(disconnect)
    driver.do(driver.protocol.disconnect)
    assert driver.happened == []


@pytest.mark.parametrize("state", list(S))
def test_an_end_is_told_once_from_any_state(state: S) -> None:
    driver = in_state(state)
    error = TransportTimeoutError("given up")
    driver.do(lambda: driver.protocol.end(error))
    assert driver.assert_ended(TransportTimeoutError) is error
    assert driver.state is S.DISCONNECTED
    driver.do(lambda: driver.protocol.end(ValueError("again")))
    assert driver.happened == []
    assert driver.protocol._cycle.error is error  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("state", list(S))
def test_after_the_end_nothing_is_sent_whatever_comes(state: S) -> None:
    driver = in_state(state)
    requests: list[Any] = [
        {"channel": r.channel, "id": r.id, "clientId": "x"} for r in driver.outstanding
    ]
    driver.protocol.end(None)
    driver.protocol.handshake({})
    driver.protocol.connect(driver.now)
    driver.protocol.disconnect()
    driver.protocol.subscribe("/a")
    driver.protocol.resend()
    driver.protocol.authenticated()
    driver.do(lambda: driver.protocol.authentication_failed(DENIED))
    driver.assert_nothing_sent()
    driver.assert_ended(None)
    driver.receive(*[reply_to(request) for request in requests], {"channel": "/meta/disconnect"})
    driver.do(lambda: driver.protocol.lose(DENIED, driver.now))
    driver.fail(*requests)
    driver.assert_nothing_sent()
    assert driver.happened == []


def test_what_was_not_taken_before_the_end_is_not_sent_after_it() -> None:
    driver = Driver()
    driver.open()
    driver.protocol.handshake({})
    driver.do(lambda: driver.protocol.end(None))
    driver.assert_nothing_sent()


def in_state(state: S) -> Driver:
    """Give a driver in a state."""
    driver = Driver()
    if state is S.DISCONNECTED:
        return driver
    driver.open()
    if state is S.HANDSHAKING:
        driver.take_step()
    elif state is S.REHANDSHAKING:
        driver.refuse(driver.take_step())
    elif state is S.CONNECTING:
        driver.handshaken().take_step()
    else:
        driver.handshaken().connected().take_step()
    if state is S.UNCONNECTED:
        driver.do(lambda: driver.protocol.lose(TransportError("down"), driver.now))
    elif state is S.DISCONNECTING:
        driver.do(driver.protocol.disconnect)
    assert driver.state is state
    return driver


# -- the server disconnects -----------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"successful": True}, {}, {"id": "77"}])
def test_a_goodbye_of_the_server_ends_the_session(fields: dict[str, Any]) -> None:
    driver = Driver().connected()
    driver.receive({"channel": "/meta/disconnect", **fields})
    driver.assert_ended(ServerError)
    driver.assert_nothing_sent()


def test_a_goodbye_in_the_place_of_a_handshake_reply_is_the_end() -> None:
    driver = Driver()
    driver.open()
    request = driver.take_step()
    # Both happen before the session looks at the outcomes.
    driver.protocol.receive([{"channel": "/meta/disconnect"}], driver.now, [request["id"]])
    driver.finish(request)
    driver.assert_ended(ServerError)
    driver.assert_nothing_due()


def test_what_comes_with_the_goodbye_of_the_server_is_delivered_first() -> None:
    driver = Driver().connected()
    driver.receive(
        event(data=1), {"channel": "/meta/disconnect", "successful": True}, event(data=2)
    )
    assert [message.get("data") for message in driver.events] == [1, 2]
    driver.assert_ended(ServerError)


def test_what_the_server_says_beside_its_goodbye_is_the_reason() -> None:
    driver = Driver().connected()
    refusal = refusal_of(driver.take_step(), "403::Unknown client", advice=NONE)
    driver.receive({"channel": "/meta/disconnect"}, refusal)
    error = driver.assert_ended(ServerError)
    assert isinstance(error, ServerError)
    assert error.error == "403::Unknown client"


def test_a_goodbye_of_the_server_is_final_though_the_connect_succeeds() -> None:
    driver = Driver().connected()
    driver.receive({"channel": "/meta/disconnect"}, reply_to(driver.take_step()))
    driver.assert_ended(ServerError)
    assert driver.protocol.due is None


# -- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["status", "reply"])
@pytest.mark.parametrize("step", ["handshake", "first connect", "connect"])
def test_without_new_credentials_to_be_had_a_401_is_final(step: str, told: str) -> None:
    driver = Driver()
    request = at(driver, step)
    if told == "status":
        driver.fail(request, error=DENIED)
    else:
        driver.refuse(request, "401::Authentication invalid", advice=NONE)
    error = driver.assert_ended(AuthenticationError)
    assert error is not None
    if told == "status":
        assert error.__cause__ is DENIED


def at(driver: Driver, step: str) -> dict[str, Any]:
    """Bring a driver to where a request is outstanding. Gives the request."""
    if step == "handshake":
        driver.open()
    elif step == "first connect":
        driver.handshaken()
    else:
        driver.connected()
    return driver.take_step()


def test_a_handshake_refused_for_its_credentials_is_repeated_with_new_ones() -> None:
    driver = Driver(authenticates=True)
    driver.open()
    ext = {"sfdc": {"failureReason": "401::Authentication invalid"}}
    driver.refuse(driver.take_step(), "403::Handshake denied", advice=NONE, ext=ext)
    driver.assert_asks_credentials()
    driver.assert_nothing_due()
    driver.assert_states()
    driver.do(driver.protocol.authenticated)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.handshaken()
    driver.connected()


@pytest.mark.parametrize(
    ("advice", "step"),
    [
        ({}, Step.CONNECT),
        (advised(RETRY), Step.CONNECT),
        (advised(HANDSHAKE), Step.HANDSHAKE),
        # Salesforce: the session is dead, but new credentials open a new one.
        (advised(NONE), Step.HANDSHAKE),
    ],
)
def test_a_connect_refused_for_its_credentials_goes_on_with_new_ones(
    advice: dict[str, Any], step: Step
) -> None:
    driver = Driver(authenticates=True).connected()
    driver.refuse(driver.take_step(), "401::Authentication invalid", **advice)
    driver.assert_asks_credentials()
    driver.assert_states(S.UNCONNECTED)
    driver.assert_nothing_due()
    driver.do(driver.protocol.authenticated)
    driver.assert_due(step, 0.0)
    driver.assert_states(*([S.REHANDSHAKING] if step is Step.HANDSHAKE else []))


def test_a_connect_that_http_refuses_for_its_credentials_goes_on_with_new_ones() -> None:
    driver = Driver(authenticates=True).connected()
    driver.fail(driver.take_step(), error=DENIED)
    assert driver.assert_asks_credentials() is DENIED
    driver.do(driver.protocol.authenticated)
    driver.assert_due(Step.CONNECT, 0.0)


def test_a_goodbye_beside_a_want_of_credentials_is_not_the_end() -> None:
    driver = Driver(authenticates=True).connected()
    refusal = refusal_of(driver.take_step(), "401::Authentication invalid", advice=NONE)
    driver.receive({"channel": "/meta/disconnect"}, refusal)
    driver.assert_asks_credentials()
    driver.assert_goes_on()


@pytest.mark.parametrize("step", ["handshake", "connect"])
@pytest.mark.parametrize("told", ["status", "reply"])
def test_a_second_failure_is_final(step: str, told: str) -> None:
    driver = Driver(authenticates=True)
    driver.fail(at(driver, step), error=DENIED)
    driver.do(driver.protocol.authenticated)
    request = driver.take_step()
    if told == "status":
        driver.fail(request, error=DENIED)
    else:
        driver.refuse(request, "401::still not")
    driver.assert_ended(AuthenticationError)
    assert not driver.of(Unauthorized)


def expired(driver: Driver, request: dict[str, Any]) -> None:
    """Have a request refused for its credentials, and give new ones."""
    driver.fail(request, error=DENIED)
    driver.assert_asks_credentials()
    driver.do(driver.protocol.authenticated)


def test_credentials_that_served_a_handshake_may_expire_before_the_first_connect() -> None:
    driver = Driver(authenticates=True)
    expired(driver, at(driver, "handshake"))
    driver.handshaken()
    expired(driver, driver.take_step())
    driver.answer(driver.take_step())
    assert driver.state is S.CONNECTED


def test_credentials_may_expire_again_while_the_server_is_away() -> None:
    driver = Driver(authenticates=True)
    expired(driver, at(driver, "handshake"))
    driver.fail(driver.take_step(), error=TransportError("away", http_status=503))
    expired(driver, driver.take_step())
    driver.handshaken()
    assert driver.state is S.CONNECTING


@pytest.mark.parametrize("advice", [HANDSHAKE, NONE])
def test_new_credentials_that_a_handshake_likes_but_not_the_connect_they_are_for_are_no_good(
    advice: dict[str, Any],
) -> None:
    driver = Driver(authenticates=True).handshaken()
    driver.refuse(driver.take_step(), "401::Authentication invalid", advice=advice)
    driver.assert_asks_credentials()
    driver.do(driver.protocol.authenticated)
    driver.handshaken()
    driver.refuse(driver.take_step(), "401::Authentication invalid", advice=advice)
    driver.assert_ended(AuthenticationError)


def test_credentials_are_not_renewed_for_ever_without_a_connect() -> None:
    driver = Driver(authenticates=True)
    driver.open()
    for _ in range(3):
        expired(driver, driver.take_step())
        driver.fail(driver.take_step(), error=TransportError("away", http_status=503))
    driver.fail(driver.take_step(), error=DENIED)
    driver.assert_ended(AuthenticationError)


def test_after_a_successful_connect_new_credentials_are_asked_for_again() -> None:
    driver = Driver(authenticates=True).connected()
    for _ in range(3):
        driver.fail(driver.take_step(), error=DENIED)
        driver.assert_asks_credentials()
        driver.do(driver.protocol.authenticated)
        driver.answer(driver.take_step())


@pytest.mark.parametrize("step", ["handshake", "connect"])
def test_credentials_that_cannot_be_had_end_the_session(step: str) -> None:
    driver = Driver(authenticates=True)
    driver.fail(at(driver, step), error=DENIED)
    error = AuthenticationError("the login failed")
    driver.do(lambda: driver.protocol.authentication_failed(error))
    assert driver.assert_ended(AuthenticationError) is error


def test_a_connect_sent_with_older_credentials_is_repeated_without_asking() -> None:
    driver = Driver(authenticates=True).connected()
    stale = driver.take_step()
    driver.publish()
    driver.refuse(driver.message("/chat"), "401::expired")
    driver.assert_asks_credentials()
    driver.do(driver.protocol.authenticated)
    driver.fail(stale, error=DENIED)
    assert not driver.of(Unauthorized)
    driver.assert_due(Step.CONNECT, 0.0)
    # The credentials it gets now are the new ones: if they do not help, nothing will.
    driver.fail(driver.take_step(), error=DENIED)
    driver.assert_ended(AuthenticationError)


def test_while_credentials_are_asked_for_a_disconnect_ends_the_session() -> None:
    driver = Driver(authenticates=True).connected()
    driver.fail(driver.take_step(), error=DENIED)
    driver.do(driver.protocol.disconnect)
    driver.assert_ended(None)
    driver.do(driver.protocol.authenticated)
    assert driver.happened == []
    driver.assert_nothing_sent()


def test_an_unknown_client_is_no_want_of_credentials() -> None:
    driver = Driver(authenticates=True).connected()
    driver.refuse(driver.take_step(), "403::Unknown client", advice=HANDSHAKE)
    assert not driver.of(Unauthorized)
    driver.assert_due(Step.HANDSHAKE, 0.0)


def test_the_end_is_the_last_outcome() -> None:
    driver = Driver().connected()
    driver.publish()
    driver.answer(driver.take_step(), advice=NONE)
    assert isinstance(driver.happened[-1], Ended)


# -- what passes ---------------------------------------------------------------------------------


def final(_: ServerError) -> bool:
    return False


def transient(_: ServerError) -> bool:
    return True


@pytest.mark.parametrize("advice", [RETRY, HANDSHAKE])
def test_a_server_that_advised_to_connect_again_and_disconnects_gets_a_new_session(
    advice: dict[str, Any],
) -> None:
    driver = Driver().connected()
    connect = driver.take_step()
    driver.receive({"channel": "/meta/disconnect", "advice": advice})
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    (changed,) = driver.of(Changed)
    assert isinstance(changed.change.error, ServerError)
    assert (changed.change.attempt, changed.change.delay) == (1, 0.0)
    driver.answer(connect)  # of the session that is over
    assert driver.state is S.REHANDSHAKING
    driver.handshaken()
    assert driver.protocol.client_id == "client-2"


def test_what_was_advised_before_counts_where_a_disconnect_says_nothing() -> None:
    driver = Driver().connected(advice=RETRY)
    connect = driver.take_step()
    # As cometd-nodejs-server does: the held connect is ended with it, without a word.
    driver.receive({"channel": "/meta/disconnect"}, reply_to(connect))
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)


def test_a_disconnect_of_an_earlier_session_is_dropped() -> None:
    driver = Driver().connected(advice=RETRY)
    driver.receive({"channel": "/meta/disconnect", "clientId": "client-0"})
    assert driver.happened == []


def test_a_server_that_disconnects_without_end_does_not_make_the_client_spin() -> None:
    driver = Driver().connected(advice=RETRY)
    delays: list[float] = []
    for _ in range(4):
        driver.receive({"channel": "/meta/disconnect", "advice": RETRY})
        delays += [due.delay for due in driver.of(Due)]
        driver.connected()
        driver.handshaken() if driver.state is S.REHANDSHAKING else None
    assert sum(delays) > 0


def test_the_user_may_call_a_disconnect_final() -> None:
    driver = Driver(is_transient=final).connected(advice=RETRY)
    driver.receive({"channel": "/meta/disconnect"})
    driver.assert_ended(ServerError)


@pytest.mark.parametrize("fields", [{"advice": NONE}, {}])
def test_the_user_may_call_a_refused_handshake_transient(fields: dict[str, Any]) -> None:
    driver = Driver(is_transient=transient)
    driver.open()
    driver.refuse(driver.take_step(), "403::denied", **fields)
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 1.0)


def test_the_user_may_call_a_refused_connect_transient_or_final() -> None:
    driver = Driver(is_transient=transient).connected()
    driver.refuse(driver.take_step(), "401::no", advice=NONE)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver = Driver(is_transient=final).connected()
    driver.refuse(driver.take_step(), "402::unknown", advice=HANDSHAKE)
    driver.assert_ended(ServerError)


@pytest.mark.parametrize("told", [None, LookupError])
def test_the_default_counts_where_the_user_says_nothing(
    told: type[Exception] | None, caplog: pytest.LogCaptureFixture
) -> None:
    def is_transient(_: ServerError) -> bool | None:
        if told is not None:
            raise told
        return None

    driver = Driver(is_transient=is_transient).connected()
    driver.refuse(driver.take_step(), "402::unknown", advice=HANDSHAKE)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    assert ("`is_transient` failed" in caplog.text) is (told is not None)


# -- sessions that are worth something -----------------------------------------------------------


def acknowledging(**options: Any) -> Driver:
    """Come to CONNECTING, with acknowledged messages in force."""
    driver = Driver(**options)
    driver.open()
    request: Any = {**driver.take_step(), "ext": {"ack": True}}
    driver.do(lambda: driver.protocol.leaving([request], [request["id"]]))
    driver.answer(request, clientId="abc", ext={"ack": True})
    return driver


def test_a_session_with_acknowledged_messages_is_resumed_in_spite_of_silence() -> None:
    """A new one would lose what the server holds for it."""
    driver = acknowledging()
    driver.answer(driver.take_step(), advice={"timeout": 0, "maxInterval": 60_000})
    for _ in range(4):
        driver.fail(driver.take_step(), error=TransportTimeoutError("silence"))
        driver.assert_states(S.UNCONNECTED)
    driver.answer(driver.take_step())
    assert driver.protocol.client_id == "abc"
    (changed,) = driver.of(Changed)
    assert changed.change.resumed


def test_such_a_session_is_resumed_before_the_server_forgets_it_in_spite_of_short_faults() -> None:
    """A server that does not tell its ``maxInterval`` forgets it after 10 s: CometD's default."""
    driver = acknowledging(delays=[0.5, 30.0]).connected()
    began = driver.now
    for _ in range(4):
        driver.fail(driver.take_step())
    driver.answer(driver.take_step())
    assert driver.now - began < 10.0
    assert driver.state is S.CONNECTED


REFUSED = [TransportError("no", http_status=status) for status in (400, 404, 101)]


@pytest.mark.parametrize("error", REFUSED, ids=lambda e: str(e.http_status))
def test_a_websocket_that_worked_and_is_refused_twice_gives_way(error: TransportError) -> None:
    driver = Driver().handshaken(supportedConnectionTypes=["websocket", "long-polling"])
    driver.connected()
    driver.fail(driver.take_step(), error=error)
    assert driver.protocol.connection_type is WS  # a server that is starting, perhaps
    driver.fail(driver.take_step(), error=error)
    driver.assert_states(S.UNCONNECTED)
    assert driver.take_step()["connectionType"] == "long-polling"
    assert driver.protocol.client_id == "client-1"


def test_it_is_tried_again_at_the_next_new_session_and_given_up_at_the_first_refusal() -> None:
    driver = Driver().handshaken(supportedConnectionTypes=["websocket", "long-polling"])
    driver.connected()
    for _ in range(2):
        driver.fail(driver.take_step(), error=NOT_FOUND)
    driver.refuse(driver.take_step(), "402::unknown", advice=HANDSHAKE)
    handshake = driver.take_step()
    assert driver.protocol.connection_type is WS
    driver.fail(handshake, error=NOT_FOUND)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.handshaken(supportedConnectionTypes=["long-polling"])
    assert driver.protocol.connection_type is LP
    driver.connected().assert_goes_on()


def test_a_network_that_fails_puts_no_proven_websocket_in_doubt() -> None:
    driver = Driver().handshaken(supportedConnectionTypes=["websocket", "long-polling"])
    driver.connected()
    for _ in range(5):
        driver.fail(driver.take_step(), error=TransportConnectionClosed("cut"))
    assert driver.protocol.connection_type is WS


@pytest.mark.parametrize("types", [(WS, LP), (WS,), (LP,)])
def test_what_waiting_cannot_mend_ends_an_opening_at_once(types: tuple[Any, ...]) -> None:
    driver = Driver(*types)
    driver.open()
    error = TransportError("the certificate is not accepted", final=True)
    driver.fail(driver.take_step(), error=error)
    assert driver.assert_ended(TransportError) is error


def test_what_waiting_cannot_mend_is_waited_for_once_it_worked() -> None:
    driver = Driver().connected()
    driver.refuse(driver.take_step(), "402::unknown", advice=HANDSHAKE)
    for _ in range(3):
        driver.fail(driver.take_step(), error=TransportError("certificate", final=True))
    driver.assert_goes_on()


# -- at once -------------------------------------------------------------------------------------


def test_reconnecting_now_waits_for_nothing() -> None:
    driver = Driver(delays=[8.0]).connected()
    driver.fail(driver.take_step())
    driver.assert_due(Step.CONNECT, 8.0)
    driver.do(lambda: driver.protocol.reconnect_now(driver.now))
    driver.assert_due(Step.CONNECT, 0.0)


def test_reconnecting_now_while_an_attempt_is_under_way_makes_the_next_one_at_once() -> None:
    driver = Driver(delays=[8.0]).connected()
    connect = driver.take_step()
    driver.do(lambda: driver.protocol.reconnect_now(driver.now))
    driver.assert_nothing_due()
    driver.fail(connect)
    driver.assert_due(Step.CONNECT, 0.0)
    driver.fail(driver.take_step())
    driver.assert_due(Step.CONNECT, 8.0)


def test_changes_tell_the_attempt_and_the_delay() -> None:
    driver = Driver(delays=[1.0, 2.0]).connected()
    told: list[tuple[int, float]] = []
    for _ in range(2):
        driver.fail(driver.take_step())
        told += [(c.change.attempt, c.change.delay) for c in driver.of(Changed)]
    assert told == [(1, 1.0), (2, 2.0)]
    driver.answer(driver.take_step())
    (changed,) = driver.of(Changed)
    assert (changed.change.attempt, changed.change.delay) == (0, 0.0)


def test_an_attempt_is_made_just_before_the_link_is_given_up() -> None:
    driver = Driver(delays=[1.0, 100.0], connection_timeout=10.0).connected()
    driver.fail(driver.take_step())
    driver.fail(driver.take_step())
    (due,) = driver.of(Due)
    assert 8.0 <= due.delay <= 8.6


# -- Retry-After -----------------------------------------------------------------------------------

BUSY = TransportError("busy", http_status=503, retry_after=5.0)


@pytest.mark.parametrize("types", [(LP,), (WS, LP)])
def test_a_handshake_waits_as_long_as_the_server_asked(types: tuple[Any, ...]) -> None:
    """Over the next transport as well: it is the same server."""
    driver = Driver(*types)
    driver.open()
    driver.fail(driver.take_step(), error=BUSY)
    driver.assert_due(Step.HANDSHAKE, 5.0)


def test_a_connect_waits_as_long_as_the_server_asked() -> None:
    driver = Driver().connected()
    driver.fail(driver.take_step(), error=BUSY)
    driver.assert_due(Step.CONNECT, 5.0)
    (changed,) = driver.of(Changed)
    assert (changed.change.attempt, changed.change.delay) == (1, 5.0)


def test_a_subscribe_waits_as_long_as_the_server_asked() -> None:
    driver = Driver(LP).connected()
    driver.subscribe("/a")
    driver.fail(driver.message("/meta/subscribe"), error=BUSY)
    driver.assert_resend_due(5.0)
