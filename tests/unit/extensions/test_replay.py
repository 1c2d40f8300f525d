from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.exceptions import InvalidChannelError, ServerError
from rx_cometd.extensions import MemoryStore, Replay, ReplayOption, replay
from tests.unit.extensions.composed import Composed

if TYPE_CHECKING:
    from rx_cometd.extension import Payload
    from rx_cometd.extensions import ReplayId

X = "/event/X__e"
INVALID = (
    "400::The replayId {82} you provided was invalid.  Please provide a valid ID, -2 to replay "
    "all events, or -1 to replay only new events."
)


class RemoteStore:
    """A store elsewhere: every answer takes a turn of the loop."""

    def __init__(self, **markers: ReplayId) -> None:
        self.markers: dict[str, ReplayId] = {f"/{name}": i for name, i in markers.items()}
        self.error: Exception | None = None

    async def load(self, channel: str) -> ReplayId | None:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.markers.get(channel)

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        await asyncio.sleep(0)
        self.markers[channel] = replay_id


def memory(**markers: ReplayId) -> MemoryStore:
    store = MemoryStore()
    for name, replay_id in markers.items():
        store.save(f"/{name}", replay_id)
    return store


def asked(session: Composed, *channels: str, **fields: Any) -> Any:
    """Subscribe to channels in one payload; give the replay ext of each request."""
    messages: list[dict[str, Any]] = [
        {"channel": "/meta/subscribe", "subscription": name, **fields} for name in channels
    ]
    session.send(*messages)
    found = [message.get("ext", {}).get("replay") for message in messages]
    return found[0] if len(found) == 1 else found


def handshaken(session: Composed, ext: Any = None, **fields: Any) -> None:
    session.send({"channel": "/meta/handshake"})
    ext = {"replay": True, "payload.format": True} if ext is None else ext
    session.receive({"channel": "/meta/handshake", "successful": True, "ext": ext, **fields})


def event(replay_id: Any, channel: str = X) -> dict[str, Any]:
    return {
        "channel": channel,
        "data": {"schema": "s", "payload": {}, "event": {"replayId": replay_id}},
    }


def receive(session: Composed, *ids: Any, channel: str = X) -> list[Payload]:
    return [session.receive(event(replay_id, channel)) for replay_id in ids]


def refused(session: Composed, channel: str, error: str = INVALID, **fields: Any) -> Payload:
    return session.receive(
        {
            "channel": "/meta/subscribe",
            "id": "7",
            "successful": False,
            "subscription": channel,
            "error": error,
            **fields,
        }
    )


def test_asks_at_the_handshake() -> None:
    message: dict[str, Any] = {"channel": "/meta/handshake", "ext": {"x": 1}}
    Composed(replay(MemoryStore())).send(message)
    assert message["ext"] == {"x": 1, "replay": True}


def test_subscribes_from_the_marker_or_the_initial_option() -> None:
    store = memory(a=82)
    session = Composed(replay(store))
    assert asked(session, "/a", "/b") == [{"/a": 82}, {"/b": -1}]
    session = Composed(replay(store, initial=ReplayOption.ALL_EVENTS))
    assert asked(session, "/a", "/b") == [{"/a": 82}, {"/b": -2}]


def test_options_are_plain_integers_on_the_wire() -> None:
    assert type(asked(Composed(replay(MemoryStore())), "/a")["/a"]) is int


def test_ids_may_be_texts() -> None:
    store = memory(a="x7")
    session = Composed(replay(store))
    assert asked(session, "/a") == {"/a": "x7"}
    [payload] = receive(session, "x3", channel="/a")
    session.process(payload)
    assert store.load("/a") == "x3"


def test_the_key_is_the_channel_without_its_query() -> None:
    store = memory(**{"topic/X": 7})
    session = Composed(replay(store))
    assert asked(session, "/topic/X?Amount=1") == {"/topic/X": 7}
    [payload] = receive(session, 8, channel="/topic/X?Amount=1")
    session.process(payload)
    assert store.load("/topic/X") == 8


