"""A payload in a pipeline is followed by its messages, whatever operators make of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from rx_cometd import Payload
from rx_cometd._flow.payload import claim
from rx_cometd._session.in_flight import InFlight, Watched


class Entered:
    """A payload that entered a pipeline, and what is known of it."""

    def __init__(self, *messages: dict[str, Any], owner: str = "owner") -> None:
        self.messages: list[Any] = list(messages)
        self.processed: list[Any] = []
        watched = Watched(self.messages)
        self.payload: Payload | None = Payload(watched, known=True)
        for message in self.messages:
            self.payload.on_processed(message, partial(self.processed.append, message))
        self.entry: InFlight[str] = InFlight(
            self.payload, watched, self.messages, owner=owner, replies=("7",), deadline=1.0
        )


def made_of(*messages: Any) -> Payload:
    """A payload as an operator makes one, which is claimed once its owner is found."""
    payload = Payload(list(messages))
    claim(payload)
    return payload


def events(*numbers: int, channel: str = "/a") -> list[dict[str, Any]]:
    return [{"channel": channel, "data": number} for number in numbers]


def settled(entered: Entered, payload: Payload) -> list[Any]:
    """Give the messages whose receipts a payload that is out has."""
    for message in payload.messages:
        for callback in payload.processed_callbacks().get(id(message), ()):
            callback()
    return entered.processed


def test_messages_are_known_by_themselves_and_by_their_ids() -> None:
    first, second = events(1, 2)
    reply = {"channel": "/a", "id": "7", "successful": True}
    entry = Entered(first, second, reply).entry
    assert entry.shares_with(made_of(first)) == 1
    assert entry.shares_with(made_of(first, dict(second), dict(reply))) == 2
    # A copy without an id is known by nothing; an event with the reply's id is another message.
    assert entry.shares_with(made_of(dict(first), {**first, "id": "7"})) == 0


def test_copies_without_ids_are_taken_for_what_was_to_come_next_on_their_channel() -> None:
    (event,) = events(1)
    entry = Entered(event).entry
    copy = made_of(dict(event))
    assert entry.resembles(copy, 1)
    assert not entry.resembles(made_of(*events(1, channel="/b")), 1)
    entry.adopt(copy)
    entry.follow(copy, 1)
    assert not entry.resembles(made_of(dict(event)), 1)  # it has passed that operator


def test_receipts_go_with_what_is_there_instead() -> None:
    first, second = events(1, 2)
    entered = Entered(first, second)
    payload = made_of({**first, "data": "changed"}, second)
    entered.entry.adopt(payload)
    entered.entry.follow(payload, 1)
    entered.entry.emit(payload)
    assert entered.entry.complete
    assert settled(entered, payload) == [first, second]


def test_what_comes_out_in_parts_takes_its_receipts_along() -> None:
    first, second = events(1, 2)
    entered = Entered(first, second)
    parts = [made_of(second), made_of(first)]
    for part, complete in zip(parts, (False, True), strict=True):
        entered.entry.adopt(part)
        entered.entry.follow(part, 1)
        entered.entry.emit(part)
        assert entered.entry.complete == complete
    assert settled(entered, parts[0]) == [second]
    assert settled(entered, parts[1]) == [second, first]


def test_merged_payloads_have_all_who_wait_for_either() -> None:
    one = Entered(*events(1), owner="one")
    other = Entered(*events(2), owner="other")
    one.entry.merge(other.entry)
    assert one.entry.owners == ("one", "other")
    assert one.entry.replies == ("7", "7")
    assert one.entry.size == 2
    assert other.payload is not None
    assert other.payload.in_flight is one.entry
    together = made_of(*one.messages, *other.messages)
    one.entry.adopt(together)
    one.entry.follow(together, 1)
    one.entry.emit(together)
    assert one.entry.complete
    settled(one, together)
    assert (one.processed, other.processed) == (one.messages, other.messages)


def test_nothing_comes_any_more_once_nobody_holds_it() -> None:
    entered = Entered(*events(1))
    released: list[object] = []
    entered.entry.on_released(released.append)
    assert entered.entry.may_come()
    assert not released
    entered.payload = None  # an operator drops it, as `filter` does
    assert released
    assert not entered.entry.may_come()


def test_what_is_held_as_messages_alone_may_still_come() -> None:
    entered = Entered(*events(1))
    assert entered.payload is not None
    held = entered.payload.messages
    entered.payload = None
    assert entered.entry.may_come()
    del held
    assert not entered.entry.may_come()


def test_the_rest_is_what_is_not_out() -> None:
    first, second = events(1, 2)
    entered = Entered(first, second)
    part = made_of(first)
    entered.entry.adopt(part)
    entered.entry.follow(part, 1)
    entered.entry.emit(part)
    entered.payload = None
    rest = entered.entry.rest()
    assert rest.messages == [second]
    assert settled(entered, rest) == [second]
