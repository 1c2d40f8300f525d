from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from rx_cometd._protocol.backoff import Backoff
from rx_cometd._protocol.outcomes import (
    Outcome,
    ResendDue,
    Subscribed,
    SubscriptionFailed,
    Unsubscribed,
)
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd._protocol.subscriptions import Reconciliation, Subscriptions, fields_of
from rx_cometd.exceptions import ServerError

if TYPE_CHECKING:
    from rx_cometd._protocol.subscriptions import Fields

SUB, UNSUB = Kind.SUBSCRIBE, Kind.UNSUBSCRIBE


class Asked:
    """Subscriptions, and requests with growing identifiers for one channel."""

    def __init__(self) -> None:
        self.subscriptions = Subscriptions()
        self.count = 0

    def desire(self, fields: Fields = None) -> None:
        self.subscriptions.desire("/a", fields)

    def undesire(self) -> None:
        self.subscriptions.undesire("/a")

    def ask(self) -> tuple[Kind, str] | None:
        """Make the request that is needed, if any. Gives its kind and identifier."""
        wish = self.subscriptions.next_request("/a")
        if wish is None:
            return None
        self.count += 1
        kind, subscription = wish
        self.subscriptions.requested(subscription, kind, str(self.count))
        return kind, str(self.count)

    def asked(self, kind: Kind) -> str:
        """Make the request that is needed, which is of a kind. Gives its identifier."""
        request = self.ask()
        assert request is not None
        assert request[0] is kind
        return request[1]

    def subscribed(self) -> Asked:
        self.desire()
        assert self.subscriptions.succeeded(SUB, "/a", self.asked(SUB))
        return self

    def is_confirmed(self) -> bool:
        found = self.subscriptions.is_confirmed("/a")
        assert self.subscriptions.confirmed() == (frozenset({"/a"}) if found else frozenset())
        return found


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_a_wish_is_asked_for_once_and_then_confirmed(asked: Asked) -> None:
    asked.desire()
    request_id = asked.asked(SUB)
    assert asked.ask() is None
    assert not asked.is_confirmed()
    assert asked.subscriptions.succeeded(SUB, "/a", request_id)
    assert asked.is_confirmed()
    assert asked.ask() is None


def test_a_wish_given_up_before_it_was_asked_for_is_forgotten(asked: Asked) -> None:
    asked.desire()
    asked.undesire()
    assert asked.ask() is None
    assert "/a" not in asked.subscriptions


def test_giving_up_and_wishing_again_cancel_out(asked: Asked) -> None:
    asked.subscribed()
    asked.undesire()
    asked.desire()
    assert asked.ask() is None
    assert asked.is_confirmed()


def test_what_nobody_wants_is_unsubscribed_and_forgotten(asked: Asked) -> None:
    asked.subscribed()
    asked.undesire()
    request_id = asked.asked(UNSUB)
    assert not asked.is_confirmed()
    assert asked.subscriptions.succeeded(UNSUB, "/a", request_id)
    assert "/a" not in asked.subscriptions


def test_what_was_never_wanted_is_not_asked_for(asked: Asked) -> None:
    asked.undesire()
    assert asked.ask() is None
    assert not asked.subscriptions.succeeded(SUB, "/a", "1")
    assert not asked.subscriptions.refused(SUB, "/a", "1")
    assert not asked.subscriptions.lost("/a", "1")


def test_only_the_reply_to_the_last_request_counts(asked: Asked) -> None:
    asked.desire()
    first = asked.asked(SUB)
    asked.undesire()
    second = asked.asked(UNSUB)
    asked.desire()
    third = asked.asked(SUB)
    for stale in (first, second):
        assert not asked.subscriptions.succeeded(SUB, "/a", stale)
        assert not asked.subscriptions.refused(SUB, "/a", stale)
        assert not asked.subscriptions.lost("/a", stale)
    assert not asked.is_confirmed()
    assert asked.subscriptions.succeeded(SUB, "/a", third)
    assert asked.is_confirmed()


