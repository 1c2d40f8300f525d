from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from rx_cometd.extensions.timestamp import timestamp
from tests.unit.extensions.composed import Composed


def test_http_date_in_every_message_as_cometd_sends_it() -> None:
    one: dict[str, Any] = {"channel": "/meta/connect"}
    two: dict[str, Any] = {"channel": "/a", "data": 1}
    before = int(time.time())
    Composed(timestamp()).send(one, two)
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", one["timestamp"])
    assert before <= parsedate_to_datetime(one["timestamp"]).timestamp() <= time.time()
    assert two["timestamp"] == one["timestamp"]


def test_form_of_the_specification() -> None:
    message: dict[str, Any] = {"channel": "/a", "data": 1}
    before = time.time()
    Composed(timestamp(iso=True)).send(message)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d", message["timestamp"])
    stamped = datetime.fromisoformat(message["timestamp"]).replace(tzinfo=UTC).timestamp()
    assert before - 0.01 <= stamped <= time.time()


def test_inbound_messages_are_left_alone() -> None:
    session = Composed(timestamp())
    payload = session.receive({"channel": "/a", "data": 1})
    assert session.received == [payload]
    assert payload.messages == [{"channel": "/a", "data": 1}]
