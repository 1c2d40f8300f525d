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


# deduplicate=True


def events(*numbers: Any) -> list[dict[str, Any]]:
    return [{"channel": "/a", "data": n} for n in numbers]


def data(session: Composed, *messages: dict[str, Any]) -> list[Any]:
    """Give the data of the events of a payload that are left past the extension."""
    return [m.get("data") for m in session.receive(*messages).messages if "data" in m]


def deduplicating() -> Composed:
    session = Composed(ack(deduplicate=True))
    handshaken(session)
    connect(session, "2")
    return session


def test_drops_the_beginning_of_a_batch_that_had_come() -> None:
    session = deduplicating()
    assert data(session, *events(1, 2)) == [1, 2]
    assert data(session, *events(3)) == [3]
    assert connect(session, "3") == 0  # the link was lost: the server sends all of it again
    assert data(session, *events(1)) == []
    assert data(session, *events(2, 3, 4)) == [4]
    assert data(session, *events(5), connected("3", 1)) == [5]
    assert connect(session, "4") == 1
    assert data(session, *events(1, 2)) == [1, 2]


def test_drops_again_what_is_cut_again() -> None:
    session = deduplicating()
    assert data(session, *events(1, 2, 3)) == [1, 2, 3]
    connect(session, "3")
    assert data(session, *events(1, 2)) == []
    connect(session, "4")
    assert data(session, *events(1, 2, 3, 4)) == [4]
    connect(session, "5")
    assert data(session, *events(1, 2, 3, 4, 5), connected("5", 1)) == [5]


def test_equal_messages_are_told_by_their_position() -> None:
    session = deduplicating()
    assert data(session, *events(0, 0)) == [0, 0]
    connect(session, "3")
    assert data(session, *events(0, 0, 0)) == [0]


def test_equal_messages_that_are_not_sent_again_are_delivered() -> None:
    session = deduplicating()
    assert data(session, *events(0, 0, 0)) == [0, 0, 0]
    assert data(session, *events(0), connected("2", 1)) == [0]
    connect(session, "3")
    assert data(session, *events(0)) == [0]


def test_what_differs_in_its_place_is_delivered_with_all_behind_it() -> None:
    session = deduplicating()
    assert data(session, *events(1, 2, 3)) == [1, 2, 3]
    connect(session, "3")
    assert data(session, *events(1, 7, 3)) == [7, 3]


def test_nothing_is_dropped_across_a_new_session() -> None:
    session = deduplicating()
    assert data(session, *events(1, 2)) == [1, 2]
    handshaken(session)
    connect(session, "4")
    assert data(session, *events(1, 2)) == [1, 2]


def test_messages_changed_by_others_are_known_again() -> None:
    session = deduplicating()
    payload = session.receive({"channel": "/a", "data": {"n": 1}})
    payload.messages[0]["data"] = "changed"
    connect(session, "3")
    assert data(session, {"channel": "/a", "data": {"n": 1}}) == []


def test_what_came_after_a_batch_is_not_forgotten_with_it() -> None:
    session = deduplicating()
    closing = session.receive(*events(1), connected("2", 1), deliver=False)
    assert data(session, *events(2)) == [2]
    closing.delivered()
    assert connect(session, "3") == 1
    assert connect(session, "4") == 1
    assert data(session, *events(2, 3)) == [3]


def test_a_batch_that_is_still_being_delivered_when_the_next_connect_goes_out() -> None:
    session = deduplicating()
    closing = session.receive(*events(1, 2), connected("2", 1), deliver=False)
    assert connect(session, "3") == 0
    assert data(session, *events(1, 2, 3), connected("3", 2)) == [3]
    closing.delivered()


def test_messages_behind_the_reply_that_closes_their_batch() -> None:
    session = deduplicating()
    assert data(session, connected("2", 1), *events(0, 0)) == [0, 0]
    connect(session, "3")
    connect(session, "4")
    assert data(session, *events(0)) == [0]


def test_a_handshake_reply_with_messages() -> None:
    session = Composed(ack(deduplicate=True))
    handshake(session)
    reply = {"channel": "/meta/handshake", "id": "1", "successful": True, "ext": {"ack": True}}
    assert data(session, reply, *events(1)) == [1]
    connect(session, "2")
    connect(session, "3")
    assert data(session, *events(1, 2)) == [2]


def test_without_acknowledgements_nothing_is_dropped() -> None:
    session = Composed(ack(deduplicate=True))
    handshaken(session, granted=None)
    connect(session, "2")
    assert data(session, *events(1)) == [1]
    connect(session, "3")
    assert data(session, *events(1)) == [1]


def test_left_out_repeated_messages_are_delivered() -> None:
    session = Composed(ack())
    handshaken(session)
    connect(session, "2")
    assert data(session, *events(1)) == [1]
    connect(session, "3")
    assert data(session, *events(1)) == [1]


def test_tells_what_it_is() -> None:
    assert isinstance(ack(), Ack)
    assert repr(ack()) == "<Ack>"