def test_one_subscribe_to_several_channels_has_an_entry_for_each() -> None:
    session = Composed(replay(memory(a=3)))
    message: dict[str, Any] = {"channel": "/meta/subscribe", "subscription": ["/a", "/b"]}
    session.send(message)
    assert message["ext"]["replay"] == {"/a": 3, "/b": -1}


def test_other_entries_of_the_callers_stay_and_their_mapping_is_left_alone() -> None:
    theirs: dict[str, Any] = {"replay": {"/z": 1, "/a": 0}}
    session = Composed(replay(memory(a=3)))
    assert asked(session, "/a", ext=theirs) == {"/z": 1, "/a": 3}
    assert theirs == {"replay": {"/z": 1, "/a": 0}}


def test_marker_moves_after_processing_and_not_before() -> None:
    store = MemoryStore()
    session = Composed(replay(store))
    asked(session, X)
    [payload] = receive(session, 4)
    assert store.load(X) is None
    session.process(payload)
    assert store.load(X) == 4
    assert asked(session, X) == {X: 4}


def test_marker_waits_for_the_events_before() -> None:
    store = MemoryStore()
    session = Composed(replay(store))
    asked(session, X)
    four, five, seven = receive(session, 4, 5, 7)
    session.process(five)
    session.process(seven)
    assert store.load(X) is None
    session.process(four)
    assert store.load(X) == 7


def test_events_of_one_payload_have_a_callback_each() -> None:
    store = MemoryStore()
    session = Composed(replay(store))
    asked(session, X, "/b")
    payload = session.receive(event(1), event(9, "/b"), event(2))
    session.process(payload, 2)
    session.process(payload, 1)
    assert (store.load(X), store.load("/b")) == (None, 9)
    session.process(payload, 0)
    assert store.load(X) == 2


@pytest.mark.parametrize(
    "data",
    [
        None,
        5,
        [1],
        {},
        {"event": 5},
        {"event": {}},
        *({"event": {"replayId": i}} for i in (None, True, 1.5, [1])),
    ],
)
def test_messages_that_name_no_event_are_left_alone(data: Any) -> None:
    session = Composed(replay(MemoryStore()))
    payload = session.receive({"channel": X, "data": data}, {"channel": X, "successful": True})
    assert payload.processed_callbacks() == {}
    assert session.errors == []


@pytest.mark.parametrize("channel", ["/service/x", "/meta/connect"])
def test_meta_and_service_channels_take_no_part(channel: str) -> None:
    session = Composed(replay(MemoryStore()))
    assert asked(session, channel) is None
    assert receive(session, 1, channel=channel)[0].processed_callbacks() == {}


def test_channels_may_be_chosen() -> None:
    session = Composed(replay(MemoryStore(), channels=["/event/*", "/topic/X"]))
    assert asked(session, X, "/topic/X?a=1", "/topic/Y", "/event/a/b") == [
        {X: -1},
        {"/topic/X": -1},
        None,
        None,
    ]
    assert receive(session, 1, channel="/topic/Y")[0].processed_callbacks() == {}
    assert receive(session, 1)[0].processed_callbacks() != {}


def test_a_channel_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidChannelError):
        replay(MemoryStore(), channels=["event"])


def test_nothing_is_sent_to_a_server_that_cannot_replay(caplog: pytest.LogCaptureFixture) -> None:
    session = Composed(replay(memory(a=3)))
    with caplog.at_level(logging.WARNING, "rx_cometd"):
        handshaken(session, {"payload.format": True})
    assert "cannot replay" in caplog.text
    assert asked(session, "/a") is None
    assert receive(session, 4, channel="/a")[0].processed_callbacks() == {}
    handshaken(session)
    assert asked(session, "/a") == {"/a": 3}


def test_a_failed_handshake_says_nothing_about_replay() -> None:
    session = Composed(replay(memory(a=3)))
    handshaken(session, {}, successful=False)
    assert asked(session, "/a") == {"/a": 3}


