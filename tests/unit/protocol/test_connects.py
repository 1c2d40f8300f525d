"""Connects: what is sent, and what their replies and failures lead to."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Changed, Due, Lane, Step
from rx_cometd.exceptions import (
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
    event,
    refusal_of,
    reply_to,
)

UNKNOWN = ["402::session_unknown", "401:abc:Unknown client", "403::Unknown client"]


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
