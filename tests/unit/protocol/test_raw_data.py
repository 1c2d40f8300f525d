from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rx_cometd._protocol.raw_data import complete, raw_json_loads, raw_type

EVENT = {"channel": "/a", "data": {"n": [1, {"x": None}]}, "id": "7", "ext": {"ack": 1}}
REPLY: dict[str, Any] = {
    "channel": "/meta/handshake",
    "successful": True,
    "x-messages": 3,
    "advice": {},
}


@pytest.mark.parametrize(
    "payload", [json.dumps([EVENT, REPLY]), msgspec.json.encode([EVENT, REPLY])]
)
def test_the_data_stays_json_until_it_is_completed(payload: str | bytes) -> None:
    messages = raw_json_loads(payload)
    assert [isinstance(m.get("data"), raw_type()) for m in messages] == [True, False]
    assert json.loads(bytes(messages[0]["data"])) == EVENT["data"]
    assert messages[1] == REPLY
    complete(messages)
    complete(messages)
    assert messages == [EVENT, REPLY]


@pytest.mark.parametrize("payload", [[[EVENT]], [1], 5, "x", {"channel": 5, "id": None}])
def test_what_is_no_list_of_messages_is_decoded_as_it_is(payload: Any) -> None:
    assert raw_json_loads(json.dumps(payload)) == payload


def test_what_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="malformed"):
        raw_json_loads(b"<html>")