def test_a_new_session_does_not_wait_for_what_the_old_one_lost() -> None:
    store = MemoryStore()
    session = Composed(replay(store))
    asked(session, X)
    lost, two = receive(session, 1, 2)
    session.process(two)
    handshaken(session)
    assert asked(session, X) == {X: -1}
    for payload in receive(session, 1, 2, 3):
        session.process(payload)
    assert store.load(X) == 3
    session.process(lost)
    assert store.load(X) == 3


def test_redelivered_events_do_not_move_the_marker_backwards() -> None:
    store = MemoryStore()
    session = Composed(replay(store))
    asked(session, X)
    for payload in receive(session, 1, 2, 3, 2):
        session.process(payload)
    assert store.load(X) == 3
    assert asked(session, X) == {X: 3}


def test_a_glob_takes_the_markers_of_its_channels_along() -> None:
    store = memory(**{"event/B": 50})
    session = Composed(replay(store))
    assert asked(session, "/event/*") is None
    [payload] = receive(session, 8)
    session.process(payload)
    assert store.load(X) == 8
    handshaken(session)
    assert asked(session, "/event/*") == {X: 8}
    assert asked(session, X) == {X: 8}
    # One that only the glob was subscribed for so far: the store knows better than the option.
    receive(session, 60, channel="/event/B")
    assert asked(session, "/event/B") == {"/event/B": 50}
    assert asked(session, "/event/**") == {X: 8, "/event/B": 50}


def test_without_a_fallback_the_refusal_surfaces() -> None:
    store = memory(a=82)
    session = Composed(replay(store))
    asked(session, "/a")
    assert refused(session, "/a").retries == set()
    assert store.load("/a") == 82


@pytest.mark.parametrize("channel", ["/a", "/a?x=1", ["/a"]])
def test_the_fallback_is_taken_once_at_each_subscribe(
    channel: Any, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, ReplayId, ServerError]] = []
    store = memory(a=82)

    def tell(name: str, replay_id: ReplayId, error: ServerError) -> None:
        told.append((name, replay_id, error))

    session = Composed(replay(store, fallback=ReplayOption.ALL_EVENTS, on_fallback=tell))
    assert asked(session, channel) == {"/a": 82}
    with caplog.at_level(logging.WARNING, "rx_cometd"):
        assert refused(session, channel).retries == {"7"}
    assert "/a" in caplog.text
    assert "subscribing again with -2" in caplog.text
    [(name, replay_id, error)] = told
    assert (name, replay_id, error.error) == ("/a", 82, INVALID)
    # Written, so that a crash now leads neither to 82 again nor to the initial option.
    assert store.load("/a") == -2
    assert asked(session, channel) == {"/a": -2}
    # Refused again: nothing is left to try.
    assert refused(session, channel).retries == set()
    assert len(told) == 1
    # The next subscribe may fall back again.
    [payload] = receive(session, 5, channel="/a")
    session.process(payload)
    handshaken(session)
    assert asked(session, channel) == {"/a": 5}
    assert refused(session, channel).retries == {"7"}
    assert len(told) == 2


def test_after_the_fallback_lower_ids_move_the_marker_and_old_events_do_not() -> None:
    store = memory(a=80)
    session = Composed(replay(store, fallback=ReplayOption.ALL_EVENTS))
    asked(session, "/a")
    [late] = receive(session, 81, channel="/a")
    handshaken(session)
    asked(session, "/a")
    refused(session, "/a")
    asked(session, "/a")
    one, _ = receive(session, 1, 2, channel="/a")
    session.process(late)
    assert store.load("/a") == -2
    session.process(one)
    assert store.load("/a") == 1


@pytest.mark.parametrize(
    "error",
    [
        INVALID,
        "400::The replayId for channel {/a} wasn't found using the provided replay ID map {/b=1}",
    ],
)
def test_both_forms_of_the_refusal_are_known(error: str) -> None:
    session = Composed(replay(memory(a=82), fallback=-1))
    asked(session, "/a")
    assert refused(session, "/a", error).retries == {"7"}


