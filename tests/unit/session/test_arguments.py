"""Wrong arguments show when the client is made."""

from __future__ import annotations

from typing import Any

import pytest

from rx_cometd import Client, InvalidChannelError


async def _asynchronous(_: object) -> object:
    return _


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("max_pending_count", "3", TypeError),
        ("max_pending_count", None, TypeError),
        ("max_outbox", None, TypeError),
        ("max_outbox", 1.5, TypeError),
        ("is_transient", True, TypeError),
        ("max_pending_count", True, TypeError),
        ("overflow", "drop_oldest", TypeError),
        ("connection_timeout", -1, ValueError),
        ("connection_timeout", float("nan"), ValueError),
        ("connection_timeout", "10", TypeError),
        ("max_network_delay", 0, ValueError),
        ("max_network_delay", None, TypeError),
        ("max_suspension", -0.1, ValueError),
        ("heartbeat", 0, ValueError),
        ("max_message_size", 0, ValueError),
        ("max_message_size", 1.5, TypeError),
        ("backoff", 3.0, TypeError),
        ("backoff", _asynchronous, TypeError),
        ("json_dumps", None, TypeError),
        ("json_loads", _asynchronous, TypeError),
        ("headers", "X: y", TypeError),
        ("handshake_fields", ["ext"], TypeError),
        ("extensions", object(), TypeError),
        ("extensions", [object()], TypeError),
        ("auth", object(), TypeError),
        ("ssl", "certificate.pem", TypeError),
        ("proxy", 3128, TypeError),
        ("http_session", object(), TypeError),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    argument: str, value: object, error: type[Exception]
) -> None:
    given: Any = {argument: value}
    with pytest.raises(error, match=argument):
        Client("http://127.0.0.1:9/", **given)


def test_the_limits_themselves_are_allowed() -> None:
    Client("http://127.0.0.1:9/", connection_timeout=0, max_suspension=0, max_pending_count=-1)
    Client("http://127.0.0.1:9/", connection_timeout=None, heartbeat=None, extensions=())


@pytest.mark.parametrize("name", [5, None, b"/a", ["/a"]], ids=str)
def test_a_channel_whose_name_is_no_str(name: Any) -> None:
    client = Client("http://127.0.0.1:9/")
    with pytest.raises(InvalidChannelError, match="str"):
        client.channel(name)
    with pytest.raises(InvalidChannelError, match="str"):
        client.meta(name)
