from __future__ import annotations

import json
from typing import Any

import pytest

from rx_cometd.relay.intact_data import IntactData, intact_json_loads
from rx_cometd.relay.record import record_of

AS_IT_CAME = (
    '{"z":1.10,"a": 1e3,\n"n":-0.0,"big":12345678901234567890123,"text":"\\u00fc\\/ü",'
    '"z":2,"event":{"replayId":7}}'
)


def payload(data: str) -> str:
    return f'[{{"channel":"/event/X","id":"3","data": {data} }},{{"channel":"/meta/connect"}}]'


@pytest.mark.parametrize("form", [str, str.encode])
def test_data_stay_as_they_came(form: Any) -> None:
    event, reply = intact_json_loads(form(payload(AS_IT_CAME)))
    record = record_of(event, "s", "r", 0.0)
    assert record.value == AS_IT_CAME.encode()
    assert (record.replay_id, record.headers["cometd-id"]) == (7, "3")
    assert reply == {"channel": "/meta/connect"}


@pytest.mark.parametrize("data", ["null", "1.10", '"text"', "[1.0, 2]", "{}", '{"event": 5}'])
def test_data_that_name_nothing(data: str) -> None:
    record = record_of(intact_json_loads(payload(data))[0], "s", "r", 0.0)
    assert (record.value, record.replay_id) == (data.encode(), None)


def test_a_message_by_itself() -> None:
    message = intact_json_loads('{"channel":"/a","data":1.0}')
    assert isinstance(message["data"], IntactData)
    assert record_of(message, "s", "r", 0.0).value == b"1.0"


def test_what_is_no_message_is_for_the_codec_to_find() -> None:
    assert intact_json_loads('[1, {"channel": "/a", "data": 2}]') == [
        1,
        {"channel": "/a", "data": 2},
    ]


def test_what_only_python_takes_for_json_is_encoded_again() -> None:
    event = intact_json_loads(payload('{"half": "\\ud800", "none": NaN, "one": 1.10}'))[0]
    value = record_of(event, "s", "r", 0.0).value
    assert value == b'{"half":"\\ud800","none":NaN,"one":1.1}'


def test_without_msgspec_data_are_decoded_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rx_cometd.relay.intact_data._AVAILABLE", False)
    (event,) = intact_json_loads(b'[{"channel":"/a","data":{"n":1.10}}]')
    assert event == {"channel": "/a", "data": {"n": 1.1}}
    assert type(event["data"]) is dict


def test_what_is_no_json_at_all() -> None:
    with pytest.raises(json.JSONDecodeError):
        intact_json_loads("<html>")
