from __future__ import annotations

from typing import Any, cast

import pytest

from rx_cometd._protocol.backoff import Backoff, Pace
from rx_cometd._protocol.connection_cycle import ConnectionCycle
from rx_cometd._protocol.credentials import Credentials
from rx_cometd._protocol.outbox import Outbox
from rx_cometd._protocol.outcomes import Lane, Outcome
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd._protocol.subscriptions import Reconciliation
from tests.unit.protocol.driver import LP


class Sending:
    """An outbox among the parts that it is made of."""

    def __init__(self) -> None:
        outcomes: list[Outcome] = []
        self.credentials = Credentials(outcomes, renewable=True)
        self.control = ConnectionCycle([LP], pace=Pace(Backoff()), outcomes=outcomes)
        self.control.client_id = "me"
        self.requests = Requests()
        self.asking = Reconciliation(self.requests, Backoff(), outcomes)
        self.box = Outbox(self.control, self.asking, self.credentials, 7.0)

    def request(self, channel: str = "/a", kind: Kind = Kind.PUBLISH) -> Request:
        return self.requests.add(kind, cast("Any", {"channel": channel}))

    def waits(self) -> bool:
        return bool(self.box.ordinary)

    def taken(self) -> list[tuple[Lane, list[str | None]]]:
        payloads = self.box.take()
        return [(p.lane, [m.get("channel") for m in p.messages]) for p in payloads]


@pytest.fixture
def sending() -> Sending:
    return Sending()


def test_a_payload_is_given_once_with_its_timeout(sending: Sending) -> None:
    sending.box.put(Lane.CONNECT, [sending.request()], 3.0)
    sending.box.put(Lane.ORDINARY, [sending.request()])
    assert [payload.timeout for payload in sending.box.take()] == [3.0, 7.0]
    assert sending.box.take() == []


def test_what_is_sent_carries_the_session_but_for_a_handshake(sending: Sending) -> None:
    sending.box.put(Lane.HANDSHAKE, [sending.request(kind=Kind.HANDSHAKE), sending.request()])
    (payload,) = sending.box.take()
    assert [message.get("clientId") for message in payload.messages] == [None, "me"]


def test_what_is_sent_is_marked_so_and_with_the_credentials_of_now(sending: Sending) -> None:
    request = sending.request()
    sending.credentials.renewed()
    sending.box.put(Lane.ORDINARY, [request])
    assert request.sent
    assert not sending.credentials.are_newer_than(request)


def test_a_payload_of_nothing_is_none(sending: Sending) -> None:
    cancelled = sending.request()
    sending.box.add(cancelled)
    sending.box.remove(cancelled)
    sending.box.put(Lane.ORDINARY, [None])
    sending.box.put_ordinary()
    assert sending.taken() == []
    assert not cancelled.sent


def test_ordinary_requests_travel_together_in_order(sending: Sending) -> None:
    sending.asking.subscriptions.desire("/b", None)
    sending.box.add(sending.request("/a"), "/b")
    sending.box.add(sending.request("/c"))
    assert sending.waits()
    assert sending.taken() == []
    sending.box.put_ordinary()
    assert not sending.waits()
    assert sending.taken() == [(Lane.ORDINARY, ["/a", "/meta/subscribe", "/c"])]


def test_what_is_removed_does_not_travel(sending: Sending) -> None:
    kept, removed = sending.request("/a"), sending.request("/b")
    sending.box.add(kept, removed, "/c")
    sending.box.remove(removed)
    sending.box.remove(removed)
    sending.box.put_ordinary()
    assert sending.taken() == [(Lane.ORDINARY, ["/a"])]


def test_what_is_sent_again_begins_as_it_was(sending: Sending) -> None:
    request = sending.request()
    sending.box.put(Lane.ORDINARY, [request])
    sending.box.take()[0].messages[0]["channel"] = "/changed"
    sending.box.resend(request)
    assert request.retried
    assert not request.sent
    sending.box.put_ordinary()
    assert sending.taken() == [(Lane.ORDINARY, ["/a"])]
    assert request.sent


def test_after_the_end_there_is_nothing_to_send(sending: Sending) -> None:
    sending.box.put(Lane.ORDINARY, [sending.request()])
    sending.control.end(None)
    assert sending.taken() == []
