"""Messages, requests and subscriptions; the cycle that carries them is in `test_control`."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rx_cometd._protocol.outcomes import (
    Due,
    Ended,
    Lane,
    ResendDue,
    Settled,
    Step,
    Subscribed,
    SubscriptionFailed,
    Told,
    Unauthorized,
    Unsubscribed,
)
from rx_cometd.exceptions import (
    AuthenticationError,
    ExtensionError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState as S
from tests.unit.protocol.driver import (
    DENIED,
    HANDSHAKE,
    LP,
    NONE,
    Driver,
    event,
    refusal_of,
    reply_to,
)

DOWN = TransportError("the network is down")


@pytest.fixture
def driver() -> Driver:
    """Give a driver that is connected, with the next connect outstanding."""
    driver = Driver().connected()
    driver.take_step()
    return driver


def subscribed(driver: Driver, *channels: str) -> list[dict[str, Any]]:
    """Have channels subscribed to and confirmed. Gives the requests."""
    driver.subscribe(*channels)
    requests = driver.messages("/meta/subscribe")
    driver.receive(*[reply_to(request) for request in requests])
    driver.assert_subscribed(*channels)
    return requests


def down(driver: Driver) -> None:
    """Have the link lost with everything that is outstanding."""
    driver.do(lambda: driver.protocol.lose(DOWN, driver.now))
    assert driver.state is S.UNCONNECTED


def forget_session(driver: Driver) -> None:
    """Have the server forget the session, and come to a new one. ``sent`` resubscribes."""
    (connect,) = (r for r in driver.outstanding if r.channel == "/meta/connect")
    driver.refuse({"channel": connect.channel, "id": connect.id}, advice=HANDSHAKE)
    driver.handshaken()


# -- event messages ------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["", 0, False, [], {}, None, 0.0])
def test_falsy_data_is_delivered(driver: Driver, data: object) -> None:
    message = event(data=data)
    driver.receive(message)
    assert driver.events == [message]
    assert driver.events[0] is message


def test_event_messages_are_given_in_order_among_replies(driver: Driver) -> None:
    driver.publish()
    reply = reply_to(driver.message("/chat"))
    messages = [event("/a"), reply, event("/service/b"), {"channel": "/meta/x"}, event("/c")]
    driver.receive(*messages)
    assert driver.events == [messages[0], messages[2], messages[4]]
    assert driver.assert_settled(reply["id"]) is reply


def test_an_empty_payload_is_nothing(driver: Driver) -> None:
    driver.receive()
    assert driver.happened == []
    assert driver.events == []


@pytest.mark.parametrize("channel", ["/chat", "/other", "/service/echo"])
def test_a_foreign_id_in_an_event_resolves_no_request_of_ours(driver: Driver, channel: str) -> None:
    """Faye leaves the publisher's id in the messages, and ids of two clients collide."""
    request_id = driver.publish("/chat")
    message = event(channel, id=request_id)
    driver.receive(message)
    assert driver.events == [message]
    assert driver.happened == []
    driver.answer({"channel": "/chat", "id": request_id})
    driver.assert_settled(request_id)


def test_our_own_message_may_come_before_the_reply_to_its_publish(driver: Driver) -> None:
    request_id = driver.publish("/chat", "hi")
    reply = {"channel": "/chat", "id": request_id, "successful": True}
    driver.receive(event("/chat", "hi", id=request_id), reply)
    assert [message.get("data") for message in driver.events] == ["hi"]
    driver.assert_settled(request_id)


def test_service_messages_with_an_id_are_events(driver: Driver) -> None:
    message = event("/service/members", id="1")
    driver.receive(message)
    assert driver.events == [message]


@pytest.mark.parametrize("data", [None, {}, "x"])
def test_meta_messages_with_data_are_no_events(driver: Driver, data: object) -> None:
    driver.receive(event("/meta/connect", data, id="77"))
    assert driver.events == []
    driver.assert_goes_on()


@pytest.mark.parametrize(
    "garbage",
    [
        {},
        {"data": 1},
        {"id": "1"},
        {"channel": None, "data": 1},
        {"channel": 5, "data": 1, "id": "1"},
        {"channel": [], "id": []},
        {"channel": {}, "subscription": {}},
        {"channel": "/chat"},
        {"channel": "/chat", "id": "1"},
        {"channel": "/meta/handshake", "id": {}, "successful": True, "clientId": "evil"},
        {"channel": "/meta/nonsense", "successful": False, "error": "402::session_unknown"},
        {"advice": HANDSHAKE},
        {"successful": True},
    ],
)
def test_garbage_changes_nothing(driver: Driver, garbage: dict[str, Any]) -> None:
    request_id = driver.publish()
    driver.receive(garbage, exchange=[request_id])
    assert driver.happened == []
    assert driver.events == []
    assert driver.protocol.client_id == "client-1"
    assert driver.waits_for(request_id)


def test_a_message_without_channel_is_reported_in_the_log(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "rx_cometd.protocol"):
        driver.receive({"data": 1})
    assert [record.message for record in caplog.records] == ["skipped a message without channel"]


# -- publishing ----------------------------------------------------------------------------------


