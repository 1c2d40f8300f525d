"""What waits for new credentials, and how often they are asked for."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Ended, Step, Unauthorized
from rx_cometd.exceptions import (
    AuthenticationError,
    TransportError,
)
from rx_cometd.states import ClientState as S
from tests.unit.protocol.driver import (
    DENIED,
    HANDSHAKE,
    NONE,
    RETRY,
    Driver,
    advised,
    refusal_of,
)

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
