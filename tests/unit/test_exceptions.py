from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd import exceptions
from rx_cometd.exceptions import (
    AuthenticationError,
    BufferOverflowError,
    ClientError,
    ClientInvalidOperation,
    CometDError,
    DecodeError,
    ExtensionError,
    InvalidChannelError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)

PARENTS = {
    ClientError: CometDError,
    ClientInvalidOperation: ClientError,
    InvalidChannelError: ClientError,
    BufferOverflowError: ClientError,
    ExtensionError: ClientError,
    TransportError: CometDError,
    TransportTimeoutError: TransportError,
    TransportConnectionClosed: TransportError,
    ProtocolError: TransportError,
    DecodeError: CometDError,
    ServerError: CometDError,
    AuthenticationError: ServerError,
}


def test_the_tree_is_the_one_of_the_contract() -> None:
    assert {error: error.__bases__[0] for error in PARENTS} == PARENTS
    assert set(exceptions.__all__) == {e.__name__ for e in (CometDError, *PARENTS)}


def test_an_impossible_channel_is_a_value_error() -> None:
    error = InvalidChannelError("chat", "it must begin with '/'")
    assert isinstance(error, ValueError)
    assert (error.channel, error.reason) == ("chat", "it must begin with '/'")
    assert str(error) == "invalid channel 'chat': it must begin with '/'"


def test_an_overflow_tells_its_bound() -> None:
    error = BufferOverflowError(3)
    assert error.max_pending_count == 3
    assert str(error) == "the consumer is too slow: more than 3 messages were pending"


def test_a_transport_error_tells_status_and_close_code() -> None:
    error = TransportConnectionClosed("gone", close_code=1006)
    assert (str(error), error.http_status, error.close_code) == ("gone", None, 1006)
    assert TransportError(http_status=503).http_status == 503


@pytest.mark.parametrize(
    ("text", "code", "args", "message"),
    [
        ("402::session_unknown", 402, (), "session_unknown"),
        ("401:abc:Unknown client", 401, ("abc",), "Unknown client"),
        ("403:/a, /b,:no", 403, ("/a", "/b"), "no"),
        # Salesforce: further colons belong to the message.
        ("400::URI format: '/cometd/51.0'", 400, (), "URI format: '/cometd/51.0'"),
        ("::anonymous", None, (), "anonymous"),
        ("unauthorized", None, (), "unauthorized"),
        ("no::code", None, (), "no::code"),
        ("402:half", None, (), "402:half"),
        ("", None, (), ""),
        # Text that `int` would refuse must not raise from within a reply.
        ("9" * 5000 + "::x", None, (), "9" * 5000 + "::x"),
        ("²::x", None, (), "²::x"),
    ],
)
def test_the_error_field_is_split_at_its_first_two_colons(
    text: str, code: int | None, args: tuple[str, ...], message: str
) -> None:
    error = ServerError("refused", {"error": text})
    assert (error.error_code, error.error_args, error.error_message) == (code, args, message)
    assert error.error == text
    assert str(error) == (f"refused: {text}" if text else "refused")


@given(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()), st.booleans()))
def test_no_error_field_is_too_strange(field: Any) -> None:
    error = ServerError("refused", {"error": field, "advice": field})
    assert error.error == ("" if field is None else str(field))
    assert error.advice == {}


def test_a_server_error_keeps_the_response_and_its_advice() -> None:
    response = {"error": "402::gone", "advice": {"reconnect": "handshake"}}
    error = ServerError("the connect was refused", response)
    assert error.response is response
    assert error.advice == {"reconnect": "handshake"}


def test_a_server_error_may_have_no_response() -> None:
    error = AuthenticationError("no token")
    assert error.response == {}
    assert error.advice == {}
    assert str(error) == "no token"


def test_no_text_of_a_server_error_shows_what_travels_beside_the_error() -> None:
    response = {"error": "401::no", "ext": {"token": "hush"}, "clientId": "hush"}
    error = AuthenticationError("refused", response)
    assert "hush" not in f"{error} {error!r}"
    assert repr(error) == "AuthenticationError('refused: 401::no')"


@pytest.mark.parametrize(
    "error",
    [
        InvalidChannelError("a", "b"),
        BufferOverflowError(1),
        TransportError("x", http_status=500),
        ServerError("x", {"error": "1::y"}),
    ],
)
def test_errors_are_copied_and_pickled_with_their_facts(error: CometDError) -> None:
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
