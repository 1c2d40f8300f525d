from __future__ import annotations

import json
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
import ujson
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json as msgspec_json

from rx_cometd._protocol.codec import Codec
from rx_cometd.exceptions import ClientError, ProtocolError

if TYPE_CHECKING:
    from rx_cometd.messages import Message

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
OBJECTS = st.dictionaries(st.text(max_size=4), SCALARS, max_size=3)
NESTED = st.recursive(OBJECTS | SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def decode(codec: Codec, data: str | bytes) -> list[Message]:
    """Decode a payload, as a session does."""
    return codec.messages(codec.parse(data), data)


def objects_in(decoded: Any) -> list[object]:
    """Give the objects of nested lists in order, the simple way."""
    if isinstance(decoded, dict):
        return [cast("object", decoded)]
    if isinstance(decoded, list):
        elements = cast("list[object]", decoded)
        return [found for element in elements for found in objects_in(element)]
    return []


@pytest.mark.parametrize(
    ("dumps", "loads"),
    [
        (json.dumps, json.loads),
        (ujson.dumps, ujson.loads),
        (orjson.dumps, orjson.loads),
        (msgspec_json.encode, msgspec_json.decode),
    ],
)
def test_json_libraries_work_as_they_are(dumps: Any, loads: Any) -> None:
    codec = Codec(dumps, loads)
    messages: list[Message] = [{"channel": "/größe", "data": {"x": [1, None, "é"]}}]
    text = codec.encode(messages)
    assert decode(codec, text) == messages
    assert decode(codec, text.encode() if isinstance(text, str) else text.decode()) == messages


def test_loads_is_handed_what_the_socket_held() -> None:
    seen: list[object] = []

    def loads(data: bytes | str) -> object:
        seen.append(data)
        return []

    data = b"[]"
    assert decode(Codec(loads=loads), data) == []
    assert seen[0] is data


def test_a_list_of_objects_is_given_as_it_was_decoded() -> None:
    decoded = [{"channel": "/a"}]
    assert decode(Codec(loads=lambda _: decoded), "x") is decoded


def test_a_single_object_is_a_payload_of_one() -> None:
    assert decode(Codec(), '{"channel": "/a"}') == [{"channel": "/a"}]


@pytest.mark.parametrize("text", ["[]", b" [ ] "])
def test_an_empty_list_is_an_empty_payload(text: str | bytes) -> None:
    assert decode(Codec(), text) == []


def test_dictionaries_of_another_class_are_messages_too() -> None:
    codec = Codec(loads=lambda text: json.loads(text, object_pairs_hook=OrderedDict))
    assert decode(codec, '[{"channel": "/a"}, {"channel": "/b"}]') == [
        {"channel": "/a"},
        {"channel": "/b"},
    ]


def test_what_is_no_message_is_logged_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rx_cometd.codec"):
        assert decode(Codec(), '[1, {"id": "1"}, "x", [[{"id": "2"}, null]], {"id": "3"}]') == [
            {"id": "1"},
            {"id": "2"},
            {"id": "3"},
        ]
    assert [record.args for record in caplog.records] == [(3, 1)]


@pytest.mark.parametrize("text", ["", "nope", "[", b"\xff\xfe\xff", "[" * 100_000, "\ufeff[]"])
def test_what_is_no_json_is_a_protocol_error(text: str | bytes) -> None:
    with pytest.raises(ProtocolError, match="the server sent no JSON") as caught:
        decode(Codec(), text)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", ["1", '"x"', "null", "true", "1.5"])
def test_a_scalar_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="JSON that is no Bayeux payload"):
        decode(Codec(), text)


@pytest.mark.parametrize("text", ["[1]", "[[]]", "[[[null]]]"])
def test_a_list_without_a_message_is_a_protocol_error(text: str) -> None:
    with pytest.raises(ProtocolError, match="a list that holds no message"):
        decode(Codec(), text)


def test_long_garbage_is_shown_by_its_first_characters_only() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(Codec(), "x" * 10_000)
    assert str(caught.value) == f"the server sent no JSON: '{'x' * 40}'... (10000 long)"
    with pytest.raises(ProtocolError, match=r"^the server sent no JSON: 'short'$"):
        decode(Codec(), "short")


@given(NESTED)
def test_every_message_in_nested_lists_is_found_in_order(payload: Any) -> None:
    expected = objects_in(payload)
    if expected or payload == []:
        assert decode(Codec(), json.dumps(payload)) == expected
    else:
        with pytest.raises(ProtocolError):
            decode(Codec(), json.dumps(payload))


@given(st.binary() | st.text())
def test_garbage_is_a_protocol_error_or_a_list_of_objects(garbage: bytes | str) -> None:
    try:
        messages = decode(Codec(), garbage)
    except ProtocolError:
        return
    assert all(isinstance(message, dict) for message in messages)


@pytest.mark.parametrize("data", [object(), {1, 2}, b"raw"])
def test_data_that_json_cannot_express_is_the_users_fault(data: object) -> None:
    with pytest.raises(ClientError, match="cannot be encoded as JSON") as caught:
        Codec().encode([{"channel": "/a", "data": data}])
    assert caught.value.__cause__ is not None


def test_data_that_contains_itself_is_the_users_fault() -> None:
    data: list[object] = []
    data.append(data)
    with pytest.raises(ClientError):
        Codec().encode([{"channel": "/a", "data": data}])
