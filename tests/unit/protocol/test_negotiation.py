from __future__ import annotations

from typing import Any

import pytest

from rx_cometd._protocol.negotiation import Negotiation
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ClientError, TransportError

WS = ConnectionType.WEBSOCKET
LP = ConnectionType.LONG_POLLING


def begun(*preferences: ConnectionType) -> Negotiation:
    negotiation = Negotiation(preferences or (WS, LP))
    assert negotiation.begin()
    return negotiation


def test_there_must_be_a_preference() -> None:
    with pytest.raises(ClientError, match="no connection type"):
        Negotiation([])


@pytest.mark.parametrize("preferences", [(WS, LP), (LP, WS), (WS,), (LP,)])
def test_the_handshake_goes_over_the_first_preference(
    preferences: tuple[ConnectionType, ...],
) -> None:
    negotiation = begun(*preferences)
    assert negotiation.current is preferences[0]
    assert negotiation.preferences == preferences


@pytest.mark.parametrize(
    ("preferences", "listed", "expected"),
    [
        ((WS, LP), ["long-polling", "websocket"], WS),
        ((LP, WS), ["websocket", "long-polling"], LP),
        ((WS, LP), ["long-polling", "callback-polling"], LP),
        ((WS, LP), ["eventsource", "in-process", "websocket"], WS),
        ((LP,), ["websocket", "long-polling"], LP),
    ],
)
def test_the_first_preference_that_the_server_lists_is_chosen(
    preferences: tuple[ConnectionType, ...], listed: list[str], expected: ConnectionType
) -> None:
    negotiation = begun(*preferences)
    assert negotiation.choose(listed)
    assert negotiation.current is expected


@pytest.mark.parametrize("listed", [[], ["callback-polling"], ["websocket"], [None, 5]])
def test_without_overlap_nothing_is_chosen(listed: list[Any]) -> None:
    negotiation = begun(LP)
    assert not negotiation.choose(listed)
    assert negotiation.current is LP


@pytest.mark.parametrize("listed", [None, "websocket", {"websocket": 1}])
def test_a_server_that_lists_nothing_leaves_the_type_that_works(listed: object) -> None:
    negotiation = begun(LP, WS)
    assert negotiation.choose(listed)
    assert negotiation.current is LP


@pytest.mark.parametrize("unsupported", [True, False])
def test_where_a_type_fails_the_next_one_is_tried(*, unsupported: bool) -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=unsupported)
    assert negotiation.falls_back(LP)
    assert negotiation.current is WS
    assert negotiation.begin()
    assert negotiation.current is LP


def test_a_type_that_the_server_does_not_speak_is_not_tried_again() -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=True)
    assert negotiation.begin()
    negotiation.failed(unsupported=False)
    assert negotiation.begin()
    assert negotiation.current is LP
    assert not negotiation.falls_back(LP)


def test_before_the_first_handshake_no_type_is_in_use() -> None:
    negotiation = Negotiation([WS, LP])
    assert negotiation.current is None
    assert not negotiation.has_alternative
    assert not negotiation.falls_back(WS)
    negotiation.failed(unsupported=True)
    assert negotiation.upcoming() is WS


def test_a_server_that_speaks_no_type_has_none() -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=True)
    assert negotiation.begin()
    negotiation.failed(unsupported=True)
    assert not negotiation.begin()


def test_once_all_are_doubted_the_next_round_begins_with_the_first() -> None:
    negotiation = begun(WS, LP)
    tried: list[ConnectionType | None] = []
    for _ in range(5):
        tried.append(negotiation.current)
        negotiation.failed(unsupported=False)
        assert negotiation.begin()
    assert tried == [WS, LP, WS, LP, WS]


def test_of_the_types_that_the_server_lists_those_not_in_doubt_come_first() -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=False)
    assert negotiation.begin()
    assert negotiation.choose(["websocket", "long-polling"])
    assert negotiation.current is LP


def test_a_doubted_type_is_chosen_where_the_server_lists_no_other() -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=False)
    assert negotiation.begin()
    assert negotiation.choose(["websocket"])
    assert negotiation.current is WS


@pytest.mark.parametrize("unsupported", [True, False])
def test_a_type_that_worked_once_is_kept_whatever_happens(*, unsupported: bool) -> None:
    negotiation = begun(WS, LP)
    negotiation.worked()
    negotiation.failed(unsupported=unsupported)
    assert negotiation.begin()
    assert negotiation.current is WS


def test_a_doubted_type_that_works_is_doubted_no_more() -> None:
    negotiation = begun(WS, LP)
    negotiation.failed(unsupported=False)
    negotiation.worked()
    assert negotiation.begin()
    assert negotiation.current is WS


def test_a_new_session_gives_the_doubted_but_not_the_unsupported_another_chance() -> None:
    doubted = begun(WS, LP)
    doubted.failed(unsupported=False)
    doubted.renew()
    assert doubted.begin()
    assert doubted.current is WS
    unsupported = begun(WS, LP)
    unsupported.failed(unsupported=True)
    unsupported.renew()
    assert unsupported.begin()
    assert unsupported.current is LP


def test_the_error_of_nothing_in_common_names_both_sides() -> None:
    error = begun(WS, LP).nothing_in_common(["callback-polling", "eventsource"])
    assert "the server lists callback-polling, eventsource" in str(error)
    assert "this client may use websocket, long-polling" in str(error)
    assert "the server lists none" in str(begun(LP).nothing_in_common([]))


def test_the_error_of_nothing_left_tells_its_cause() -> None:
    cause = TransportError("HTTP 404", http_status=404)
    error = begun(LP).nothing_left(cause)
    assert error.__cause__ is cause
    assert "(long-polling)" in str(error)
    assert str(error).endswith("Last: HTTP 404")
