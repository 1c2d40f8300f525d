from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from rx_cometd._protocol.requests import Kind
from rx_cometd._protocol.subscriptions import Subscriptions, fields_of

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

    def teardown(self) -> None:
        """Have the server answer everything: then it has what is wanted, and that is known."""
        self.ask()
        while self.pending:
            self.succeed()
            self.ask()
        assert self.server_has is self.desired
        assert self.asked.is_confirmed() is self.desired


TestSubscriptionLife = SubscriptionLife.TestCase
