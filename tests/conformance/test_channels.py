"""Channels as observables: what the README promises, on every server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import ClientInvalidOperation, ServerError
from rx_cometd import operators as cometd_ops
from tests.conformance.observing import Seen, confirmed, data_of, eventually, numbers_of

if TYPE_CHECKING:
    from rx_cometd import Client, Event, Message
    from rx_cometd.testing import FaultProxy
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server


async def test_pipe(server: Server, make_client: MakeClient, channel: str) -> None:
    """Operators between the channel and the observer."""
    async with make_client(server) as client:
        large = client.channel(channel).pipe(ops.filter(is_large), cometd_ops.data(), ops.take(2))
        seen: Seen[Any] = Seen(large)
        await confirmed(client, channel)
        await server.control("publish", channel=channel, count=10)
        assert await seen.end() is None
        assert seen.items == [{"n": 3}, {"n": 4}]
        # The only observer has gone, and with it the subscription.
        await eventually(lambda: not client.subscriptions)


def is_large(message: Event) -> bool:
    return bool(message["data"]["n"] > 2)


async def test_merge(server: Server, make_client: MakeClient, channel: str) -> None:
    """Several channels in one stream: one subscribe each, in one payload."""
    async with make_client(server) as client:
        await server.control("reset_counters")
        names = [f"{channel}/{number}" for number in range(3)]
        seen: Seen[Any] = Seen(rx.merge(*map(client.channel, names)))
        await confirmed(client, *names)
        for number, name in enumerate(names):
            await server.control("publish", channel=name, data=number)
        assert sorted(data_of(await seen.count(3))) == [0, 1, 2]
        counters = await server.counters()
        assert (counters["subscribes"], counters["subscribe_payloads"]) == (3, 1)


async def test_retry(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 65 (starred): a refused subscribe lets the next one go out; so `retry` works."""
    async with make_client(server) as client:
        await server.control("deny", operation="subscribe", channel=channel)
        try:
            refused: Seen[Any] = Seen(client.channel(channel))
            assert isinstance(await refused.end(), ServerError)
            attempts: list[int] = []

            def attempt(_: object) -> rx.Observable[Any]:
                attempts.append(len(attempts))
                return client.channel(channel)

            patient: Seen[Any] = Seen(rx.defer(attempt).pipe(ops.retry()))
            await eventually(lambda: len(attempts) >= 3)
        finally:
            await server.control("allow", operation="subscribe", channel=channel)
        await confirmed(client, channel)
        await server.control("publish", channel=channel, data="at last")
        assert data_of(await patient.count(1)) == ["at last"]


async def test_globs(target: Target, server: Server, make_client: MakeClient, channel: str) -> None:
    """`/*` takes one level, `/**` all of them; every observer gets a message once, if need be
    the client has to see to it."""
    names = [f"{channel}/a", f"{channel}/*", f"{channel}/**"]
    async with make_client(server) as client:
        exact, shallow, deep = (Seen(client.channel(name)) for name in names)
        await confirmed(client, *names)
        await server.control("publish", channel=f"{channel}/a", data=1)
        await server.control("publish", channel=f"{channel}/a/b", data=2)
        await server.control("publish", channel=f"{channel}/b", data=3)
        await deep.until(lambda: data_of(deep.items)[-1:] == [3])
        if target.differences.one_copy:
            assert data_of(exact.items) == [1]
            assert data_of(shallow.items) == [1, 3]
            assert data_of(deep.items) == [1, 2, 3]
        else:
            assert set(data_of(exact.items)) == {1}
            assert sorted(set(data_of(shallow.items))) == [1, 3]
            assert sorted(set(data_of(deep.items))) == [1, 2, 3]


