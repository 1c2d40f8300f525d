"""Wrong arguments show when the client is made."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
from reactivex import operators as ops

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
        ("compress", "yes", TypeError),
        ("compress", 1, TypeError),
        ("heartbeat", True, TypeError),
        ("max_message_size", True, TypeError),
        ("connection_types", b"websocket", TypeError),
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


@pytest.mark.parametrize(
    ("timeout", "error"),
    [("1", TypeError), (True, TypeError), (math.nan, ValueError), (-1, ValueError)],
)
async def test_a_wrong_timeout_is_refused_before_anything_is_done(
    timeout: Any, error: type[Exception]
) -> None:
    client = Client("http://127.0.0.1:9/")
    with pytest.raises(error, match="timeout must be"):
        await client.call("/service/a", 1, timeout=timeout)
    with pytest.raises(error, match="timeout must be"):
        await client.drain(timeout)


async def test_only_services_are_called() -> None:
    client = Client("http://127.0.0.1:9/")
    for channel in ("/a", "/a/*", "/meta/connect", "service/a", 5):
        name: Any = channel
        with pytest.raises(InvalidChannelError, match="channel"):
            await client.call(name, 1)


async def test_the_arguments_of_channels() -> None:
    client = Client("http://127.0.0.1:9/")
    for wrong in (5, "type", object()):
        with pytest.raises(TypeError, match="type must be"):
            client.channel("/a", type=wrong)
    wrong_fields: list[Any] = [5, "ext", object()]
    for fields in wrong_fields:
        with pytest.raises(TypeError, match="fields must be a mapping"):
            client.channel("/a", fields=fields)
        with pytest.raises(TypeError, match="fields must be a mapping"):
            await client.subscribe("/a", fields=fields)
    with pytest.raises(TypeError, match="fields cannot be the coroutine function"):
        client.channel("/a", fields=cast("Any", _asynchronous))
    with pytest.raises(InvalidChannelError, match="str"):
        await client.unsubscribe(cast("Any", []))


async def test_what_is_no_observer() -> None:
    channel = Client("http://127.0.0.1:9/").channel("/a")
    wrong: Any
    for wrong in (5, "on_next", object()):
        with pytest.raises(TypeError, match="on_next must be a function or an observer"):
            channel.subscribe(wrong)
        with pytest.raises(TypeError, match="on_error must be a function"):
            channel.subscribe(None, wrong)
        with pytest.raises(TypeError, match="on_next must be a function or an observer"):
            channel.pipe(ops.map(str)).subscribe(wrong)
        with pytest.raises(TypeError, match="on_next cannot be"):
            channel.subscribe_async(wrong)