def test_a_publish_goes_out_with_its_fields_below_the_protocols(driver: Driver) -> None:
    fields = {"ext": {"x": 1}, "id": "mine", "channel": "/x", "data": "y", "clientId": "z"}
    ids: list[str] = []
    driver.do(lambda: ids.append(driver.protocol.publish("/chat", None, fields)))
    (message,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    assert message == {
        "channel": "/chat",
        "data": None,
        "ext": {"x": 1},
        "id": ids[0],
        "clientId": "client-1",
    }
    assert driver.sent[0].timeout == 10.0


def test_a_publish_is_settled_by_its_reply(driver: Driver) -> None:
    first, second = driver.publish(), driver.publish()
    reply = {"channel": "/chat", "id": second, "successful": True}
    driver.receive(reply)
    assert driver.assert_settled(second) is reply
    driver.receive({"channel": "/chat", "id": first})
    driver.assert_settled(first)
    driver.receive(reply)
    assert driver.happened == []


@pytest.mark.parametrize("fields", [{"successful": False}, {"error": "403::no"}])
def test_a_refused_publish_fails(driver: Driver, fields: dict[str, Any]) -> None:
    request_id = driver.publish()
    driver.receive({"channel": "/chat", "id": request_id, **fields})
    driver.assert_failed(request_id, ServerError)
    driver.assert_goes_on()


@pytest.mark.parametrize("error", ["402::session_unknown", "401:x:Unknown client"])
def test_a_publish_of_an_unknown_client_fails_and_a_new_session_is_sought(
    driver: Driver, error: str
) -> None:
    request_id = driver.publish()
    driver.refuse(driver.message("/chat"), error, advice=HANDSHAKE)
    driver.assert_failed(request_id, ServerError)
    driver.assert_due(Step.HANDSHAKE, 0.0)
    driver.assert_nothing_sent()


@pytest.mark.parametrize(
    "error", [DOWN, TransportTimeoutError(), TransportConnectionClosed(), ExtensionError("no")]
)
def test_a_lost_publish_fails_and_is_never_sent_again(driver: Driver, error: Exception) -> None:
    request_id = driver.publish()
    driver.fail(driver.message("/chat"), error=error)
    assert driver.assert_failed(request_id, Exception) is error
    driver.assert_nothing_sent()
    driver.do(driver.protocol.resend)
    driver.assert_nothing_sent()
    driver.receive({"channel": "/chat", "id": request_id, "successful": True})
    assert driver.happened == []


def test_a_request_named_twice_fails_once(driver: Driver) -> None:
    (connect,) = driver.outstanding
    request_id = driver.publish()
    named = [{"id": request_id}, {"id": connect.id}] * 2
    driver.fail(*named)
    driver.assert_failed(request_id, TransportError)
    driver.assert_due(Step.CONNECT, 1.0)
    assert len(driver.of(Due)) == 1


def test_requests_of_one_turn_travel_in_one_payload_in_order(driver: Driver) -> None:
    def turn() -> None:
        driver.protocol.publish("/a", 1, {})
        driver.protocol.subscribe("/b")
        driver.protocol.publish("/c", 3, {})

    driver.do(turn)
    driver.assert_sent(Lane.ORDINARY, "/a", "/meta/subscribe", "/c")


def test_what_is_asked_for_before_the_handshake_goes_out_after_it_in_order() -> None:
    driver = Driver()
    driver.open()
    driver.publish("/a")
    driver.assert_nothing_sent()
    driver.subscribe("/b")
    handshake = driver.take_step()
    driver.publish("/c")
    driver.assert_nothing_sent()
    driver.answer(handshake, clientId="x")
    lanes = [
        (payload.lane, [m.get("channel") for m in payload.messages]) for payload in driver.sent
    ]
    assert lanes == [(Lane.RESUBSCRIBE, ["/meta/subscribe"]), (Lane.ORDINARY, ["/a", "/c"])]
    assert all(m.get("clientId") == "x" for payload in driver.sent for m in payload.messages)


def test_while_the_link_is_down_requests_wait(driver: Driver) -> None:
    down(driver)
    request_id = driver.publish()
    driver.assert_nothing_sent()
    driver.take_step()
    assert driver.messages("/chat") == []
    driver.answer(driver.message("/meta/connect"))
    (message,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    driver.answer(message)
    driver.assert_settled(request_id)


def test_what_waited_goes_to_a_new_session_under_its_name(driver: Driver) -> None:
    down(driver)
    driver.publish()
    driver.refuse(driver.take_step(), "402::session_unknown")
    driver.handshaken()
    (message,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    assert message["clientId"] == "client-2"


def test_a_session_may_hold_ordinary_payloads_back(driver: Driver) -> None:
    driver.protocol.publish("/chat", 1, {})
    assert driver.protocol.has_ordinary
    assert driver.protocol.take(ordinary=False) == []
    assert driver.protocol.has_ordinary
    (payload,) = driver.protocol.take()
    assert payload.lane is Lane.ORDINARY
    assert not driver.protocol.has_ordinary


def test_a_cancelled_request_is_not_sent(driver: Driver) -> None:
    def turn() -> None:
        kept = driver.protocol.publish("/a", 1, {})
        driver.protocol.cancel(driver.protocol.publish("/b", 2, {}))
        assert driver.waits_for(kept)

    driver.do(turn)
    driver.assert_sent(Lane.ORDINARY, "/a")


def test_a_request_cancelled_while_the_link_is_down_is_not_kept(driver: Driver) -> None:
    down(driver)
    driver.protocol.cancel(driver.publish())
    driver.answer(driver.take_step())
    assert not driver.protocol.has_ordinary
    assert driver.protocol.requests() == []


def test_a_request_cancelled_after_it_was_sent_is_forgotten(driver: Driver) -> None:
    request_id = driver.publish()
    request = driver.message("/chat")
    driver.do(lambda: driver.protocol.cancel(request_id))
    driver.do(lambda: driver.protocol.cancel(request_id))
    driver.answer(request)
    driver.fail(request)
    assert driver.happened == []


def test_what_extensions_do_to_a_message_does_not_reach_the_request(driver: Driver) -> None:
    """An extension that encodes the data must not find it encoded when it is sent again."""
    request_id = driver.publish(data="plain")
    (message,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    message["data"] = "encoded"
    driver.receive(refusal_of(message), retries=[request_id])
    (again,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    assert again["data"] == "plain"


# -- replies without id or channel ---------------------------------------------------------------


def test_replies_without_id_are_taken_for_the_oldest_request_of_their_channel() -> None:
    """Lyrion before 8.3 leaves all of them out."""
    driver = Driver(LP)
    driver.open()
    driver.take_step()
    driver.receive({"channel": "/meta/handshake", "clientId": "x", "successful": True})
    driver.take_step()
    driver.receive({"channel": "/meta/connect", "successful": True})
    driver.assert_states(S.CONNECTED)
    driver.subscribe("/a", "/b")
    driver.receive({"channel": "/meta/subscribe", "subscription": "/b", "successful": True})
    driver.assert_subscribed("/b")
    first, second = driver.publish(), driver.publish()
    driver.receive({"channel": "/chat", "id": "", "successful": True})
    driver.assert_settled(first)
    driver.receive({"channel": "/chat", "id": None, "successful": False})
    driver.assert_failed(second, ServerError)


def test_a_reply_may_name_its_subscription_in_a_list(driver: Driver) -> None:
    driver.subscribe("/a", "/b")
    _, request = driver.messages("/meta/subscribe")
    driver.receive({"channel": "/meta/subscribe", "subscription": ["/b"], "successful": True})
    driver.assert_subscribed("/b")
    driver.subscribe("/c")
    driver.answer(driver.message("/meta/subscribe"), subscription=["/c"])
    driver.assert_subscribed("/c")
    driver.answer(request, subscription=["/b"])
    assert driver.happened == []


def test_a_refusal_that_names_its_subscription_in_a_list_concerns_that_channel(
    driver: Driver,
) -> None:
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "403::no", subscription=["/a"])
    driver.assert_subscription_failed("/a", ServerError)


def test_a_bare_error_is_for_all_requests_of_its_response(driver: Driver) -> None:
    """Salesforce: ``[{"error": "401::Request requires authentication", "successful": false}]``."""

    def turn() -> None:
        driver.protocol.publish("/a", 1, {})
        driver.protocol.subscribe("/b")

    driver.do(turn)
    publish, subscribe = driver.message("/a"), driver.message("/meta/subscribe")
    other = driver.publish("/c")
    bare = {"error": "503::Server is too busy", "successful": False}
    driver.receive(bare, exchange=[publish["id"], subscribe["id"]])
    driver.assert_failed(publish["id"], ServerError)
    driver.assert_resend_due(1.0)  # of the subscribe, for the code is known to pass
    assert driver.waits_for(other)


def test_a_bare_error_may_refuse_a_connect() -> None:
    driver = Driver().connected()
    connect = driver.take_step()
    driver.receive({"error": "402::Unknown client"}, exchange=[connect["id"]])
    driver.assert_due(Step.HANDSHAKE)


def test_what_an_http_response_does_not_answer_never_will_be(driver: Driver) -> None:
    answered, unanswered = driver.publish("/a"), driver.publish("/b")
    exchange = [{"id": answered}, {"id": unanswered}]
    driver.receive({"channel": "/a", "id": answered, "successful": True})
    driver.finish(*exchange)
    driver.assert_failed(unanswered, ProtocolError)


def test_an_http_response_without_the_connect_reply_is_a_failure_and_no_hot_loop() -> None:
    driver = Driver(LP).connected()
    for delay in (1.0, 2.0, 4.0):
        driver.finish(driver.take_step())
        driver.assert_due(Step.CONNECT, delay)


@pytest.mark.parametrize("how", ["finish", "unreadable", "late"])
def test_a_subscribe_without_a_reply_is_asked_again_and_told(driver: Driver, how: str) -> None:
    """Over long-polling, where the response ends without it, as over a WebSocket, where it is
    late: the server may have acted upon it, and to subscribe again does no harm."""
    driver.subscribe("/a", "/b")
    requests = driver.messages("/meta/subscribe")
    if how == "finish":
        driver.finish(*requests)
    else:
        late = TransportTimeoutError("late")
        driver.fail(*requests, error=late if how == "late" else ProtocolError("garbage"))
    driver.assert_resend_due(1.0)
    (told,) = driver.of(Told)
    assert isinstance(told.change.error, TransportError)
    assert (told.change.attempt, told.change.delay) == (1, 1.0)
    driver.do(driver.protocol.resend)
    assert len(driver.messages("/meta/subscribe")) == 2


# -- calls ---------------------------------------------------------------------------------------


def test_a_call_is_answered_by_data_with_its_id_on_its_channel(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", 1, call=True)
    answer = event("/service/echo", 2, id=request_id)
    driver.receive(answer)
    assert driver.assert_settled(request_id) is answer
    assert driver.events == []


@pytest.mark.parametrize("answer", [{"channel": "/service/other"}, {"id": "99"}, {"id": None}])
def test_data_on_another_channel_or_with_another_id_answers_no_call(
    driver: Driver, answer: dict[str, Any]
) -> None:
    request_id = driver.publish("/service/echo", call=True)
    message = event("/service/echo", 2, id=request_id)
    message.update(answer)
    driver.receive(message)
    assert driver.events == [message]
    assert driver.happened == []


def test_the_acknowledgement_of_a_call_is_not_its_answer(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    request = driver.message("/service/echo")
    driver.answer(request)
    assert driver.happened == []
    # Nor does the end of the HTTP response that brought it say that no answer will come.
    driver.finish(request)
    assert driver.happened == []
    driver.receive(event("/service/echo", id=request_id))
    driver.assert_settled(request_id)


def test_the_acknowledgement_may_come_after_the_answer(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    request = driver.message("/service/echo")
    driver.receive(event("/service/echo", id=request_id), reply_to(request))
    driver.assert_settled(request_id)
    assert len(driver.happened) == 1


def test_an_unacknowledged_call_fails_with_its_response(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    driver.finish({"id": request_id})
    driver.assert_failed(request_id, ProtocolError)


def test_a_call_may_be_refused(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    driver.refuse(driver.message("/service/echo"), "403::no")
    driver.assert_failed(request_id, ServerError)
    message = event("/service/echo", id=request_id)
    driver.receive(message)
    assert driver.events == [message]


def test_a_call_may_be_answered_by_a_failure_that_carries_data(driver: Driver) -> None:
    """``RemoteCall.Caller.failure`` of CometD Java."""
    request_id = driver.publish("/service/echo", call=True)
    driver.receive(event("/service/echo", {"why": 1}, id=request_id, successful=False))
    error = driver.assert_failed(request_id, ServerError)
    assert isinstance(error, ServerError)
    assert error.response["data"] == {"why": 1}
    assert driver.events == []


def test_a_call_that_was_not_acknowledged_is_lost_with_the_socket(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    down(driver)
    driver.assert_failed(request_id, TransportError)


def test_a_cancelled_call_is_answered_no_more(driver: Driver) -> None:
    request_id = driver.publish("/service/echo", call=True)
    driver.do(lambda: driver.protocol.cancel(request_id))
    message = event("/service/echo", id=request_id)
    driver.receive(message)
    assert driver.events == [message]


# -- subscribing ---------------------------------------------------------------------------------


def test_a_subscribe_is_sent_once_and_confirmed(driver: Driver) -> None:
    driver.subscribe("/a")
    (request,) = driver.assert_sent(Lane.ORDINARY, "/meta/subscribe")
    assert request["subscription"] == "/a"
    assert request["clientId"] == "client-1"
    driver.subscribe("/a")
    driver.assert_nothing_sent()
    driver.answer(request)
    driver.assert_subscribed("/a")
    assert driver.protocol.subscribed() == {"/a"}
    driver.subscribe("/a")
    driver.assert_nothing_sent()


def test_an_unsubscribe_is_sent_and_confirmed(driver: Driver) -> None:
    subscribed(driver, "/a")
    driver.unsubscribe("/a")
    (request,) = driver.assert_sent(Lane.ORDINARY, "/meta/unsubscribe")
    driver.answer(request)
    driver.assert_unsubscribed("/a")
    assert driver.protocol.subscribed() == frozenset()


def test_a_refused_unsubscribe_is_told_and_leaves_the_subscription(driver: Driver) -> None:
    subscribed(driver, "/a")
    driver.unsubscribe("/a")
    driver.refuse(driver.message("/meta/unsubscribe"))
    (outcome,) = driver.of(Unsubscribed)
    assert isinstance(outcome.error, ServerError)
    assert driver.protocol.subscribed() == {"/a"}


def test_a_refused_subscribe_is_told_and_may_be_asked_for_again(driver: Driver) -> None:
    driver.subscribe("/a", "/b")
    a, b = driver.messages("/meta/subscribe")
    driver.receive(refusal_of(a, "403:/a:subscribe_denied"), reply_to(b))
    driver.assert_subscription_failed("/a", ServerError)
    driver.assert_subscribed("/b")
    driver.subscribe("/a")
    driver.assert_sent(Lane.ORDINARY, "/meta/subscribe")


def test_a_refusal_for_an_unknown_channel_is_told(driver: Driver) -> None:
    """It looks like that of an unknown client, which is not told: it would be mended unseen."""
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "403::Unknown channel")
    driver.assert_subscription_failed("/a", ServerError)


def test_to_dispose_and_subscribe_in_one_turn_sends_nothing(driver: Driver) -> None:
    subscribed(driver, "/a")

    def turn() -> None:
        driver.protocol.unsubscribe("/a")
        driver.protocol.subscribe("/a")

    driver.do(turn)
    driver.assert_nothing_sent()
    assert driver.happened == []


def test_to_subscribe_and_dispose_in_one_turn_sends_nothing(driver: Driver) -> None:
    def turn() -> None:
        driver.protocol.subscribe("/a")
        driver.protocol.unsubscribe("/a")

    driver.do(turn)
    driver.assert_nothing_sent()


def test_only_the_last_of_several_overlapping_requests_counts(driver: Driver) -> None:
    driver.subscribe("/a")
    first = driver.message("/meta/subscribe")
    driver.unsubscribe("/a")
    second = driver.message("/meta/unsubscribe")
    driver.subscribe("/a")
    third = driver.message("/meta/subscribe")
    driver.receive(refusal_of(first), reply_to(second))
    assert driver.happened == []
    driver.answer(third)
    driver.assert_subscribed("/a")


def test_fields_are_made_anew_for_each_subscribe(driver: Driver) -> None:
    replay = {"/a": 1}

    def fields() -> dict[str, Any]:
        return {"ext": {"replay": dict(replay)}}

    driver.subscribe("/a", fields=fields)
    request = driver.message("/meta/subscribe")
    assert request["ext"] == {"replay": {"/a": 1}}
    driver.answer(request)
    replay["/a"] = 2
    forget_session(driver)
    assert driver.message("/meta/subscribe")["ext"] == {"replay": {"/a": 2}}


def test_fields_that_cannot_be_made_fail_that_channel_alone(driver: Driver) -> None:
    def fields() -> dict[str, Any]:
        raise LookupError("no marker")

    def turn() -> None:
        driver.protocol.subscribe("/a", fields)
        driver.protocol.subscribe("/b")

    driver.do(turn)
    (request,) = driver.assert_sent(Lane.ORDINARY, "/meta/subscribe")
    assert request["subscription"] == "/b"
    driver.assert_subscription_failed("/a", LookupError)


# -- resubscribing -------------------------------------------------------------------------------


def test_a_new_session_is_resubscribed_in_one_payload_before_its_first_connect(
    driver: Driver,
) -> None:
    subscribed(driver, "/a", "/b/*", "/c/**")
    forget_session(driver)
    messages = driver.assert_sent(Lane.RESUBSCRIBE, *["/meta/subscribe"] * 3)
    assert [message["subscription"] for message in messages] == ["/a", "/b/*", "/c/**"]
    assert {message["clientId"] for message in messages} == {"client-2"}
    assert driver.protocol.subscribed() == frozenset()
    driver.receive(*[reply_to(message) for message in messages])
    driver.assert_subscribed("/a", "/b/*", "/c/**")


def test_a_resumed_session_is_not_resubscribed(driver: Driver) -> None:
    subscribed(driver, "/a")
    down(driver)
    driver.answer(driver.take_step())
    driver.assert_nothing_sent()
    assert driver.protocol.subscribed() == {"/a"}


def test_ten_thousand_channels_are_resubscribed_in_one_payload(driver: Driver) -> None:
    channels = [f"/stock/{n}" for n in range(10_000)]
    subscribed(driver, *channels)
    forget_session(driver)
    (payload,) = driver.sent
    assert payload.lane is Lane.RESUBSCRIBE
    assert [message.get("subscription") for message in payload.messages] == channels
    driver.receive(*[reply_to(dict(message)) for message in payload.messages])
    assert driver.protocol.subscribed() == set(channels)


def test_a_refused_resubscribe_is_told_for_that_channel_alone(driver: Driver) -> None:
    subscribed(driver, "/a", "/b")
    forget_session(driver)
    a, b = driver.messages("/meta/subscribe")
    driver.receive(refusal_of(a, "400::The replayId {82} you provided was invalid."), reply_to(b))
    driver.assert_subscription_failed("/a", ServerError)
    driver.assert_subscribed("/b")
    driver.assert_goes_on()
    driver.answer(driver.take_step(), advice=HANDSHAKE)
    driver.handshaken()
    assert [m["subscription"] for m in driver.messages("/meta/subscribe")] == ["/b"]


def test_without_subscriptions_a_new_session_is_told_nothing(driver: Driver) -> None:
    forget_session(driver)
    driver.assert_nothing_sent()


def test_what_was_unsubscribed_meanwhile_is_not_resubscribed(driver: Driver) -> None:
    subscribed(driver, "/a", "/b")
    down(driver)
    driver.unsubscribe("/a")
    driver.refuse(driver.take_step(), "402::session_unknown")
    driver.handshaken()
    assert {outcome.channel for outcome in driver.of(Unsubscribed)} == {"/a"}
    (message,) = driver.assert_sent(Lane.RESUBSCRIBE, "/meta/subscribe")
    assert message["subscription"] == "/b"


def test_replies_of_the_old_session_do_not_count_in_the_new(driver: Driver) -> None:
    driver.subscribe("/a")
    old = driver.message("/meta/subscribe")
    forget_session(driver)
    new = driver.message("/meta/subscribe")
    driver.refuse(old)
    driver.fail(old)
    assert driver.happened == []
    driver.answer(new)
    driver.assert_subscribed("/a")


@pytest.mark.parametrize("error", ["402::session_unknown", "401:x:Unknown client"])
def test_a_subscribe_of_an_unknown_client_is_repeated_in_the_new_session(
    driver: Driver, error: str
) -> None:
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), error)
    assert not driver.of(SubscriptionFailed)
    forget_session(driver)
    driver.assert_sent(Lane.RESUBSCRIBE, "/meta/subscribe")


def test_a_subscribe_of_an_unknown_client_is_repeated_though_the_connect_is_content(
    driver: Driver,
) -> None:
    """Two servers behind one balancer: what one does not know, the other may."""
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "402::session_unknown")
    driver.assert_resend_due(1.0)
    driver.do(driver.protocol.resend)
    driver.answer(driver.message("/meta/subscribe"))
    driver.assert_subscribed("/a")


def test_a_subscribe_that_failed_with_the_session_is_sent_once_more(driver: Driver) -> None:
    """CometD says so when the session ends while it looks at the subscribe."""
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "403::subscribe_failed")
    again = driver.message("/meta/subscribe")
    driver.refuse(again, "402::session_unknown")
    assert not driver.of(SubscriptionFailed)
    forget_session(driver)
    driver.assert_sent(Lane.RESUBSCRIBE, "/meta/subscribe")


def test_a_subscribe_that_fails_for_good_is_refused(driver: Driver) -> None:
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "403::subscribe_failed")
    driver.refuse(driver.message("/meta/subscribe"), "403::subscribe_failed")
    assert driver.of(SubscriptionFailed)


# -- lost requests -------------------------------------------------------------------------------


def test_a_lost_subscribe_is_sent_again_a_bit_later(driver: Driver) -> None:
    driver.subscribe("/a", "/b")
    driver.fail(*driver.messages("/meta/subscribe"))
    driver.assert_resend_due(1.0)
    driver.assert_nothing_sent()
    driver.do(driver.protocol.resend)
    again = driver.assert_sent(Lane.ORDINARY, "/meta/subscribe", "/meta/subscribe")
    assert [message["subscription"] for message in again] == ["/a", "/b"]
    driver.receive(*[reply_to(message) for message in again])
    driver.assert_subscribed("/a", "/b")


def test_the_delays_between_lost_subscribes_grow_until_one_succeeds(driver: Driver) -> None:
    driver.subscribe("/a")
    for delay in (1.0, 2.0, 4.0, 4.0):
        driver.fail(driver.message("/meta/subscribe"), error=TransportError(http_status=503))
        driver.assert_resend_due(delay)
        driver.do(driver.protocol.resend)
    driver.answer(driver.message("/meta/subscribe"))
    driver.subscribe("/b")
    driver.fail(driver.message("/meta/subscribe"))
    driver.assert_resend_due(1.0)


def test_lost_subscribes_are_sent_again_when_the_link_is_back(driver: Driver) -> None:
    driver.subscribe("/a")
    down(driver)
    driver.assert_resend_due(1.0)
    # The delay may be over before the link is back: what is sent then would be lost again.
    driver.do(driver.protocol.resend)
    driver.assert_nothing_sent()
    driver.answer(driver.take_step())
    driver.answer(driver.message("/meta/subscribe"))
    driver.assert_subscribed("/a")


def test_lost_subscribes_do_not_wait_for_their_delay_when_the_link_is_back(driver: Driver) -> None:
    driver.subscribe("/a")
    down(driver)
    driver.answer(driver.take_step())
    driver.assert_sent(Lane.ORDINARY, "/meta/subscribe")
    driver.do(driver.protocol.resend)
    driver.assert_nothing_sent()


def test_while_the_link_is_up_lost_subscribes_keep_their_delay(driver: Driver) -> None:
    """A busy stream answers a connect with each message: subscribes must not keep its pace."""
    driver = Driver(LP).connected()
    connect = driver.take_step()
    driver.subscribe("/a")
    driver.fail(driver.message("/meta/subscribe"), error=TransportError(http_status=500))
    driver.receive(event(), reply_to(connect))
    driver.assert_nothing_sent()


def test_a_lost_unsubscribe_is_sent_again(driver: Driver) -> None:
    subscribed(driver, "/a")
    driver.unsubscribe("/a")
    driver.fail(driver.message("/meta/unsubscribe"))
    driver.assert_resend_due(1.0)
    driver.do(driver.protocol.resend)
    driver.answer(driver.message("/meta/unsubscribe"))
    driver.assert_unsubscribed("/a")


def test_a_channel_wanted_again_while_its_unsubscribe_is_lost_is_subscribed_to(
    driver: Driver,
) -> None:
    """The server may have acted upon the unsubscribe: the observers would wait for ever."""
    subscribed(driver, "/a")
    driver.unsubscribe("/a")
    down(driver)
    driver.subscribe("/a")
    driver.answer(driver.take_step())
    driver.answer(driver.message("/meta/subscribe"))
    driver.assert_subscribed("/a")


def test_a_channel_given_up_while_its_subscribe_is_lost_is_unsubscribed(driver: Driver) -> None:
    """The server may have acted upon the subscribe, and would go on sending."""
    driver.subscribe("/a")
    down(driver)
    driver.unsubscribe("/a")
    driver.answer(driver.take_step())
    driver.answer(driver.message("/meta/unsubscribe"))
    driver.assert_unsubscribed("/a")


def test_a_subscribe_that_would_fail_again_is_not_sent_again(driver: Driver) -> None:
    error = ExtensionError("dropped")
    driver.subscribe("/a")
    driver.fail(driver.message("/meta/subscribe"), error=error)
    assert driver.assert_subscription_failed("/a", Exception) is error
    assert not driver.of(ResendDue)


def test_the_loss_of_a_socket_is_the_loss_of_all_that_it_carried(driver: Driver) -> None:
    publish = driver.publish()
    call = driver.publish("/service/echo", call=True)
    driver.subscribe("/a")
    waiting = driver.protocol.publish("/later", 1, {})
    driver.do(lambda: driver.protocol.lose(DOWN, driver.now))
    driver.assert_failed(publish, TransportError)
    driver.assert_failed(call, TransportError)
    driver.assert_resend_due(1.0)
    driver.assert_due(Step.CONNECT, 1.0)
    assert driver.waits_for(waiting)
    driver.answer(driver.take_step())
    driver.assert_sent(Lane.ORDINARY, "/later", "/meta/subscribe")


# -- extensions that want a request sent again ---------------------------------------------------


def test_a_refused_request_is_sent_again_once_for_an_extension(driver: Driver) -> None:
    driver.subscribe("/a")
    request = driver.message("/meta/subscribe")
    driver.receive(refusal_of(request, "400::replayId"), retries=[request["id"]])
    (again,) = driver.assert_sent(Lane.ORDINARY, "/meta/subscribe")
    assert again["id"] == request["id"]
    assert driver.happened == []
    driver.receive(refusal_of(again, "400::replayId"), retries=[request["id"]])
    driver.assert_subscription_failed("/a", ServerError)
    driver.assert_nothing_sent()


def test_what_is_sent_again_is_not_failed_by_the_end_of_the_response_that_refused_it(
    driver: Driver,
) -> None:
    driver.subscribe("/a")
    request = driver.message("/meta/subscribe")
    # As the session does it: the response is taken, then it ends, then payloads are taken.
    driver.protocol.receive([refusal_of(request)], driver.now, (), [request["id"]])  # type: ignore[list-item]
    driver.finish(request)
    assert driver.happened == []
    driver.answer(driver.message("/meta/subscribe"))
    driver.assert_subscribed("/a")


# -- credentials ---------------------------------------------------------------------------------


@pytest.fixture
def renewing() -> Driver:
    """Give a driver that is connected and can have new credentials."""
    driver = Driver(authenticates=True).connected()
    driver.take_step()
    return driver


@pytest.mark.parametrize("told", ["status", "reply", "bare"])
def test_a_request_refused_for_its_credentials_is_sent_again_with_new_ones(
    renewing: Driver, told: str
) -> None:
    request_id = renewing.publish()
    request = renewing.message("/chat")
    if told == "status":
        renewing.fail(request, error=DENIED)
    elif told == "reply":
        renewing.refuse(request, "401::Authentication invalid")
    else:
        renewing.receive({"error": "401::x", "successful": False}, exchange=[request_id])
    renewing.assert_asks_credentials()
    assert not renewing.of(Settled)
    renewing.finish(request)
    assert renewing.happened == []
    renewing.do(renewing.protocol.authenticated)
    (again,) = renewing.assert_sent(Lane.ORDINARY, "/chat")
    renewing.answer(again)
    renewing.assert_settled(request_id)


def test_however_many_requests_fail_credentials_are_asked_for_once(renewing: Driver) -> None:
    (connect,) = renewing.outstanding

    def turn() -> None:
        renewing.protocol.publish("/a", 1, {})
        renewing.protocol.subscribe("/b")

    renewing.do(turn)
    (payload,) = renewing.sent
    ids = [message.get("id", "") for message in payload.messages]
    late = renewing.publish("/c")
    renewing.do(lambda: renewing.protocol.fail([*ids, connect.id], DENIED, renewing.now))
    assert len(renewing.of(Unauthorized)) == 1
    renewing.fail({"id": late}, error=DENIED)
    assert not renewing.of(Unauthorized)
    renewing.do(renewing.protocol.authenticated)
    renewing.assert_due(Step.CONNECT)
    renewing.answer(renewing.take_step())
    renewing.assert_sent(Lane.ORDINARY, "/a", "/meta/subscribe", "/c")


def test_a_second_failure_of_a_request_is_an_authentication_error(renewing: Driver) -> None:
    request_id = renewing.publish()
    renewing.fail(renewing.message("/chat"), error=DENIED)
    renewing.do(renewing.protocol.authenticated)
    renewing.fail(renewing.message("/chat"), error=DENIED)
    error = renewing.assert_failed(request_id, AuthenticationError)
    assert error.__cause__ is DENIED
    assert not renewing.of(Unauthorized)
    renewing.assert_goes_on()


def test_a_request_sent_with_older_credentials_is_sent_again_without_asking(
    renewing: Driver,
) -> None:
    renewing.publish("/a")
    a = renewing.message("/a")
    b_id = renewing.publish("/b")
    b = renewing.message("/b")
    renewing.refuse(a, "401::expired")
    renewing.do(renewing.protocol.authenticated)
    renewing.refuse(b, "401::expired")
    assert not renewing.of(Unauthorized)
    renewing.answer(renewing.message("/b"))
    renewing.assert_settled(b_id)


def test_credentials_that_cannot_be_had_fail_what_waited_for_them(renewing: Driver) -> None:
    cancelled, kept = renewing.publish("/a"), renewing.publish("/b")
    renewing.fail({"id": cancelled}, {"id": kept}, error=DENIED)
    renewing.do(lambda: renewing.protocol.cancel(cancelled))
    error = AuthenticationError("the login failed")
    renewing.do(lambda: renewing.protocol.authentication_failed(error))
    assert renewing.assert_failed(kept, AuthenticationError) is error
    assert len(renewing.of(Settled)) == 1
    renewing.assert_goes_on()


def test_a_subscribe_refused_for_its_credentials_is_not_sent_twice_in_a_new_session(
    renewing: Driver,
) -> None:
    renewing.subscribe("/a")
    renewing.fail(renewing.message("/meta/subscribe"), error=DENIED)
    forget_session(renewing)
    renewing.assert_sent(Lane.RESUBSCRIBE, "/meta/subscribe")
    renewing.do(renewing.protocol.authenticated)
    renewing.assert_nothing_sent()


def test_without_new_credentials_to_be_had_a_401_is_an_authentication_error(
    driver: Driver,
) -> None:
    request_id = driver.publish()
    driver.fail(driver.message("/chat"), error=DENIED)
    driver.assert_failed(request_id, AuthenticationError)
    driver.subscribe("/a")
    driver.refuse(driver.message("/meta/subscribe"), "401::no")
    driver.assert_subscription_failed("/a", AuthenticationError)
    driver.assert_goes_on()


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, TransportTimeoutError("given up")])
def test_the_end_fails_all_that_waits_exactly_once(error: Exception | None) -> None:
    driver = Driver(authenticates=True).connected()
    driver.take_step()
    sent = driver.publish("/a")
    call = driver.publish("/service/b", call=True)
    acknowledged = driver.publish("/service/c", call=True)
    driver.answer(driver.message("/service/c"))
    unauthorized = driver.publish("/d")
    driver.fail({"id": unauthorized}, error=DENIED)
    subscribed(driver, "/e")
    down_requests = [sent, call, acknowledged, unauthorized]
    queued = driver.protocol.publish("/f", 1, {})
    driver.do(lambda: driver.protocol.end(error))
    expected = TransportConnectionClosed if error is None else TransportTimeoutError
    for request_id in (*down_requests, queued):
        driver.assert_failed(request_id, expected)
    assert len(driver.of(Settled)) == 5
    driver.assert_nothing_sent()
    driver.fail(*[{"id": request_id} for request_id in down_requests])
    driver.finish(*[{"id": request_id} for request_id in down_requests])
    driver.do(driver.protocol.authenticated)
    assert driver.happened == []


def test_replies_that_come_with_the_end_count_before_it(driver: Driver) -> None:
    answered, unanswered = driver.publish("/a"), driver.publish("/b")
    (connect, *_) = driver.outstanding
    end = {"channel": "/meta/connect", "id": connect.id, "successful": True, "advice": NONE}
    driver.receive(end, {"channel": "/a", "id": answered, "successful": True})
    assert [settled.request_id for settled in driver.of(Settled)] == [answered, unanswered]
    driver.assert_failed(unanswered, ServerError)
    driver.assert_ended(ServerError)


def test_a_want_of_credentials_at_the_end_is_not_asked_for(renewing: Driver) -> None:
    request_id = renewing.publish()
    reply = refusal_of(renewing.message("/chat"), "401::expired")
    (connect, *_) = renewing.outstanding
    end = {"channel": "/meta/connect", "id": connect.id, "successful": False, "advice": NONE}
    renewing.receive(end, reply)
    assert not renewing.of(Unauthorized)
    renewing.assert_failed(request_id, AuthenticationError)


def test_what_is_published_after_the_end_fails_at_once(driver: Driver) -> None:
    driver.do(lambda: driver.protocol.end(None))
    request_id = driver.publish()
    driver.assert_failed(request_id, TransportConnectionClosed)
    driver.assert_nothing_sent()
    assert not driver.of(Ended)


def test_a_goodbye_goes_out_after_what_was_asked_for_before_it(driver: Driver) -> None:
    def turn() -> None:
        driver.protocol.publish("/a", 1, {})
        driver.protocol.disconnect()

    driver.do(turn)
    assert [payload.lane for payload in driver.sent] == [Lane.ORDINARY, Lane.DISCONNECT]


def test_after_the_goodbye_nothing_is_sent_and_what_was_asked_for_fails(driver: Driver) -> None:
    driver.do(driver.protocol.disconnect)
    disconnect = driver.message("/meta/disconnect")
    request_id = driver.publish()
    driver.assert_nothing_sent()
    driver.subscribe("/a")
    driver.assert_nothing_sent()
    driver.answer(disconnect)
    driver.assert_failed(request_id, TransportConnectionClosed)
    driver.assert_ended(None)
    driver.assert_nothing_sent()


def test_replies_to_what_was_sent_before_the_goodbye_still_count(driver: Driver) -> None:
    request_id = driver.publish()
    request = driver.message("/chat")
    driver.do(driver.protocol.disconnect)
    driver.answer(request)
    driver.assert_settled(request_id)


def test_outcomes_are_given_once_and_in_order(driver: Driver) -> None:
    driver.subscribe("/a")
    request_id = driver.publish()
    a = {"channel": "/meta/subscribe", "id": str(int(request_id) - 1), "successful": True}
    (connect, *_) = driver.outstanding
    driver.receive(
        {"channel": "/chat", "id": request_id, "successful": True},
        a,
        {"channel": "/meta/connect", "id": connect.id, "successful": True},
    )
    assert [type(outcome) for outcome in driver.happened] == [Settled, Subscribed, Due]
    assert driver.protocol.outcomes() == []


# -- payloads that come too late -----------------------------------------------------------------


def test_what_was_made_up_for_a_lost_session_travels_in_the_next(driver: Driver) -> None:
    request_id = driver.publish("/chat", "late")
    publish = driver.sent[0]
    driver.subscribe("/news")
    subscribe = driver.sent[0]
    assert not driver.protocol.is_stale(publish)

    forget_session(driver)
    assert driver.protocol.is_stale(publish)
    assert driver.protocol.is_stale(subscribe)
    # The wish for the channel was made up anew, as is everything in a new session.
    (again,) = driver.messages("/meta/subscribe")
    late = [str(message.get("id")) for message in (*publish.messages, *subscribe.messages)]
    driver.do(lambda: driver.protocol.postpone(late, driver.now))
    (message,) = driver.assert_sent(Lane.ORDINARY, "/chat")
    assert message["id"] == request_id
    assert message["clientId"] == again["clientId"]
    driver.answer(message)
    driver.assert_settled(request_id)


def test_while_the_link_is_down_a_payload_is_stale(driver: Driver) -> None:
    driver.publish()
    (payload,) = driver.sent
    (connect,) = (r for r in driver.outstanding if r.channel == "/meta/connect")
    driver.do(lambda: driver.protocol.fail([connect.id], DOWN, driver.now))
    assert driver.state is S.UNCONNECTED
    assert driver.protocol.is_stale(payload)


def test_only_ordinary_payloads_come_too_late() -> None:
    driver = Driver()
    driver.open()
    driver.take_step()
    (handshake,) = driver.sent
    assert not driver.protocol.is_stale(handshake)


# Whether event messages make a difference


def test_only_the_first_events_after_a_connect_make_a_difference() -> None:
    driver = Driver().connected()
    connect = driver.take_step()
    heeded = [driver.protocol.heeds_events]
    driver.receive(event("/a"))
    heeded.append(driver.protocol.heeds_events)
    driver.answer(connect)
    heeded.append(driver.protocol.heeds_events)
    driver.take_step()
    heeded.append(driver.protocol.heeds_events)
    assert heeded == [True, False, False, True]


def test_events_make_a_difference_while_a_call_waits_for_its_answer(driver: Driver) -> None:
    driver.receive(event("/a"))
    driver.do(lambda: driver.protocol.publish("/service/a", 1, {}, call=True))
    heeded = [driver.protocol.heeds_events]
    (call,) = driver.outstanding[-1:]
    driver.do(lambda: driver.protocol.cancel(call.id))
    assert [*heeded, driver.protocol.heeds_events] == [True, False]


def test_events_make_a_difference_while_there_is_no_session() -> None:
    assert Driver().protocol.heeds_events
