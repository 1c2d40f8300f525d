"""The cycle as a whole: its ends, what passes, and when it waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Changed, Due, Lane, Step
from rx_cometd.exceptions import (
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState as S
from tests.unit.protocol.driver import (
    DENIED,
    HANDSHAKE,
    LP,
    NONE,
    RETRY,
    WS,
    Driver,
    event,
    reply_to,
)

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