async def test_globs_alone(server: Server, make_client: MakeClient, channel: str) -> None:
    """A glob without the exact channel beside it: one copy on every server."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(f"{channel}/**"))
        await confirmed(client, f"{channel}/**")
        for number in range(3):
            await server.control("publish", channel=f"{channel}/x/{number}", data=number)
        assert data_of(await seen.count(3)) == [0, 1, 2]


async def test_glob_brings_no_meta_messages(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 66: `/**` brings events, never replies."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel("/**"))
        await confirmed(client, "/**")
        await client.publish(channel, "mine")
        await seen.until(lambda: channel in [m["channel"] for m in seen.items])
        assert [m for m in seen.items if m["channel"].startswith(("/meta/", "/service/"))] == []


async def test_first_and_last_observer(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 64 (starred): the first observer subscribes, the last to go unsubscribes, and
    nobody else."""
    async with make_client(server) as client:
        await server.control("reset_counters")
        first: Seen[Any] = Seen(client.channel(channel))
        second: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        third: Seen[Any] = Seen(client.channel(channel))
        await client.publish(channel, 1)
        for seen in (first, second, third):
            assert data_of(await seen.count(1)) == [1]
        first.dispose()
        second.dispose()
        await client.publish(channel, 2)
        assert data_of(await third.count(2)) == [1, 2]
        assert len(first.items) == 1
        third.dispose()
        await eventually(lambda: not client.subscriptions)
        await client.publish(channel, 3)  # behind the unsubscribe, which is answered then
        counters = await server.counters()
        assert (counters["subscribes"], counters["unsubscribes"]) == (1, 1)
        assert await server.subscribers(channel) == []


