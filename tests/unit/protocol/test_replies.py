"""What came back: acks, calls and credentials as replies settle them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd._protocol.outcomes import Answered, Settled
from rx_cometd.exceptions import TransportConnectionClosed, TransportError
from rx_cometd.states import ClientState
from tests.unit.protocol.driver import HANDSHAKE, LP, WS, Driver, event

if TYPE_CHECKING:
    from rx_cometd.connection_types import ConnectionType


def handshaken(asked: object, granted: object) -> Driver:
    """Shake hands, with the handshake leaving as the extensions made it."""
    driver = Driver(LP)
    driver.open()
    handshake = driver.take_step()
    if asked is not None:
        handshake["ext"] = {"ack": asked}
    left: Any = [handshake]
    assert driver.protocol.leaving(left, [handshake["id"]]) == left
    ext = {} if granted is None else {"ext": {"ack": granted}}
    driver.answer(handshake, clientId="me", **ext)
    return driver


@pytest.mark.parametrize(
    ("asked", "granted", "in_force"),
    [
        (True, True, True),
        (True, {"enabled": True, "batch": 3}, True),
        (True, {"enabled": False}, False),
        (True, False, False),
        (True, None, False),
        (None, True, False),
        (None, {"enabled": True}, False),
        (False, True, False),
    ],
)
def test_acks_are_in_force_where_both_sides_agreed(
    asked: object, granted: object, *, in_force: bool
) -> None:
    assert handshaken(asked, granted).protocol.acknowledges is in_force


def test_each_session_agrees_on_acks_anew() -> None:
    driver = handshaken(asked=True, granted=True)
    driver.answer(driver.take_step(), advice=HANDSHAKE)
    handshake = driver.take_step()
    assert not driver.protocol.acknowledges
    driver.answer(handshake, clientId="other", ext={"ack": True})
    assert not driver.protocol.acknowledges


def acknowledged_call(driver: Driver) -> str:
    call = driver.publish("/service/slow", call=True)
    driver.answer(driver.message("/service/slow"))
    assert driver.of(Settled) == []
    assert driver.protocol.awaits_answers
    return call


def test_a_call_fails_when_its_session_is_given_up() -> None:
    driver = Driver(LP).connected()
    call = acknowledged_call(driver)
    driver.answer(driver.take_step(), advice=HANDSHAKE)
    assert driver.state is ClientState.REHANDSHAKING
    assert driver.of(Settled) == []
    driver.take_step()
    error = driver.assert_failed(call, TransportConnectionClosed)
    assert "/service/slow" in str(error)
    assert not driver.protocol.awaits_answers


@pytest.mark.parametrize("kind", [LP, WS])
def test_a_call_waits_on_when_the_session_is_resumed(kind: ConnectionType) -> None:
    driver = Driver(kind).connected()
    call = acknowledged_call(driver)
    connect = driver.take_step()
    if kind is WS:
        lost = TransportConnectionClosed("cut")
        driver.do(lambda: driver.protocol.lose(lost, driver.now))
    else:
        driver.fail(connect, error=TransportError("down"))
    assert driver.state is ClientState.UNCONNECTED
    driver.answer(driver.take_step())
    assert driver.waits_for(call)
    driver.receive(event("/service/slow", data="answer", id=call))
    assert driver.assert_settled(call)["data"] == "answer"


def test_what_was_cancelled_does_not_leave_and_what_extensions_added_does() -> None:
    driver = Driver(LP).connected()
    kept, cancelled = driver.publish("/a"), driver.publish("/b")
    messages: Any = [
        {"channel": "/a", "id": kept},
        {"channel": "/b", "id": cancelled},
        {"channel": "/c", "id": "extension-1"},
    ]
    assert driver.protocol.leaving(messages, [kept, cancelled]) == messages
    driver.protocol.cancel(cancelled)
    left = driver.protocol.leaving(messages, [kept, cancelled])
    assert [message["channel"] for message in left] == ["/a", "/c"]


@pytest.mark.parametrize("kind", [LP, WS])
def test_a_payload_of_replies_to_publishes_is_one_outcome(kind: ConnectionType) -> None:
    driver = Driver(kind).connected()
    ids = [driver.publish(f"/{n}") for n in range(3)]
    replies: list[Any] = [
        {"channel": f"/{n}", "id": i, "successful": True} for n, i in enumerate(ids)
    ]
    driver.do(lambda: driver.protocol.published(replies))
    assert driver.happened == [Answered(replies)]
    assert driver.protocol.requests() == []
    driver.receive(*replies)
    assert driver.happened == []


@pytest.mark.parametrize("decoded", [{}, [], None, "text", 5, [[]], [None], ({"id": "1"},)])
def test_other_payloads_are_left_to_be_received(decoded: Any) -> None:
    driver = Driver(WS).connected()
    driver.publish()
    assert not driver.protocol.published(decoded)
    assert not driver.protocol.has_outcomes
    assert len(driver.protocol.requests()) == 1


def test_replies_among_others_are_left_to_be_received() -> None:
    driver = Driver(WS).connected()
    first, second = driver.publish("/a"), driver.publish("/b")
    taken = {"channel": "/a", "id": first, "successful": True}
    refused = {"channel": "/b", "id": second, "successful": False}
    assert not driver.protocol.published([taken, refused])
    driver.receive(taken, refused)
    assert [outcome.request_id for outcome in driver.of(Settled)] == [first, second]
