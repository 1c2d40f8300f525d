from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd._protocol.backoff import Backoff
from rx_cometd._protocol.outcomes import (
    Outcome,
    ResendDue,
    Subscribed,
    SubscriptionFailed,
    Unsubscribed,
)
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd._protocol.subscriptions import Reconciliation
from rx_cometd.exceptions import ServerError

if TYPE_CHECKING:
    from rx_cometd._protocol.subscriptions import Fields

DENIED = ServerError("denied")


class Asking:
    """A reconciliation, and what it tells."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.outcomes: list[Outcome] = []
        backoff = Backoff(lambda: iter([1.0, 2.0]))
        self.it = Reconciliation(self.requests, backoff, self.outcomes)

    def ask(self, channel: str = "/a", fields: Fields = None) -> Request:
        self.it.subscriptions.desire(channel, fields)
        return self.asked(channel)

    def asked(self, channel: str = "/a") -> Request:
        request = self.it.ask(channel)
        assert request is not None
        return request

    def undesire(self, channel: str = "/a") -> None:
        self.it.subscriptions.undesire(channel)

    def told(self) -> list[Outcome]:
        told = self.outcomes.copy()
        self.outcomes.clear()
        return told


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_a_subscribe_is_made_of_the_channel_and_the_users_fields(asking: Asking) -> None:
    request = asking.ask(fields={"ext": {"replay": 5}, "channel": "/x", "subscription": "/y"})
    assert request.kind is Kind.SUBSCRIBE
    assert request.message == {
        "channel": "/meta/subscribe",
        "subscription": "/a",
        "ext": {"replay": 5},
        "id": request.id,
    }
    assert asking.it.ask("/a") is None
    assert asking.told() == []


def test_an_unsubscribe_carries_no_fields(asking: Asking) -> None:
    asking.it.succeeded(asking.ask(fields={"ext": {}}))
    asking.undesire()
    request = asking.asked()
    assert request.kind is Kind.UNSUBSCRIBE
    assert request.message == {
        "channel": "/meta/unsubscribe",
        "subscription": "/a",
        "id": request.id,
    }


def test_replies_are_told(asking: Asking) -> None:
    asking.it.succeeded(asking.ask())
    assert asking.told() == [Subscribed("/a")]
    asking.undesire()
    asking.it.failed(asking.asked(), DENIED)
    assert asking.told() == [Unsubscribed("/a", DENIED)]
    asking.it.succeeded(asking.asked())
    assert asking.told() == [Unsubscribed("/a")]
    asking.it.failed(asking.ask(), DENIED)
    assert asking.told() == [SubscriptionFailed("/a", DENIED)]


def test_stale_replies_are_not_told(asking: Asking) -> None:
    stale = asking.ask()
    asking.undesire()
    asking.asked()
    asking.it.succeeded(stale)
    asking.it.failed(stale, DENIED)
    asking.it.lost(stale)
    assert asking.told() == []
    assert asking.it.take_lost() == []


def test_what_nobody_wants_and_the_server_does_not_have_is_told_as_unsubscribed(
    asking: Asking,
) -> None:
    asking.it.subscriptions.desire("/a", None)
    asking.undesire()
    assert asking.it.ask("/a") is None
    assert asking.told() == [Unsubscribed("/a")]


def test_fields_that_cannot_be_made_fail_the_subscription(asking: Asking) -> None:
    error = LookupError("no replay marker")

    def fields() -> dict[str, Any]:
        raise error

    asking.it.subscriptions.desire("/a", fields)
    assert asking.it.ask("/a") is None
    assert asking.told() == [SubscriptionFailed("/a", error)]
    assert len(asking.requests) == 0
    assert "/a" not in asking.it.subscriptions


def test_lost_requests_are_gathered_and_a_resend_is_due_once(asking: Asking) -> None:
    asking.it.lost(asking.ask("/a"))
    asking.it.lost(asking.ask("/b"))
    assert asking.told() == [ResendDue(1.0)]
    assert asking.it.take_lost() == ["/a", "/b"]
    assert asking.it.take_lost() == []
    asking.it.lost(asking.asked("/a"))
    assert asking.told() == [ResendDue(2.0)]


def test_a_success_resets_the_delays(asking: Asking) -> None:
    asking.it.lost(asking.ask())
    asking.it.take_lost()
    asking.it.succeeded(asking.asked())
    asking.it.lost(asking.ask("/b"))
    assert asking.told() == [ResendDue(1.0), Subscribed("/a"), ResendDue(1.0)]


def test_a_new_session_is_asked_for_all_that_is_wanted(asking: Asking) -> None:
    asking.it.succeeded(asking.ask("/a"))
    in_flight = asking.ask("/b")
    asking.it.lost(asking.ask("/c"))
    asking.it.succeeded(asking.ask("/d"))
    asking.undesire("/d")
    asking.told()
    requests = [request for request in asking.it.ask_all() if request is not None]
    assert [request.message.get("subscription") for request in requests] == ["/a", "/b", "/c"]
    assert asking.told() == [Unsubscribed("/d")]
    # Nothing of the old session is waited for, or asked for again.
    assert in_flight.id not in asking.requests
    assert asking.it.take_lost() == []
    assert len(asking.requests) == 3
