from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from rx_cometd._protocol.credentials import Credentials
from rx_cometd._protocol.outcomes import Outcome, Unauthorized
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd.exceptions import AuthenticationError, ServerError, TransportError

if TYPE_CHECKING:
    from rx_cometd.messages import Message

DENIED = AuthenticationError("denied")


@pytest.fixture
def outcomes() -> list[Outcome]:
    return []


@pytest.fixture
def credentials(outcomes: list[Outcome]) -> Credentials:
    return Credentials(outcomes, renewable=True)


def sent_with(credentials: Credentials) -> Request:
    request = Requests().add(Kind.PUBLISH, cast("Message", {"channel": "/a"}))
    request.sent = True
    request.credentials = credentials.generation
    return request


@pytest.mark.parametrize("renewable", [True, False])
@pytest.mark.parametrize("error", [DENIED, TransportError("denied", http_status=401)])
def test_they_help_an_authentication_failure_if_there_can_be_new_ones(
    error: Exception, *, renewable: bool
) -> None:
    assert Credentials([], renewable=renewable).might_help(error) is renewable
    assert not Credentials([], renewable=renewable).might_help(ServerError("no"))


def test_new_ones_are_asked_for_once_at_a_time(
    credentials: Credentials, outcomes: list[Outcome]
) -> None:
    credentials.ask(DENIED)
    credentials.ask(TransportError("denied too"))
    assert outcomes == [Unauthorized(DENIED)]
    credentials.renewed()
    credentials.ask(DENIED)
    credentials.unavailable()
    credentials.ask(DENIED)
    assert outcomes == [Unauthorized(DENIED)] * 3


def test_requests_wait_for_new_ones_and_are_given_back_once(credentials: Credentials) -> None:
    first, second = sent_with(credentials), sent_with(credentials)
    credentials.hold(first)
    credentials.hold(second)
    assert not first.sent
    assert credentials.renewed() == [first, second]
    assert credentials.renewed() == []
    credentials.hold(first)
    assert credentials.unavailable() == [first]
    assert credentials.unavailable() == []


def test_they_are_newer_than_a_request_that_was_sent_before(credentials: Credentials) -> None:
    request = sent_with(credentials)
    assert not credentials.are_newer_than(request)
    credentials.unavailable()
    assert not credentials.are_newer_than(request)
    credentials.renewed()
    assert credentials.are_newer_than(request)
    request.credentials = credentials.generation
    assert not credentials.are_newer_than(request)
