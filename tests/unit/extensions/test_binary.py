from __future__ import annotations

import logging
from typing import Any

import pytest

from rx_cometd.extensions.binary import binary
from tests.unit.extensions.composed import Composed

HELLO = bytes.fromhex("864FD26FB559F75B")


def sent(message: dict[str, Any]) -> dict[str, Any]:
    Composed(binary()).send(message)
    return message


def received(message: dict[str, Any]) -> dict[str, Any]:
    session = Composed(binary())
    session.receive(message)
    assert session.errors == []
    return message


@pytest.mark.parametrize("data", [HELLO, bytearray(HELLO), memoryview(HELLO)])
def test_bytes_are_sent_as_the_last_chunk(data: Any) -> None:
    assert sent({"channel": "/a", "id": "1", "data": data}) == {
        "channel": "/a",
        "id": "1",
        "data": {"data": "HelloWorld", "last": True},
        "ext": {"binary": {}},
    }


def test_chunks_with_meta_are_sent_without_touching_the_callers_data() -> None:
    theirs = {"data": HELLO, "last": False, "meta": {"name": "a.png"}}
    ext = {"token": 1}
    message = sent({"channel": "/service/a", "data": theirs, "ext": ext})
    assert message["data"] == {"data": "HelloWorld", "last": False, "meta": {"name": "a.png"}}
    assert message["ext"] == {"token": 1, "binary": {}}
    assert theirs["data"] == HELLO
    assert ext == {"token": 1}


def test_no_bytes_are_bytes_too() -> None:
    assert sent({"channel": "/a", "data": b""})["data"] == {"data": "", "last": True}


@pytest.mark.parametrize("data", [None, "text", 5, [1], {}, {"data": "text"}, {"x": b"1"}])
def test_other_data_are_left_alone(data: Any) -> None:
    assert sent({"channel": "/a", "data": data}) == {"channel": "/a", "data": data}


def test_meta_messages_are_left_alone() -> None:
    message: dict[str, Any] = {
        "channel": "/meta/handshake",
        "data": {"data": "HelloWorld"},
        "ext": {"binary": {}},
    }
    assert received({**message}) == message
    raw: dict[str, Any] = {"channel": "/meta/handshake", "data": b"x"}
    assert sent({**raw}) == raw


@pytest.mark.parametrize("more", [{"last": True}, {}, {"last": True, "meta": None}, {"meta": {}}])
def test_a_last_chunk_without_meta_is_received_as_bytes(more: dict[str, Any]) -> None:
    message: dict[str, Any] = {
        "channel": "/a",
        "data": {"data": "HelloWorld", **more},
        "ext": {"binary": {}},
    }
    assert received(message) == {"channel": "/a", "data": HELLO}


def test_other_chunks_are_received_with_what_is_said_of_them() -> None:
    message = received(
        {
            "channel": "/a",
            "data": {"data": "HelloWorld", "last": False, "meta": {"n": 1}},
            "ext": {"binary": {}, "x": 1},
        }
    )
    assert message["data"] == {"data": HELLO, "last": False, "meta": {"n": 1}}
    assert message["ext"] == {"x": 1}


def test_messages_without_the_mark_are_left_alone() -> None:
    message: dict[str, Any] = {"channel": "/a", "data": {"data": "HelloWorld", "last": True}}
    assert received({**message}) == message


def test_a_marked_reply_to_a_publish_has_no_data() -> None:
    reply: dict[str, Any] = {"channel": "/a", "id": "3", "successful": True, "ext": {"binary": {}}}
    assert received({**reply}) == reply


@pytest.mark.parametrize(
    "data", [{"data": "no Z85 ~"}, {"data": 5}, {"data": ["a"]}, "HelloWorld", ["HelloWorld"], {}]
)
def test_what_cannot_be_decoded_is_logged_and_delivered(
    data: Any, caplog: pytest.LogCaptureFixture
) -> None:
    message: dict[str, Any] = {"channel": "/a", "data": data, "ext": {"binary": {}}}
    with caplog.at_level(logging.WARNING, "rx_cometd"):
        assert received({**message}) == message
    assert "binary data on /a" in caplog.text


def test_what_one_side_sends_the_other_receives() -> None:
    for length in range(9):
        data = bytes(range(250, 250 - length, -1))
        message = sent({"channel": "/a", "data": data})
        assert received(message)["data"] == data


@pytest.mark.parametrize("channel", [None, 5, [], {}])
def test_what_names_no_channel_is_let_be(channel: Any) -> None:
    ours: dict[str, Any] = {"binary": {}}
    message: dict[str, Any] = {"channel": channel, "data": {"data": "HelloWorld"}, "ext": ours}
    assert received(dict(message)) == message
