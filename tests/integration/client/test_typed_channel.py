"""Typed channels: data decoded into types, from objects or straight from the JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, assert_type

import msgspec
import pydantic
import pytest
from reactivex import operators as ops

from rx_cometd import Channel, DecodeError, Extension, raw_json_loads
from rx_cometd.messages import Event
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, held, subscribed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Client, ConnectionType, Payload

LOADS = pytest.mark.parametrize("loads", [json.loads, raw_json_loads], ids=["json", "raw"])


class Quote(msgspec.Struct):
    price: float


class Model(pydantic.BaseModel):
    price: float


TYPES = pytest.mark.parametrize("type_", [Quote, Model])


@BOTH
@LOADS
@TYPES
async def test_the_data_comes_as_values_of_the_type(
    kind: ConnectionType, loads: Callable[[Any], Any], type_: type[Quote | Model]
) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, kind, json_loads=loads) as client,
    ):
        typed = Recorder(client.channel("/a", type=type_))
        glob = Recorder(client.channel("/*", type=type_))
        plain = Recorder(client.channel("/a"))
        every = Recorder(client.messages)
        await subscribed(server, "/a")
        await subscribed(server, "/*")
        for price in range(5):
            await server.publish("/a", {"price": price})
        await every.count(5)
        values = [type_(price=float(price)) for price in range(5)]
        assert typed.items == glob.items == values
        assert plain.data == every.data == [{"price": price} for price in range(5)]


@BOTH
@LOADS
@TYPES
async def test_data_of_another_type_is_an_error_of_those_who_asked_for_the_type(
    kind: ConnectionType, loads: Callable[[Any], Any], type_: Any
) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, kind, json_loads=loads) as client,
    ):
        seen = Recorder(client.channel("/a", type=type_))
        other = Recorder(client.channel("/*"))
        await subscribed(server, "/a")
        await subscribed(server, "/*")
        await server.publish("/a", {"price": 1})
        await server.publish("/a", {"price": "much"})
        await server.publish("/a", {"price": 3})
        await other.count(3)
        assert len(seen.items) == 1
        assert isinstance(seen.error, DecodeError)
        assert (seen.error.channel, seen.error.path) == ("/a", "$.price")
        assert isinstance(seen.error.__cause__, ValueError)
        assert not other.ended
        await server.until(
            lambda: all("/a" not in s.subscriptions for s in server.sessions.values())
        )


@LOADS
async def test_a_retry_goes_on_with_the_next_message(loads: Callable[[Any], Any]) -> None:
    async with BayeuxServer() as server, client_of(server, json_loads=loads) as client:
        seen = Recorder(client.channel("/a", type=Quote).pipe(ops.retry()))
        await subscribed(server, "/a")
        for price in (1, "much", 3):
            await server.publish("/a", {"price": price})
        await seen.count(2)
        assert seen.items == [Quote(1.0), Quote(3.0)]


@BOTH
async def test_nobody_else_sees_what_is_left_as_json(kind: ConnectionType) -> None:
    looked_at: list[Any] = []

    def look(payload: Payload) -> None:
        looked_at.extend(m["data"] for m in payload.messages if "data" in m)

    async with BayeuxServer() as server:

        @server.service("/service/echo")
        async def _echo(request: Any) -> Any:
            return request.data

        async def check(client: Client) -> None:
            async with client:
                typed = Recorder(client.channel("/a", type=Quote))
                await client.subscribe("/b")
                await subscribed(server, "/a")
                await held(server)
                assert (await client.call("/service/echo", {"x": 1}))["data"] == {"x": 1}
                for channel in ("/a", "/b", "/b"):
                    await server.publish(channel, {"price": 2})
                assert [(await client.receive())["data"] for _ in range(2)] == [{"price": 2}] * 2
                await typed.count(1)
                assert typed.items == [Quote(2.0)]

        await check(client_of(server, kind, json_loads=raw_json_loads))
        looking = [Extension.of(inbound=ops.do_action(look))]
        await check(client_of(server, kind, json_loads=raw_json_loads, extensions=looking))
        assert looked_at == [{"x": 1}, *[{"price": 2}] * 3]


async def test_the_type_checkers_know_the_type() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        assert_type(client.channel("/a"), Channel[Event])
        assert_type(client.channel("/a", type=Quote), Channel[Quote])


async def test_what_is_no_type_is_refused_at_once() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        with pytest.raises(TypeError, match="type must be"):
            client.channel("/a", type=5)
