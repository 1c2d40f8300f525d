from __future__ import annotations

from typing import Any, cast

import reactivex

from rx_cometd import Payload
from rx_cometd.relay.departures import Departures


def received(departures: Departures, *messages: dict[str, Any]) -> list[str]:
    """Pass a payload; give the channels of what is left of it."""
    payload = Payload(cast("Any", list(messages)))
    inbound = departures.extension().operators().inbound
    assert inbound is not None
    reactivex.of(payload).pipe(inbound).subscribe()
    return [message["channel"] for message in payload.messages]


def test_events_of_a_channel_that_was_left_are_dropped() -> None:
    departures = Departures()
    assert received(departures, {"channel": "/a"}) == ["/a"]
    departures.channels.add("/a")
    both = [{"channel": "/a"}, {"channel": "/b"}, {"channel": "/meta/connect"}]
    assert received(departures, *both) == ["/b", "/meta/connect"]


def test_what_follows_the_reply_to_a_subscribe_is_wanted() -> None:
    departures = Departures()
    departures.channels.add("/a")
    reply = {"channel": "/meta/subscribe", "successful": True, "subscription": ["/a?x=1", "/b"]}
    stale, fresh = {"channel": "/a", "data": 1}, {"channel": "/a", "data": 2}
    assert received(departures, stale, reply, fresh) == ["/meta/subscribe", "/a"]
    assert received(departures, {"channel": "/a"}) == ["/a"]


def test_a_subscribe_that_is_refused_changes_nothing() -> None:
    departures = Departures()
    departures.channels.add("/a")
    reply = {"channel": "/meta/subscribe", "successful": False, "subscription": "/a"}
    assert received(departures, reply, {"channel": "/a"}) == ["/meta/subscribe"]
