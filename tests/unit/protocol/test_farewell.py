"""Disconnects by the server, and what it says beside them."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.outcomes import Step
from rx_cometd.exceptions import ServerError
from rx_cometd.states import ClientState as S
from tests.unit.protocol.driver import (
    HANDSHAKE,
    NONE,
    RETRY,
    Driver,
    event,
    refusal_of,
    reply_to,
)

GOODBYE = {"channel": "/meta/disconnect", "successful": True}


def held(**options: Any) -> tuple[Driver, dict[str, Any]]:
    """Give a session that the server advised to retry, and the connect that it holds."""
    driver = Driver(**options).connected(advice=RETRY)
    return driver, driver.take_step()


def is_disconnect(error: ServerError) -> bool | None:
    return True if error.response.get("channel") == "/meta/disconnect" else None


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("goodbye_first", [True, False])
def test_none_beside_a_disconnect_forbids_to_come_back(
    *, together: bool, goodbye_first: bool
) -> None:
    """The servers of CometD say it in the reply to the connect that the disconnect ends: in the
    same payload over long-polling, in a frame of its own over a WebSocket."""
    driver, connect = held()
    said = [GOODBYE, reply_to(connect, advice=NONE)]
    if not goodbye_first:
        said.reverse()
    payloads = [said] if together else [[message] for message in said]
    for payload in payloads:
        if not driver.protocol.over:
            driver.receive(*payload)
    error = driver.assert_ended(ServerError)
    assert isinstance(error, ServerError)
    assert error.advice == NONE
    driver.assert_nothing_sent()


def test_the_advice_of_the_disconnect_itself_counts_before_that_of_the_connect() -> None:
    driver, connect = held()
    driver.receive({**GOODBYE, "advice": HANDSHAKE}, reply_to(connect, advice=NONE))
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver, connect = held()
    driver.receive({**GOODBYE, "advice": HANDSHAKE})
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.answer(connect, advice=NONE)
    driver.assert_goes_on()


def test_a_disconnect_without_advice_waits_a_moment_for_what_the_connect_says() -> None:
    driver, _ = held()
    driver.receive(GOODBYE)
    driver.assert_states(S.REHANDSHAKING)
    driver.assert_due(Step.HANDSHAKE, 0.1)
    driver.handshaken()
    assert driver.protocol.client_id == "client-2"


def test_none_that_comes_while_the_handshake_is_under_way_still_counts() -> None:
    driver, connect = held()
    driver.receive(GOODBYE)
    driver.take_step()
    driver.answer(connect, advice=NONE)
    driver.assert_ended(ServerError)


@pytest.mark.parametrize("advice", [RETRY, {}])
def test_a_connect_that_does_not_forbid_it_leaves_the_new_session_alone(
    advice: dict[str, Any],
) -> None:
    driver, connect = held()
    driver.receive(GOODBYE)
    driver.answer(connect, advice=advice)
    driver.assert_goes_on()
    assert driver.protocol.due is Step.HANDSHAKE


def test_what_is_said_of_the_session_before_does_not_end_the_new_one() -> None:
    driver, connect = held()
    driver.receive(GOODBYE)
    driver.handshaken()
    driver.answer(connect, advice=NONE)
    driver.assert_goes_on()
    assert driver.state is S.CONNECTING


@pytest.mark.parametrize("together", [True, False])
def test_the_user_may_come_back_all_the_same(*, together: bool) -> None:
    driver, connect = held(is_transient=is_disconnect)
    said = [GOODBYE, reply_to(connect, advice=NONE)]
    for payload in [said] if together else [[message] for message in said]:
        driver.receive(*payload)
        driver.assert_goes_on()
    driver.handshaken()
    driver.assert_states(S.CONNECTING)


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