def test_a_refused_subscribe_ends_the_wish(asked: Asked) -> None:
    asked.desire()
    assert asked.subscriptions.refused(SUB, "/a", asked.asked(SUB))
    assert asked.ask() is None
    assert "/a" not in asked.subscriptions
    asked.desire()
    assert asked.asked(SUB)


def test_a_refused_unsubscribe_leaves_the_server_as_it_was(asked: Asked) -> None:
    asked.subscribed()
    asked.undesire()
    assert asked.subscriptions.refused(UNSUB, "/a", asked.asked(UNSUB))
    assert asked.is_confirmed()
    assert asked.asked(UNSUB)


@pytest.mark.parametrize("wanted_again", [False, True])
def test_an_unsubscribe_may_be_refused_for_the_subscribe_before_it_never_arrived(
    asked: Asked, *, wanted_again: bool
) -> None:
    """CometD does, with ``400::channel_missing``: the server has nothing to be relied on."""
    asked.desire()
    asked.subscriptions.lost("/a", asked.asked(SUB))
    asked.undesire()
    refused = asked.asked(UNSUB)
    if wanted_again:
        asked.desire()
    assert asked.subscriptions.refused(UNSUB, "/a", refused)
    assert not asked.is_confirmed()
    assert ("/a" in asked.subscriptions) is wanted_again
    asked.desire()
    assert asked.asked(SUB)


@pytest.mark.parametrize("wanted_again", [False, True])
@pytest.mark.parametrize("lost", [SUB, UNSUB])
def test_after_a_lost_request_the_server_is_asked_for_what_is_wanted_by_then(
    asked: Asked, lost: Kind, *, wanted_again: bool
) -> None:
    if lost is SUB:
        asked.desire()
    else:
        asked.subscribed()
        asked.undesire()
    request_id = asked.asked(lost)
    # Whether the server acted upon the lost request, nobody knows.
    if wanted_again:
        asked.desire()
    else:
        asked.undesire()
    assert asked.subscriptions.lost("/a", request_id)
    assert not asked.is_confirmed()
    assert asked.asked(SUB if wanted_again else UNSUB)


@pytest.mark.parametrize("known_to_be_lost", [True, False])
def test_what_is_refused_is_unsubscribed_where_the_server_may_have_it(
    asked: Asked, *, known_to_be_lost: bool
) -> None:
    asked.subscribed()
    asked.undesire()
    lost = asked.asked(UNSUB)
    if known_to_be_lost:
        asked.subscriptions.lost("/a", lost)
    asked.desire()
    assert asked.subscriptions.refused(SUB, "/a", asked.asked(SUB))
    assert asked.subscriptions.desired() == []
    assert asked.subscriptions.succeeded(UNSUB, "/a", asked.asked(UNSUB))
    assert "/a" not in asked.subscriptions


def test_a_new_session_knows_of_nothing(asked: Asked) -> None:
    asked.subscribed()
    assert asked.subscriptions.new_session() == []
    assert not asked.is_confirmed()
    assert asked.asked(SUB)


def test_a_new_session_need_not_hear_of_what_nobody_wants(asked: Asked) -> None:
    asked.subscribed()
    asked.undesire()
    asked.asked(UNSUB)
    assert asked.subscriptions.new_session() == ["/a"]
    assert "/a" not in asked.subscriptions
    assert asked.ask() is None


def test_channels_stay_in_the_order_in_which_they_were_first_wanted() -> None:
    subscriptions = Subscriptions()
    for channel in ("/b", "/a", "/c", "/b"):
        subscriptions.desire(channel, None)
    subscriptions.undesire("/c")
    assert subscriptions.desired() == ["/b", "/a"]


def test_fields_are_those_of_the_last_wish(asked: Asked) -> None:
    asked.desire({"ext": 1})
    asked.desire({"ext": 2})
    wish = asked.subscriptions.next_request("/a")
    assert wish is not None
    assert fields_of(wish[1].fields) == {"ext": 2}


