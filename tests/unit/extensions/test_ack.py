from __future__ import annotations

from typing import Any

import pytest

from rx_cometd.extensions.ack import Ack, ack
from tests.unit.extensions.composed import Composed


def handshake(session: Composed) -> dict[str, Any]:
    message: dict[str, Any] = {"channel": "/meta/handshake", "id": "1"}
    session.send(message)
    return message


def handshaken(session: Composed, granted: Any = True, **fields: Any) -> None:
    handshake(session)
    reply = {"channel": "/meta/handshake", "id": "1", "successful": True, **fields}
    session.receive(reply if granted is None else {**reply, "ext": {"ack": granted}})


def connect(session: Composed, message_id: str) -> Any:
    """Send a connect, and give what it acknowledges."""
    message: dict[str, Any] = {"channel": "/meta/connect", "id": message_id}
    session.send(message)
    return message.get("ext", {}).get("ack")


def connected(message_id: str, batch: Any, *, successful: bool = True) -> dict[str, Any]:
    return {
        "channel": "/meta/connect",
        "id": message_id,
        "successful": successful,
        "ext": {"ack": batch},
    }


def test_asks_at_the_handshake_and_leaves_the_callers_ext_alone() -> None:
    theirs = {"token": "x"}
    message: dict[str, Any] = {"channel": "/meta/handshake", "ext": theirs}
    Composed(ack()).send(message)
    assert message["ext"] == {"token": "x", "ack": True}
    assert theirs == {"token": "x"}


def test_old_form_of_the_reply_begins_at_batch_zero() -> None:
    session = Composed(ack())
    handshaken(session, granted=True)
    assert connect(session, "2") == 0


def test_new_form_of_the_reply_tells_the_batch() -> None:
    session = Composed(ack())
    handshaken(session, granted={"enabled": True, "batch": 4})
    assert connect(session, "2") == 4


def test_handshake_batch_counts_once_its_messages_were_delivered() -> None:
    session = Composed(ack())
    handshake(session)
    payload = session.receive(
        {
            "channel": "/meta/handshake",
            "id": "1",
            "successful": True,
            "ext": {"ack": {"enabled": True, "batch": 1}},
        },
        {"channel": "/a", "data": 1},
        deliver=False,
    )
    assert connect(session, "2") == 0
    payload.delivered()
    assert connect(session, "3") == 1


@pytest.mark.parametrize("granted", [None, False, {"enabled": False, "batch": 3}, "yes", [1]])
def test_silent_where_the_server_does_not_grant_it(granted: Any) -> None:
    session = Composed(ack())
    handshaken(session, granted)
    assert connect(session, "2") is None
    session.receive(connected("2", 7))
    assert connect(session, "3") is None


def test_failed_handshake_grants_nothing() -> None:
    session = Composed(ack())
    handshaken(session, granted=True, successful=False)
    assert connect(session, "2") is None


def test_batch_moves_with_the_connect_reply_after_delivery() -> None:
    session = Composed(ack())
    handshaken(session)
    assert connect(session, "2") == 0
    payload = session.receive({"channel": "/a", "data": 1}, connected("2", 1), deliver=False)
    assert connect(session, "2b") == 0
    payload.delivered()
    assert connect(session, "3") == 1


def test_data_frames_before_the_reply_do_not_move_the_batch() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    session.receive({"channel": "/a", "data": 1})
    session.receive({"channel": "/a", "data": 2})
    # The socket died before the connect reply: the batch must come again.
    assert connect(session, "3") == 0
    session.receive({"channel": "/a", "data": 1}, {"channel": "/a", "data": 2})
    session.receive(connected("3", 2))
    assert connect(session, "4") == 2


def test_failed_connect_keeps_the_batch() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    session.receive(connected("2", 1))
    assert connect(session, "3") == 1
    session.receive(connected("3", 9, successful=False))
    assert connect(session, "4") == 1


def test_reply_to_an_overtaken_connect_is_ignored() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    connect(session, "3")
    session.receive(connected("2", 1))
    assert connect(session, "4") == 0
    session.receive(connected("3", 2))
    assert connect(session, "5") == 0
    session.receive(connected("5", 3))
    assert connect(session, "6") == 3


def test_ids_may_come_back_as_numbers() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    session.receive({**connected("2", 1), "id": 2})
    assert connect(session, "3") == 1


@pytest.mark.parametrize("batch", [None, "1", True, {"batch": 1}])
def test_a_batch_that_is_no_number_is_ignored(batch: Any) -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    session.receive(connected("2", batch))
    assert connect(session, "3") == 0


def test_new_handshake_begins_anew_and_late_deliveries_of_the_old_session_count_nothing() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    late = session.receive(connected("2", 8), deliver=False)
    handshaken(session)
    late.delivered()
    assert connect(session, "4") == 0


def test_new_session_without_the_extension_turns_it_off() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    session.receive(connected("2", 1))
    handshaken(session, granted=None)
    assert connect(session, "4") is None


def test_pipeline_made_anew_within_a_session_learns_from_the_next_connect_reply() -> None:
    session = Composed(ack())
    assert connect(session, "7") is None
    session.receive(connected("7", 5))
    assert connect(session, "8") == 5


def test_a_reply_before_any_connect_is_ignored() -> None:
    session = Composed(ack())
    session.receive({"channel": "/meta/connect", "successful": True, "ext": {"ack": 3}})
    assert connect(session, "2") is None


def test_one_extension_serves_two_sessions() -> None:
    extension = ack()
    one, two = Composed(extension), Composed(extension)
    handshaken(one)
    handshaken(two)
    connect(one, "2")
    one.receive(connected("2", 6))
    assert connect(one, "3") == 6
    assert connect(two, "3") == 0


def test_other_messages_are_left_alone() -> None:
    session = Composed(ack())
    handshaken(session)
    publish = {"channel": "/a", "data": 1, "id": "2"}
    assert session.send({**publish}).messages == [publish]
    reply = {"channel": "/a", "successful": True, "id": "2", "ext": {"ack": 9}}
    session.receive({**reply})
    assert connect(session, "3") == 0


def test_tells_what_it_is() -> None:
    assert isinstance(ack(), Ack)
    assert repr(ack()) == "<Ack>"
