from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rx_cometd._protocol.refusals import (
    as_authentication_error,
    authentication_failed,
    is_lost,
    reached_server,
    refusal,
    unknown_client,
    unsupported,
)
from rx_cometd._protocol.requests import Kind, Requests
from rx_cometd.exceptions import (
    AuthenticationError,
    ClientError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    from rx_cometd.messages import Message


def refused(kind: Kind, error: object = "500::oops", **fields: Any) -> ServerError:
    message = cast("Message", {"channel": "/chat", "subscription": "/a{}"})
    reply = cast("Message", {"successful": False, "error": error, **fields})
    made = refusal(Requests().add(kind, message), reply)
    assert made.response is reply
    return made


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Kind.HANDSHAKE, "the handshake was refused"),
        (Kind.CONNECT, "the connect was refused"),
        (Kind.DISCONNECT, "the disconnect was refused"),
        (Kind.SUBSCRIBE, "the subscribe to /a{} was refused"),
        (Kind.UNSUBSCRIBE, "the unsubscribe from /a{} was refused"),
        (Kind.PUBLISH, "the publish to /chat was refused"),
        (Kind.CALL, "the call of /chat was refused"),
    ],
)
def test_a_refusal_says_what_was_refused(kind: Kind, text: str) -> None:
    error = refused(kind)
    assert type(error) is ServerError
    assert str(error) == f"{text}: 500::oops"


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    "reply",
    [
        {"error": "401::Authentication invalid"},
        {"error": "401::Request requires authentication"},
        {"error": "403::no", "ext": {"sfdc": {"failureReason": "401::Authentication invalid"}}},
        {"error": "oops", "ext": {"a": 1, "b": {}, "c": {"failureReason": "401"}}},
    ],
)
def test_authentication_failures_have_their_own_class(kind: Kind, reply: dict[str, Any]) -> None:
    assert type(refused(kind, **reply)) is AuthenticationError


@pytest.mark.parametrize("kind", list(Kind))
def test_a_403_is_an_authentication_failure_of_a_handshake_only(kind: Kind) -> None:
    expected = AuthenticationError if kind is Kind.HANDSHAKE else ServerError
    assert type(refused(kind, "403::Handshake denied")) is expected


@pytest.mark.parametrize("ext", [None, [], "401", {}, {"sfdc": "401"}, {"sfdc": {"reason": "401"}}])
def test_other_ext_fields_are_no_authentication_failure(ext: object) -> None:
    assert type(refused(Kind.SUBSCRIBE, "403::denied", ext=ext)) is ServerError


@pytest.mark.parametrize(
    "error",
    [
        "402::session_unknown",
        "402::Unknown client",
        "401:abc:Unknown client",
        "403::Unknown client",
        "402::Unknown Session",
    ],
)
@pytest.mark.parametrize("kind", list(Kind))
def test_an_unknown_client_is_told_by_code_and_text(kind: Kind, error: str) -> None:
    made = refused(kind, error)
    assert unknown_client(made)
    # New credentials would not help it.
    assert type(made) is ServerError


@pytest.mark.parametrize(
    "error",
    [
        "402:clientId:Missing required parameter",  # Faye
        "403::Unknown channel",
        "404::Unknown client",
        "Unknown client",
        "401::Authentication invalid",
        "403::Organization concurrent user limit exceeded",
        None,
    ],
)
def test_other_refusals_are_no_unknown_client(error: object) -> None:
    assert not unknown_client(refused(Kind.CONNECT, error))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AuthenticationError("no"), True),
        (ServerError("no", {"error": "403::no"}), False),
        (TransportError("no", http_status=401), True),
        (TransportError("no", http_status=403), False),
        (TransportConnectionClosed("gone"), False),
        (ValueError("x"), False),
    ],
)
def test_new_credentials_might_help_an_authentication_failure_only(
    error: Exception, *, expected: bool
) -> None:
    assert authentication_failed(error) is expected


def test_however_it_was_told_the_user_sees_an_authentication_error() -> None:
    told = AuthenticationError("no")
    assert as_authentication_error(told) is told
    status = TransportError("401 Unauthorized", http_status=401)
    made = as_authentication_error(status)
    assert type(made) is AuthenticationError
    assert made.__cause__ is status
    assert str(made) == "the server wants other credentials: 401 Unauthorized"


@pytest.mark.parametrize(
    ("error", "reached", "disabled"),
    [
        (TransportError("not found", http_status=404), True, True),
        (TransportError("bad request", http_status=400), True, True),
        (TransportError("no upgrade", http_status=200), True, True),
        (TransportError("upgrade required", http_status=426), True, True),
        *(
            (TransportError("not now", http_status=status), True, False)
            for status in (401, 403, 407, 408, 425, 429, 500, 502, 503, 504)
        ),
        (TransportTimeoutError("silence"), True, False),
        (TransportConnectionClosed("cut off", close_code=1006), True, False),
        (TransportError("refused"), False, False),
        (ProtocolError("garbage"), False, False),
        (ClientError("ours"), False, False),
        (ServerError("refused", {"error": "404::x"}), False, False),
    ],
)
def test_what_a_failure_says_of_the_transport(
    error: Exception, *, reached: bool, disabled: bool
) -> None:
    assert reached_server(error) is reached
    assert is_lost(error) is (type(error) not in (ClientError, ServerError))
    assert unsupported(error) is disabled
