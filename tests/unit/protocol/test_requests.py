from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rx_cometd._protocol.requests import Kind, Request, Requests, subscriptions_of

if TYPE_CHECKING:
    from rx_cometd.messages import Message

CHANNELS = {
    Kind.HANDSHAKE: "/meta/handshake",
    Kind.CONNECT: "/meta/connect",
    Kind.DISCONNECT: "/meta/disconnect",
    Kind.SUBSCRIBE: "/meta/subscribe",
    Kind.UNSUBSCRIBE: "/meta/unsubscribe",
    Kind.PUBLISH: "/chat",
    Kind.CALL: "/service/echo",
}


def message(**fields: Any) -> Message:
    return cast("Message", fields)


@pytest.fixture
def requests() -> Requests:
    return Requests()


def send(requests: Requests, kind: Kind, **fields: Any) -> Request:
    request = requests.add(kind, message(**{"channel": CHANNELS[kind], **fields}))
    request.sent = True
    return request


def test_identifiers_are_never_used_twice(requests: Requests) -> None:
    first = send(requests, Kind.PUBLISH)
    requests.settle(first)
    second = send(requests, Kind.PUBLISH, id="1")
    assert (first.id, second.id) == ("1", "2")
    assert second.message.get("id") == "2"


def test_a_request_waits_until_it_is_settled(requests: Requests) -> None:
    request = send(requests, Kind.PUBLISH)
    assert request.id in requests
    assert requests.get(request.id) is request
    assert len(requests) == 1
    requests.settle(request)
    requests.settle(request)
    assert request.id not in requests
    assert requests.get(request.id) is None
    assert len(requests) == 0


def test_calls_are_known_as_such_while_they_wait(requests: Requests) -> None:
    send(requests, Kind.PUBLISH)
    call = send(requests, Kind.CALL)
    assert requests.calls == {call.id: call}
    requests.settle(call)
    assert requests.calls == {}


def test_all_are_taken_in_the_order_in_which_they_were_made(requests: Requests) -> None:
    made = [send(requests, kind) for kind in Kind]
    calls = requests.calls
    assert requests.take_all() == made
    assert requests.take_all() == []
    # The same dictionary: who looks at it must not go on seeing old calls.
    assert calls == {}
    assert requests.calls is calls


def test_only_what_was_sent_waits_for_a_reply(requests: Requests) -> None:
    sent, unsent = send(requests, Kind.PUBLISH), requests.add(Kind.PUBLISH, message(channel="/b"))
    assert requests.sent() == [sent]
    assert requests.waiting([unsent.id, "99", sent.id, sent.id]) == [sent]
    assert requests.of(Kind.PUBLISH, Kind.CALL) == [sent, unsent]
    assert requests.of(Kind.CALL) == []


@pytest.mark.parametrize("kind", list(Kind))
def test_a_reply_is_matched_by_its_identifier(requests: Requests, kind: Kind) -> None:
    send(requests, kind)
    request = send(requests, kind)
    assert requests.match(message(channel=request.channel, id=request.id)) is request


def test_an_identifier_may_come_back_as_a_number(requests: Requests) -> None:
    request = send(requests, Kind.CONNECT)
    assert requests.match(message(channel="/meta/connect", id=int(request.id))) is request


@pytest.mark.parametrize("reply_id", ["99", 99, "x", [1], {"a": 1}, True, 1.5])
def test_a_reply_with_a_foreign_identifier_is_nobodys(requests: Requests, reply_id: Any) -> None:
    send(requests, Kind.CONNECT)
    assert requests.match(message(channel="/meta/connect", id=reply_id)) is None


def test_a_settled_request_is_matched_no_more(requests: Requests) -> None:
    request = send(requests, Kind.CONNECT)
    requests.settle(request)
    assert requests.match(message(channel="/meta/connect", id=request.id)) is None


def test_a_reply_on_another_channel_is_nobodys(requests: Requests) -> None:
    request = send(requests, Kind.CONNECT)
    assert requests.match(message(channel="/meta/handshake", id=request.id)) is None


def test_what_was_not_sent_cannot_be_answered(requests: Requests) -> None:
    request = send(requests, Kind.PUBLISH)
    request.sent = False
    assert requests.match(message(channel="/chat", id=request.id, successful=True)) is None
    assert requests.match(message(channel="/chat", successful=True)) is None


