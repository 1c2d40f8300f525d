"""Publishes, calls and batches: what goes out in which payload, and what comes back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import (
    ClientInvalidOperation,
    InvalidChannelError,
    ProtocolError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState
from tests.conformance.embedded import faults_of
from tests.conformance.observing import Seen, States, confirmed, data_of

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeClient, StartServer
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server


async def test_reply(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 60: a publish gives the server's reply."""
    async with make_client(server) as client:
        reply = await client.publish(channel, {"price": 1})
        assert reply["channel"] == channel
        assert reply.get("successful") is True


async def test_publish_denied(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 61: a refused publish is the publisher's error, and only that."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("deny", operation="publish", channel=channel)
        try:
            with pytest.raises(ServerError) as caught:
                await client.publish(channel, 1)
        finally:
            await server.control("allow", operation="publish", channel=channel)
        assert caught.value.error_code == 403
        assert caught.value.response["channel"] == channel
        await client.publish(channel, 2)
        assert data_of(await seen.count(1)) == [2]


async def test_subscribe_denied(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenarios 61 and 65 (starred): a refused subscribe is told to all its observers and to
    `subscribe`; other channels of the same payload are not concerned."""
    async with make_client(server) as client:
        await server.control("deny", operation="subscribe", channel=channel)
        try:
            refused = [Seen(client.channel(channel)) for _ in range(2)]
            other: Seen[Any] = Seen(client.channel(f"{channel}/other"))
            for seen in refused:
                error = await seen.end()
                assert isinstance(error, ServerError)
                assert error.error_code == 403
            with pytest.raises(ServerError):
                await client.subscribe(channel)
            await confirmed(client, f"{channel}/other")
            assert not other.ended
            assert channel not in client.subscriptions
        finally:
            await server.control("allow", operation="subscribe", channel=channel)
        await client.subscribe(channel)
        await client.publish(channel, 1)
        assert (await client.receive())["data"] == 1


def assert_order(target: Target, messages: list[Any], count: int) -> None:
    """Check that numbers which a session published to itself came, in order if the server can.

    Those that cannot are sent them in order all the same, as the others are: it is the client's
    code, which does not know to whom it speaks.
    """
    numbers = data_of(messages)
    if target.connection_type not in target.differences.keeps_order:
        numbers.sort()
    assert numbers == list(range(count))


async def test_order_of_one_turn(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 68 (starred): what is asked for in one turn of the loop travels in one payload,
    in order."""
    async with make_client(server) as client:
        await server.control("reset_counters")
        publishing = [asyncio.create_task(client.publish(channel, n)) for n in range(20)]
        seen: Seen[Any] = Seen(client.channel(channel))
        await asyncio.gather(*publishing)
        assert_order(target, await seen.count(20), 20)
        counters = await server.counters()
        ordinary = counters["payloads"] - counters["connects"]
        assert (ordinary, counters["publishes"], counters["subscribes"]) == (1, 20, 1)


async def test_batch(target: Target, server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 68 (starred): a batch over several turns of the loop is one payload, too."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("reset_counters")
        publishing: list[asyncio.Task[Any]] = []
        with client.batch():
            for number in range(3):
                publishing.append(asyncio.create_task(client.publish(channel, number)))
                await asyncio.sleep(0.01)  # turns of the loop in which nothing is sent
            assert (await server.counters())["publishes"] == 0
        await asyncio.gather(*publishing)
        assert_order(target, await seen.count(3), 3)
        counters = await server.counters()
        assert counters["payloads"] - counters["connects"] == 1


async def test_before_the_handshake(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenarios 68 (starred) and 71: what is asked for while the session is being opened goes
    out after the handshake, in one payload, in order."""
    client = make_client(server)
    opening = asyncio.create_task(client.open())
    await asyncio.sleep(0)
    seen: Seen[Any] = Seen(client.channel(channel))
    await asyncio.gather(*(client.publish(channel, number) for number in range(5)))
    await opening
    assert_order(target, await seen.count(5), 5)
    counters = await server.counters()
    assert counters["handshakes"] == 1
    assert (counters["publishes"], counters["subscribes"]) == (5, 1)
    assert counters["payloads"] - counters["connects"] - counters["handshakes"] <= 2


async def test_in_flight_together(
    target: Target, server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 71: publishes while others are under way are gathered, none overtakes another."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        publishing: list[asyncio.Task[Any]] = []
        for number in range(100):
            publishing.append(asyncio.create_task(client.publish(channel, number)))
            await asyncio.sleep(0)
        await asyncio.gather(*publishing)
        assert_order(target, await seen.count(100), 100)


async def test_not_open(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 70: without a session, requests fail locally, and nothing is sent."""
    client = make_client(server)
    for attempt in (client.publish(channel, 1), client.subscribe(channel), client.receive()):
        with pytest.raises(ClientInvalidOperation):
            await attempt
    await client.open()
    with pytest.raises(InvalidChannelError):
        await client.publish(f"{channel}/*", 1)
    with pytest.raises(InvalidChannelError):
        await client.publish("/meta/connect", 1)
    with pytest.raises(InvalidChannelError):
        client.channel("/meta/connect")
    await client.close()
    with pytest.raises(ClientInvalidOperation):
        await client.publish(channel, 1)
    assert (await server.counters())["publishes"] == 0


@pytest.mark.needs("remote_call")
async def test_call(server: Server, make_client: MakeClient) -> None:
    """Scenarios 67 and 74: a call gives the answer, not the acknowledgement; many at a time."""
    async with make_client(server) as client:
        answers = await asyncio.gather(
            *(client.call("/service/echo", {"number": number}) for number in range(20))
        )
        assert [answer["data"] for answer in answers] == [{"number": n} for n in range(20)]


@pytest.mark.needs("remote_call")
async def test_call_refused(server: Server, make_client: MakeClient) -> None:
    """Scenario 74: an answer with `successful: false` is an error."""
    async with make_client(server) as client:
        with pytest.raises(ServerError):
            await client.call("/service/refuse", {"why": "so"})
        assert (await client.call("/service/echo", 1))["data"] == 1


async def test_call_unanswered(server: Server, make_client: MakeClient) -> None:
    """Scenario 74: a service that nobody serves gives no answer, in time it is an error."""
    async with make_client(server) as client:
        began = time.monotonic()
        with pytest.raises((TransportTimeoutError, ServerError)):
            await client.call("/service/nothing", 1, timeout=0.3)
        assert time.monotonic() - began < 8.0
        assert client.state is ClientState.CONNECTED


@pytest.mark.needs("small")
async def test_too_large_to_send(
    target: Target, start_server: StartServer, make_client: MakeClient, channel: str
) -> None:
    """Scenario 73: a message that the server finds too large fails, the client recovers."""
    server = await start_server(**(target.differences.small or {}))
    async with make_client(server) as client:
        await client.subscribe(channel)
        with pytest.raises(TransportError):
            await client.publish(channel, "x" * 20_000)
        await client.publish(channel, "small")
        assert (await client.receive())["data"] == "small"


async def test_too_large_to_receive(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 73: a message larger than `max_message_size` costs that message, not the
    session."""
    async with make_client(server, max_message_size=50_000) as client:
        states = States(client)
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("publish", channel=channel, data="x" * 100_000)
        change = await states.reach(ClientState.UNCONNECTED)
        assert isinstance(change.error, ProtocolError)
        await states.reach(ClientState.CONNECTED)
        await confirmed(client, channel)
        await client.publish(channel, "small")
        await seen.until(lambda: data_of(seen.items)[-1:] == ["small"])


async def test_large_message(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 73: large messages are no trouble where nobody forbids them."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        data = "Ünïcödé " * 100_000
        await client.publish(channel, data)
        assert data_of(await seen.count(1)) == [data]


@pytest.mark.needs("faulty")
async def test_without_channel(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 75: elements that are no messages are skipped, what is beside them is not."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        good = f'{{"channel": "{channel}", "data": "good"}}'
        payload = f'[{{"data": 1}}, 7, null, "x", [{good}], {{}}]'
        await faults_of(server).garbage(payload, channel="/meta/connect")
        await client.publish(channel, "ends the connect")
        await seen.until(lambda: "good" in data_of(seen.items))
        await client.publish(channel, "after")
        await seen.until(lambda: "after" in data_of(seen.items))