async def test_dispose_and_subscribe_in_one_turn(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 64, within a turn: nothing has changed, so nothing is sent."""
    async with make_client(server) as client:
        first: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("reset_counters")
        first.dispose()
        second: Seen[Any] = Seen(client.channel(channel))
        await client.publish(channel, 1)
        assert data_of(await second.count(1)) == [1]
        counters = await server.counters()
        assert (counters["subscribes"], counters["unsubscribes"]) == (0, 0)


@pytest.mark.parametrize("data", ["", 0, False, [], {}, None], ids=repr)
async def test_falsy_data(
    server: Server, make_client: MakeClient, channel: str, data: object
) -> None:
    """Scenario 72 (starred): data that Python takes for false are data; `null` too."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await client.publish(channel, data)
        assert data_of(await seen.count(1)) == [data]
        assert type(seen.items[0]["data"]) is type(data)


async def test_high_rate(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 77: thousands of messages in a burst, in order, none missing."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        await server.control("publish", channel=channel, count=3000)
        assert numbers_of(await seen.count(3000, timeout=20)) == list(range(3000))


async def test_own_messages(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 77: what one publishes oneself comes back in order, and without credentials."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel(channel))
        await confirmed(client, channel)
        for number in range(20):
            await client.publish(channel, {"n": number})
        assert numbers_of(await seen.count(20)) == list(range(20))
        assert all("clientId" not in message for message in seen.items)


async def test_foreign_ids(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 79: ids of other clients in messages never answer our own requests.

    Both clients count their requests alike, so that Faye, which leaves the ids in, sends each
    of them messages with the very ids that it is waiting for.
    """
    async with make_client(server) as one, make_client(server) as other:
        seen = [Seen(client.channel(channel)) for client in (one, other)]
        await confirmed(one, channel)
        await confirmed(other, channel)
        for number in range(30):
            mine, theirs = await publish_both(one, other, channel, number)
            assert mine["channel"] == theirs["channel"] == channel
            assert "data" not in mine
            assert "data" not in theirs
        for messages in seen:
            await messages.count(60)
            assert len(messages.items) == 60


async def publish_both(
    one: Client, other: Client, channel: str, number: int
) -> tuple[Message, Message]:
    return await asyncio.gather(
        one.publish(channel, {"one": number}), other.publish(channel, {"other": number})
    )


@pytest.mark.needs("deliver")
async def test_service_channel(server: Server, make_client: MakeClient) -> None:
    """Scenario 66: a service channel is listened to without a word on the wire."""
    async with make_client(server) as client:
        await server.control("reset_counters")
        seen: Seen[Any] = Seen(client.channel("/service/news"))
        await server.control(
            "deliver", client_id=client.client_id, channel="/service/news", data={"to": "you"}
        )
        assert data_of(await seen.count(1)) == [{"to": "you"}]
        assert (await server.counters())["subscribes"] == 0


@pytest.mark.needs("deliver")
async def test_delivery_without_subscription(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """A message that the server sends unasked reaches who observes all messages."""
    async with make_client(server) as client:
        everything: Seen[Any] = Seen(client.messages)
        await server.control("deliver", client_id=client.client_id, channel=channel, data=7)
        assert data_of(await everything.count(1)) == [7]


@pytest.mark.needs("echo")
async def test_service_echo(server: Server, make_client: MakeClient) -> None:
    """Scenario 67: the answer of a service is a message, its bare reply is not."""
    async with make_client(server) as client:
        seen: Seen[Any] = Seen(client.channel("/service/echo"))
        reply = await client.publish("/service/echo", {"say": "it"})
        assert reply.get("data") is None
        assert reply.get("successful") is not False
        assert data_of(await seen.count(1)) == [{"say": "it"}]


async def test_lazy_session(server: Server, make_client: MakeClient, channel: str) -> None:
    """Scenario 69: without `open`, the first observer opens the session, the last closes it."""
    client = make_client(server)
    seen: Seen[Any] = Seen(client.channel(channel))
    await confirmed(client, channel)
    session = client.client_id
    assert session in await server.sessions()
    await server.control("publish", channel=channel, data="hello")
    assert data_of(await seen.count(1)) == ["hello"]
    seen.dispose()
    await eventually(lambda: client.closed)
    await eventually(lambda: gone(server, session))


async def gone(server: Server, session: str | None) -> bool:
    return session not in await server.sessions()


async def test_pull_view(server: Server, make_client: MakeClient, channel: str) -> None:
    """`subscribe`, `receive`, `unsubscribe`: the view for those who want no Rx."""
    async with make_client(server) as client:
        await client.subscribe(channel)
        assert channel in client.subscriptions
        for number in range(3):
            await client.publish(channel, number)
        assert [(await client.receive())["data"] for _ in range(3)] == [0, 1, 2]
        await client.unsubscribe(channel)
        assert channel not in client.subscriptions
        await client.publish(channel, 3)
        assert not client.has_pending_messages


async def test_unsubscribed_from_what_never_arrived(
    server: Server, make_client: MakeClient, start_proxy: StartProxy, channel: str
) -> None:
    """The subscribe is lost on its way. CometD then refuses the unsubscribe, for it knows nothing
    of the channel; so there is nothing left to be done."""
    proxy = await start_proxy(server)
    async with make_client(proxy) as client:
        proxy.requests.stall()
        before = sent(proxy)
        subscribing = asyncio.create_task(client.subscribe(channel))
        await eventually(lambda: sent(proxy) >= before + len(channel))
        unsubscribing = asyncio.create_task(client.unsubscribe(channel))
        await asyncio.sleep(0)  # it has been asked for
        proxy.cut()
        proxy.clear()
        await unsubscribing
        with pytest.raises(ClientInvalidOperation, match="unsubscribed from meanwhile"):
            await subscribing
        assert channel not in client.subscriptions
        assert await server.subscribers(channel) == []
        await client.subscribe(channel)
        await client.publish(channel, "here")
        assert (await client.receive())["data"] == "here"


def sent(proxy: FaultProxy) -> int:
    """How many bytes a proxy was sent by clients."""
    return sum(map(len, proxy.requested))


async def test_two_clients_chat(server: Server, make_client: MakeClient, channel: str) -> None:
    """What one client publishes the other one gets, in order."""
    async with make_client(server) as ann, make_client(server) as bob:
        heard: Seen[Any] = Seen(bob.channel(channel))
        await confirmed(bob, channel)
        for word in ("so", "this", "works"):
            await ann.channel(channel).publish(word)
        assert data_of(await heard.count(3)) == ["so", "this", "works"]