@pytest.mark.parametrize(
    "error",
    [
        "403:denied_by_security_policy:subscribe_denied",
        "400::Channel is missing",
        "403::replay denied",
        "replay id 400",
        "",
    ],
)
def test_other_refusals_surface(error: str) -> None:
    store = memory(a=82)
    session = Composed(replay(store, fallback=-1))
    asked(session, "/a")
    assert refused(session, "/a", error).retries == set()
    assert store.load("/a") == 82


@pytest.mark.parametrize("subscription", ["/service/a", "/b", []])
def test_refusals_of_what_was_not_asked_for_surface(subscription: Any) -> None:
    session = Composed(replay(memory(a=82), fallback=-1))
    asked(session, "/a")
    assert refused(session, subscription).retries == set()
    assert session.errors == []


def test_a_successful_subscribe_is_not_retried() -> None:
    session = Composed(replay(memory(a=82), fallback=-1))
    asked(session, "/a")
    assert refused(session, "/a", successful=True).retries == set()


def test_an_on_fallback_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise KeyError("theirs")

    session = Composed(replay(memory(a=82), fallback=-1, on_fallback=fail))
    asked(session, "/a")
    assert refused(session, "/a").retries == {"7"}
    assert "theirs" in caplog.text
    assert session.errors == []


def test_a_store_that_cannot_be_read_fails_the_subscribe() -> None:
    class Unreadable(MemoryStore):
        def load(self, channel: str) -> ReplayId | None:
            raise OSError("unreadable")

    session = Composed(replay(Unreadable()))
    asked(session, "/a")
    assert session.sent == []
    assert [type(error) for error in session.errors] == [OSError]


def test_sessions_share_the_store_and_nothing_else() -> None:
    extension = replay(MemoryStore())
    one, two = Composed(extension), Composed(extension)
    asked(one, X)
    asked(two, X)
    receive(one, 1)
    two.process(receive(two, 1)[0])
    assert asked(two, X) == {X: 1}
    assert asked(one, X) == {X: -1}


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_remote_store_is_read_before_the_subscribe_is_sent() -> None:
    session = Composed(replay(RemoteStore(a=82)))
    first = session.send({"channel": "/meta/connect"})
    assert session.sent == [first]
    subscribe: dict[str, Any] = {"channel": "/meta/subscribe", "subscription": "/a"}
    second = session.send(subscribe, {"channel": "/meta/subscribe", "subscription": "/b"})
    third = session.send({"channel": "/c", "data": 1})
    assert session.sent == [first]
    await turns()
    assert session.sent == [first, second, third]
    assert [message["ext"]["replay"] for message in second.messages if "ext" in message] == [
        {"/a": 82},
        {"/b": -1},
    ]
    # Known by now: no second question.
    assert asked(session, "/a") == {"/a": 82}


async def test_a_remote_store_is_written_behind_the_work() -> None:
    store = RemoteStore()
    extension = replay(store)
    session = Composed(extension)
    asked(session, X)
    await turns()
    for payload in receive(session, *range(1, 100)):
        session.process(payload)
    assert store.markers == {}
    await extension.finish()
    assert store.markers == {X: 99}


async def test_a_remote_store_that_cannot_be_read_fails_the_subscribe() -> None:
    store = RemoteStore()
    store.error = OSError("no route to host")
    session = Composed(replay(store))
    asked(session, X)
    await turns()
    assert session.sent == []
    assert session.errors == [store.error]


def test_tells_what_it_is() -> None:
    assert isinstance(replay(MemoryStore()), Replay)
    assert repr(replay(MemoryStore())) == "<Replay>"


@pytest.mark.parametrize("odd", [None, 5, [], {}, [5], [None], [{}]])
def test_messages_that_name_no_channel_cost_nothing_else(odd: Any) -> None:
    store = memory()
    session = Composed(replay(store, fallback=ReplayOption.ALL_EVENTS))
    handshaken(session)
    asked(session, X)
    session.receive({**event(1), "channel": odd})
    refused(session, odd)
    session.process(session.receive(event(7)))
    assert session.errors == []
    assert store.load(X) == 7