@pytest.mark.parametrize("channel", [{}, {"channel": None}])
@pytest.mark.parametrize("outcome", [{"successful": True}, {"successful": False}, {"error": "x"}])
def test_a_reply_without_channel_is_matched_if_it_says_how_it_went(
    requests: Requests, channel: dict[str, Any], outcome: dict[str, Any]
) -> None:
    request = send(requests, Kind.PUBLISH)
    assert requests.match(message(id=request.id, **channel, **outcome)) is request
    assert requests.match(message(id=request.id, **channel)) is None


@pytest.mark.parametrize("reply_id", [{}, {"id": None}, {"id": ""}])
def test_replies_without_identifier_go_to_the_oldest_request(
    requests: Requests, reply_id: dict[str, Any]
) -> None:
    first, second = send(requests, Kind.PUBLISH), send(requests, Kind.PUBLISH)
    reply = message(channel="/chat", successful=True, **reply_id)
    assert requests.match(reply) is first
    requests.settle(first)
    assert requests.match(reply) is second
    requests.settle(second)
    assert requests.match(reply) is None


def test_replies_without_identifier_on_meta_channels_need_not_say_how_it_went(
    requests: Requests,
) -> None:
    connect, publish = send(requests, Kind.CONNECT), send(requests, Kind.PUBLISH)
    assert requests.match(message(channel="/meta/connect")) is connect
    # On other channels that would be an event message without data.
    assert requests.match(message(channel="/chat")) is None
    assert requests.match(message(channel="/chat", error="403::no")) is publish


def test_replies_without_identifier_are_matched_by_subscription(requests: Requests) -> None:
    a = send(requests, Kind.SUBSCRIBE, subscription="/a")
    b = send(requests, Kind.SUBSCRIBE, subscription="/b")
    assert requests.match(message(channel="/meta/subscribe", subscription="/b")) is b
    assert requests.match(message(channel="/meta/subscribe", subscription=["/x", "/b"])) is b
    assert requests.match(message(channel="/meta/subscribe", subscription="/c")) is None
    assert requests.match(message(channel="/meta/subscribe")) is a


@pytest.mark.parametrize("channel", [None, 5, [], "/other"])
def test_replies_without_identifier_on_strange_channels_are_nobodys(
    requests: Requests, channel: Any
) -> None:
    send(requests, Kind.PUBLISH)
    assert requests.match(message(channel=channel, successful=True)) is None


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [(None, ()), ("/a", ("/a",)), (["/a", "/b"], ("/a", "/b")), ([], ()), (5, (5,))],
)
def test_a_subscription_is_one_channel_several_or_none(
    subscription: Any, expected: tuple[object, ...]
) -> None:
    assert subscriptions_of(message(subscription=subscription)) == expected
    assert subscriptions_of(message()) == ()


def taken(request: Request, **fields: Any) -> dict[str, Any]:
    return {"channel": request.channel, "id": request.id, "successful": True, **fields}


def test_replies_to_publishes_settle_them_all(requests: Requests) -> None:
    published = [send(requests, Kind.PUBLISH, channel=f"/{n}") for n in range(3)]
    other = send(requests, Kind.CONNECT)
    replies = [taken(request) for request in published]
    assert requests.settle_published([*replies, replies[0]])
    assert requests.all() == [other]


@pytest.mark.parametrize(
    "other",
    [
        {"channel": "/chat", "id": "2", "successful": False},
        {"channel": "/chat", "id": "2"},
        {"channel": "/chat", "id": "2", "successful": 1},
        {"channel": "/other", "id": "2", "successful": True},
        {"channel": "/chat", "id": "2", "successful": True, "data": {}},
        {"channel": "/chat", "id": 2, "successful": True},
        {"channel": "/chat", "id": ["2"], "successful": True},
        {"channel": "/chat", "id": "9", "successful": True},
        {"channel": "/chat", "successful": True},
        {"channel": "/service/echo", "id": "3", "successful": True},
        {"channel": "/meta/connect", "id": "4", "successful": True},
        {"channel": "/chat", "id": "5", "successful": True},
        "no message",
        None,
    ],
)
def test_whatever_else_is_among_them_settles_none(requests: Requests, other: Any) -> None:
    first = send(requests, Kind.PUBLISH)
    send(requests, Kind.PUBLISH)
    send(requests, Kind.CALL)
    send(requests, Kind.CONNECT)
    send(requests, Kind.PUBLISH).sent = False
    assert not requests.settle_published([taken(first), other])
    assert len(requests) == 5
