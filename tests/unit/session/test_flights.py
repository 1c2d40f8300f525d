"""What is in flight, and which of it a payload belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd import Payload
from rx_cometd._session.flights import Flights
from rx_cometd._session.in_flight import InFlight, Watched

if TYPE_CHECKING:
    from rx_cometd import Message


def messages_of(*ids: str) -> list[Message]:
    return [{"channel": "/a", "id": i} for i in ids]


def entered(flights: Flights[str], *ids: str) -> tuple[InFlight[str], Payload]:
    """Have a payload enter; its owner is named after its messages."""
    messages = messages_of(*ids)
    watched = Watched(messages)
    payload = Payload(watched, known=True)
    owner = "".join(ids)
    entry = InFlight(payload, watched, messages, owner=owner, replies=(), deadline=1.0)
    flights.add(entry)
    return entry, payload


def test_they_are_kept_in_the_order_in_which_they_entered() -> None:
    flights: Flights[str] = Flights()
    assert not flights
    first, _ = entered(flights, "1")
    second, _ = entered(flights, "2")
    assert list(flights) == [first, second]
    assert flights.newest is second
    flights.remove(second)
    assert second not in flights
    assert flights.newest is first
    flights.clear()
    assert not flights


def test_a_payload_belongs_to_what_entered_with_its_messages() -> None:
    flights: Flights[str] = Flights()
    _, payload = entered(flights, "1")
    second, _ = entered(flights, "2")
    assert flights.find(Payload(messages_of("2")), 1) is second
    found = flights.find(payload, 1)
    assert found is not None
    assert found.owners == ("1",)
    assert flights.find(Payload(messages_of("3")), 1) is None


def test_a_payload_of_several_merges_them() -> None:
    flights: Flights[str] = Flights()
    entered(flights, "1")
    entered(flights, "2")
    merged = flights.find(Payload(messages_of("1", "2")), 1)
    assert merged is not None
    assert merged.owners == ("1", "2")
    assert list(flights) == [merged]


def test_what_is_no_longer_waited_for_is_known_when_it_comes() -> None:
    flights: Flights[str] = Flights()
    entry, payload = entered(flights, "1")
    flights.abandon(entry)
    assert not flights
    assert flights.is_late(payload)
    assert flights.is_late(Payload(messages_of("1")))
    assert not flights.is_late(Payload(messages_of("2")))
    assert flights.find(Payload(messages_of("1")), 1) is None