def test_fields_are_copied_and_asked_for_anew() -> None:
    fields = {"ext": {"replay": 1}}
    assert fields_of(None) == {}
    assert fields_of(fields) == fields
    assert fields_of(fields) is not fields
    counter = iter(range(3))
    made = [fields_of(lambda: {"n": next(counter)}) for _ in range(3)]
    assert made == [{"n": 0}, {"n": 1}, {"n": 2}]


class SubscriptionLife(RuleBasedStateMachine):
    """A channel between its observers and a server that may answer, refuse, or be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = Asked()
        self.desired = False
        self.server_has = False
        self.pending: list[tuple[Kind, str]] = []

    @rule()
    def desire(self) -> None:
        self.asked.desire()
        self.desired = True

    @rule()
    def undesire(self) -> None:
        self.asked.undesire()
        self.desired = False

    @rule()
    def ask(self) -> None:
        request = self.asked.ask()
        if request is not None:
            self.pending.append(request)

    @rule()
    def begin_session(self) -> None:
        self.asked.subscriptions.new_session()
        self.pending.clear()
        self.server_has = False

    @precondition(lambda self: self.pending)
    @rule()
    def succeed(self) -> None:
        kind, request_id = self.pending.pop(0)
        self.server_has = kind is SUB
        self.asked.subscriptions.succeeded(kind, "/a", request_id)

    @precondition(lambda self: self.pending)
    @rule(arrived=st.booleans())
    def lose(self, *, arrived: bool) -> None:
        kind, request_id = self.pending.pop(0)
        self.server_has = kind is SUB if arrived else self.server_has
        self.asked.subscriptions.lost("/a", request_id)

    @precondition(lambda self: self.pending and self.pending[0][0] is SUB)
    @rule()
    def refuse(self) -> None:
        _, request_id = self.pending.pop(0)
        self.server_has = False
        if self.asked.subscriptions.refused(SUB, "/a", request_id):
            self.desired = False

    @precondition(lambda self: self.pending and self.pending[0][0] is UNSUB)
    @precondition(lambda self: not self.server_has)
    @rule()
    def miss(self) -> None:
        """Be refused to unsubscribe from what the server does not have."""
        _, request_id = self.pending.pop(0)
        self.asked.subscriptions.refused(UNSUB, "/a", request_id)

    def teardown(self) -> None:
        """Have the server answer everything: then it has what is wanted, and that is known."""
        self.ask()
        while self.pending:
            self.succeed()
            self.ask()
        assert self.server_has is self.desired
        assert self.asked.is_confirmed() is self.desired


TestSubscriptionLife = SubscriptionLife.TestCase


# The requests that reconcile

DENIED = ServerError("denied")
MISSING = ServerError("refused", {"successful": False, "error": "400::channel_missing"})


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


@pytest.mark.parametrize("lost", [True, False])
def test_an_unsubscribe_of_what_the_server_does_not_know_is_done(
    asking: Asking, *, lost: bool
) -> None:
    """CometD refuses it, with ``400::channel_missing``."""
    subscribe = asking.ask()
    if lost:
        asking.it.lost(subscribe)
    else:
        asking.it.succeeded(subscribe)
    asking.undesire()
    asking.told()
    asking.it.failed(asking.asked(), MISSING)
    assert asking.told() == [Unsubscribed("/a")]
    assert "/a" not in asking.it.subscriptions


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


@pytest.mark.parametrize("given", [3, "x", ["a"]])
def test_fields_that_are_no_mapping(given: Any) -> None:
    for fields in (given, lambda: given):
        with pytest.raises(TypeError, match=f"fields must be a mapping.*{type(given).__name__}"):
            fields_of(fields)


@pytest.mark.filterwarnings("error")
def test_fields_of_a_coroutine_function_are_refused_without_a_warning() -> None:
    async def ask() -> dict[str, Any]:
        return {}

    function: Any = ask
    with pytest.raises(TypeError, match=r"fields must be a mapping, .*not a coroutine"):
        fields_of(function)
