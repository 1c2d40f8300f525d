from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from rx_cometd import ClientError
from rx_cometd.relay.record import dead_letter, event_of, record_of

if TYPE_CHECKING:
    from rx_cometd.messages import Event

CAME = datetime(2026, 11, 29, 22, 50, 0, 123_900, UTC).timestamp()


def event(data: Any, **fields: Any) -> Event:
    return cast("Event", {"channel": "/event/X", "data": data, **fields})


def test_the_record_of_an_event() -> None:
    data = {"event": {"replayId": 82}, "payload": {"Name": "Grüße", "n": 2**70}}
    record = record_of(event(data, id="17"), "cometd.event.X", "orders", CAME)
    assert record.subject == "cometd.event.X"
    assert record.channel == "/event/X"
    assert record.replay_id == 82
    assert record.unique == "orders:/event/X:82"
    assert json.loads(record.value) == data
    assert "Grüße".encode() in record.value
    assert record.headers == {
        "cometd-channel": "/event/X",
        "cometd-id": "17",
        "cometd-replay-id": "82",
        "cometd-received": "2026-11-29T22:50:00.123+00:00",
    }


@pytest.mark.parametrize("dumped", ['{"n": 1}', b'{"n": 1}'])
def test_other_functions_may_encode_the_data(dumped: str | bytes) -> None:
    record = record_of(event({"n": 1}), "s", "r", CAME, lambda _: dumped)
    assert record.value == b'{"n": 1}'


@pytest.mark.parametrize("data", [{1, 2}, "\ud800"])
def test_data_that_are_no_json_are_told_with_what_to_do(data: Any) -> None:
    def dumps(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    with pytest.raises(ClientError, match="the data of an event of /event/X cannot be encoded"):
        record_of(event(data), "s", "r", CAME, dumps)


@pytest.mark.parametrize("data", [None, 5, [], {"event": 1}, {"event": {"replayId": True}}, {}])
def test_an_event_that_nothing_names(data: Any) -> None:
    record = record_of(event(data), "s", "r", CAME)
    assert record.replay_id is None
    assert record.unique is None
    assert set(record.headers) == {"cometd-channel", "cometd-received"}
    assert json.loads(record.value) == data


def test_an_event_with_only_a_uuid_is_named_by_it() -> None:
    record = record_of(event({"event": {"EventUuid": "e-1"}}), "s", "r", CAME)
    assert record.unique == "r:/event/X:e-1"
    assert record.replay_id is None


def test_opaque_replay_ids_stay_text() -> None:
    record = record_of(event({"event": {"replayId": "82"}}), "s", "r", CAME)
    assert record.headers["cometd-replay-id"] == '"82"'


def test_a_dead_letter_tells_why_and_shows_the_beginning() -> None:
    record = record_of(event("x" * 5000), "cometd.event.X", "r", CAME)
    letter = dead_letter(record, ValueError("too large"), "dead")
    told = json.loads(letter.value)
    assert letter.subject == "dead"
    assert letter.headers == record.headers
    assert told["reason"] == "too large"
    assert told["bytes"] == 5002
    assert len(told["head"]) == 1000


def test_an_event_survives_the_broker() -> None:
    record = record_of(event({"a": [1.5, None]}, id="3"), "s", "r", CAME)
    assert event_of(record.headers, record.value, channel="/other") == event(
        {"a": [1.5, None]}, id="3"
    )


def test_the_trace_of_an_event_survives_the_broker() -> None:
    trace = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "tracestate": "x=1"}
    record = record_of(event({}, ext={**trace, "other": 1}), "s", "r", CAME)
    assert trace.items() <= record.headers.items()
    assert "other" not in record.headers
    assert event_of(record.headers, record.value, channel="/other") == event({}, ext=trace)


@pytest.mark.parametrize("ext", [None, 5, {}, {"traceparent": 1}, {"traceparent": "a\r\nb: c"}])
def test_an_ext_without_a_trace(ext: Any) -> None:
    assert "traceparent" not in record_of(event({}, ext=ext), "s", "r", CAME).headers


def test_what_no_relay_wrote_gets_the_channel_of_its_subject() -> None:
    assert event_of({}, b"7", channel="/orders") == {"channel": "/orders", "data": 7}


def test_what_is_no_json_is_text() -> None:
    assert event_of({}, b"plain", channel="/orders") == {"channel": "/orders", "data": "plain"}


def test_half_a_surrogate_pair_is_written_as_a_question_mark() -> None:
    data = {"event": {"replayId": "\ud800"}}
    told = cast("Event", {"channel": "/a/\ud800", "data": data, "id": "\udfff"})
    record = record_of(told, "s", "r", CAME)
    assert record.channel == "/a/?"
    assert record.headers["cometd-id"] == "?"
    assert record.headers["cometd-replay-id"] == '"?"'
    for text in (record.unique or "", *record.headers.values(), record.value.decode()):
        text.encode()


def test_a_dead_letter_has_no_header_that_may_be_what_is_too_large() -> None:
    letter = dead_letter(record_of(event({}, id="x" * 100_000), "s", "r", CAME), "why", "dead")
    assert len(letter.headers["cometd-id"]) == 1000
