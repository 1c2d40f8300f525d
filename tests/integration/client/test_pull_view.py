"""The pull view: messages one by one, with the semantics that aiocometd's users know."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from reactivex import operators as ops

from rx_cometd import (
    BufferOverflowError,
    Client,
    ClientInvalidOperation,
    ConnectionType,
    Overflow,
    ServerError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    WEBSOCKET,
    Gate,
    Recorder,
    client_of,
    data_of,
    held,
    names,
    payloads_with,
    subscribed,
)

pytestmark = pytest.mark.usefixtures("nothing_left")


async def pulled(client: Client, count: int) -> list[Any]:
    """Receive so many messages; give their data."""
    async with asyncio.timeout(30):
        return [data_of(await client.receive()) for _ in range(count)]


async def pending(client: Client, count: int) -> None:
    """Wait for so many messages to be pending."""
    for _ in range(5000):
        if client.pending_count >= count:
            return
        await asyncio.sleep(0.001)  # nobody tells of what is pending
    pytest.fail(f"{client.pending_count} are pending, not {count}")


@BOTH
async def test_subscribe_receive_unsubscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        assert client.subscriptions == {"/a"}
        assert not client.has_pending_messages
        await client.publish("/a", 1)
        await server.publish("/a", None)
        assert await pulled(client, 2) == [1, None]
        await client.unsubscribe("/a")
        assert client.subscriptions == frozenset()
        assert not server.subscribers("/a")
        assert names(server) == ["/a"]
        assert names(server, "/meta/unsubscribe") == ["/a"]


@BOTH
async def test_all_channels_in_one_stream_in_order(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await asyncio.gather(*(client.subscribe(f"/{i}") for i in range(10)))
        assert len(payloads_with(server, "/meta/subscribe")) == 1
        for i in range(10):
            await server.publish(f"/{i}", i)
        assert await pulled(client, 10) == list(range(10))


@BOTH
async def test_a_message_of_several_subscriptions_is_received_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        for name in ("/a/b", "/a/*", "/a/**", "/**"):
            await client.subscribe(name)
        await server.publish("/a/b", 1)
        await server.publish("/a/b", 2)
        assert await pulled(client, 2) == [1, 2]
        assert not client.has_pending_messages


@BOTH
async def test_subscribing_twice_is_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await asyncio.gather(client.subscribe("/a"), client.subscribe("/a"))
        await client.subscribe("/a")
        await server.publish("/a", 1)
        await client.unsubscribe("/a")
        await client.unsubscribe("/a")
        assert await pulled(client, 1) == [1]
        assert names(server) == ["/a"]


async def test_fields_of_a_subscribe() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        await client.subscribe("/a", fields={"ext": {"x": 1}})
        (payload,) = payloads_with(server, "/meta/subscribe")
        assert payload[0]["ext"] == {"x": 1}


@BOTH
async def test_observers_and_the_pull_view_share_the_wire(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await client.subscribe("/a")
        assert names(server) == ["/a"]
        await server.publish("/a", 1)
        await seen.count(1)
        assert await pulled(client, 1) == [1]
        await client.unsubscribe("/a")
        assert names(server, "/meta/unsubscribe") == []
        await server.publish("/a", 2)
        await seen.count(2)
        assert client.pending_count == 0
        await client.subscribe("/a")
        seen.subscription.dispose()
        await server.publish("/a", 3)
        assert await pulled(client, 1) == [3]
        assert names(server) == ["/a"]


@BOTH
async def test_service_messages_that_nobody_observes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/service/x")
        assert names(server) == []
        await held(server)
        server.deliver(client.client_id or "", "/service/x", 1)
        server.deliver(client.client_id or "", "/service/unheard", 2, id="5")
        assert await pulled(client, 2) == [1, 2]
        await client.unsubscribe("/service/x")


@BOTH
async def test_a_refused_subscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse_subscribe("/no", "403::no", count=1)
        await client.subscribe("/yes")
        with pytest.raises(ServerError, match="no"):
            await client.subscribe("/no")
        await server.publish("/yes", 1)
        assert await pulled(client, 1) == [1]
        assert client.subscriptions == {"/yes"}
        await client.subscribe("/no")
        await server.publish("/no", 2)
        assert await pulled(client, 1) == [2]


@BOTH
async def test_a_refused_unsubscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        server.faults.refuse("/meta/unsubscribe", "500::no")
        with pytest.raises(ServerError):
            await client.unsubscribe("/a")
        await client.publish("/b", 1)


@BOTH
async def test_a_refused_resubscribe_is_raised_once(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/no")
        await client.subscribe("/yes")
        await held(server)
        server.faults.refuse_subscribe("/no", "403::no")
        receiving = asyncio.create_task(client.receive())
        server.faults.forget()
        with pytest.raises(ServerError, match="no"):
            await receiving
        await subscribed(server, "/yes")
        await server.publish("/yes", 1)
        assert await pulled(client, 1) == [1]
        assert client.subscriptions == {"/yes"}


@BOTH
async def test_what_is_pending_comes_before_a_refused_resubscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/no")
        await server.publish("/no", 1)
        await pending(client, 1)
        await held(server)
        server.faults.refuse_subscribe("/no", "403::no")
        server.faults.forget()
        await server.until(lambda: len(names(server)) == 2)
        await client.publish("/b", 1)
        assert await pulled(client, 1) == [1]
        with pytest.raises(ServerError):
            await client.receive()


# The end


@BOTH
async def test_receive_after_close_drains(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        await client.subscribe("/a")
        for i in range(3):
            await server.publish("/a", i)
        await pending(client, 3)
        assert client.has_pending_messages
        await client.close()
        assert client.pending_count == 3
        assert await pulled(client, 3) == [0, 1, 2]
        for _ in range(2):
            with pytest.raises(ClientInvalidOperation):
                await client.receive()
        assert client.pending_count == 0


@BOTH
async def test_iterating_ends_quietly(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        for i in range(3):
            await server.publish("/a", i)
        found: list[Any] = []
        async with asyncio.timeout(30):
            async for message in client:
                found.append(data_of(message))
                if len(found) == 2:
                    await client.close()
        assert found == [0, 1, 2]
        assert [m async for m in client] == []


@BOTH
async def test_closing_wakes_who_receives(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        receiving = [asyncio.create_task(client.receive()) for _ in range(3)]
        await asyncio.sleep(0)
        await client.close()
        outcomes = await asyncio.gather(*receiving, return_exceptions=True)
        assert [type(o) for o in outcomes] == [ClientInvalidOperation] * 3


@BOTH
async def test_a_lost_server_is_told_after_what_is_pending(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=0.1)
        await client.open()
        await client.subscribe("/a")
        await server.publish("/a", 1)
        await pending(client, 1)
        await server.stop()
        assert await pulled(client, 1) == [1]
        with pytest.raises(TransportTimeoutError):
            await client.receive()
        with pytest.raises(TransportTimeoutError):
            async for _ in client:
                pass
        await client.close()


@BOTH
async def test_a_server_that_disconnects_is_told(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        await client.subscribe("/a")
        await held(server)
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        with pytest.raises(ServerError):
            await client.receive()
        with pytest.raises(ClientInvalidOperation):
            await client.subscribe("/b")
        await client.close()


@BOTH
async def test_a_reopened_client_receives_anew(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        for value in range(2):
            async with client:
                await client.subscribe("/a")
                await server.publish("/a", value)
                assert await pulled(client, 1) == [value]
        async with client:
            receiving = asyncio.create_task(client.receive())
            await client.subscribe("/a")
            await server.publish("/a", 2)
            assert data_of(await receiving) == 2


# Cancellation


@BOTH
async def test_cancelling_receive_loses_nothing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        found: list[Any] = []
        for i in range(30):
            receiving = asyncio.create_task(client.receive())
            await server.publish("/a", i)
            for _ in range(i):
                await asyncio.sleep(0)
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            if not receiving.cancelled():
                found.append(data_of(receiving.result()))
        found += await pulled(client, 30 - len(found))
        assert found == list(range(30))


@BOTH
async def test_cancelling_subscribe_leaves_no_subscription(kind: ConnectionType) -> None:
    gate = Gate("/meta/subscribe", count=1)
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        subscribing = asyncio.create_task(client.subscribe("/a"))
        await server.until(lambda: names(server) == ["/a"])
        subscribing.cancel()
        await asyncio.wait([subscribing])
        assert subscribing.cancelled()
        gate.open()
        await server.until(lambda: names(server, "/meta/unsubscribe") == ["/a"])
        await client.publish("/a", 1)
        assert client.pending_count == 0
        assert client.subscriptions == frozenset()
        await client.subscribe("/a")
        await client.publish("/a", 2)
        assert await pulled(client, 1) == [2]


@BOTH
async def test_cancelling_one_of_two_who_subscribe_leaves_the_other(kind: ConnectionType) -> None:
    gate = Gate("/meta/subscribe", count=1)
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        first = asyncio.create_task(client.subscribe("/a"))
        second = asyncio.create_task(client.subscribe("/a"))
        await server.until(lambda: names(server) == ["/a"])
        first.cancel()
        await asyncio.wait([first])
        gate.open()
        await second
        assert first.cancelled()
        await server.publish("/a", 1)
        assert await pulled(client, 1) == [1]


@BOTH
async def test_cancelling_who_subscribes_again_keeps_the_subscription(kind: ConnectionType) -> None:
    gate = Gate("/meta/subscribe")
    gate.open()
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        await held(server)
        gate.close()
        server.faults.forget()
        await server.until(lambda: len(names(server)) == 2)
        subscribing = asyncio.create_task(client.subscribe("/a"))
        await asyncio.sleep(0)  # it waits for the same reply
        subscribing.cancel()
        await asyncio.wait([subscribing])
        assert subscribing.cancelled()
        gate.open()
        await client.publish("/a", 1)
        assert await pulled(client, 1) == [1]


@BOTH
async def test_unsubscribing_in_the_turn_of_a_subscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        outcomes = await asyncio.wait_for(
            asyncio.gather(
                client.subscribe("/a"), client.unsubscribe("/a"), return_exceptions=True
            ),
            30,
        )
        assert isinstance(outcomes[0], ClientInvalidOperation)
        assert outcomes[1] is None
        await client.subscribe("/a")
        await client.publish("/a", 1)
        assert await pulled(client, 1) == [1]


@BOTH
async def test_unsubscribing_while_subscribing(kind: ConnectionType) -> None:
    gate = Gate("/meta/subscribe", count=1)
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        subscribing = asyncio.create_task(client.subscribe("/a"))
        await server.until(lambda: names(server) == ["/a"])
        unsubscribing = asyncio.create_task(client.unsubscribe("/a"))
        await asyncio.sleep(0)  # it has been asked for
        gate.open()
        async with asyncio.timeout(30):
            await unsubscribing
            await asyncio.gather(subscribing, return_exceptions=True)
        assert client.subscriptions == frozenset()
        assert not server.subscribers("/a")


@BOTH
async def test_cancelling_unsubscribe_unsubscribes(kind: ConnectionType) -> None:
    gate = Gate("/meta/unsubscribe", count=1)
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        await client.subscribe("/a")
        unsubscribing = asyncio.create_task(client.unsubscribe("/a"))
        await server.until(lambda: names(server, "/meta/unsubscribe") == ["/a"])
        unsubscribing.cancel()
        await asyncio.wait([unsubscribing])
        assert unsubscribing.cancelled()
        gate.open()
        await subscribed(server, "/a", 0)
        await client.publish("/a", 1)
        assert client.pending_count == 0


@BOTH
async def test_subscribing_when_the_session_ends(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        await held(server)
        server.faults.stall()
        subscribing = asyncio.create_task(client.subscribe("/a"))
        await asyncio.sleep(0.01)  # the subscribe is out: the server is silent, and cannot tell
        server.faults.resume()
        await client.close()
        (outcome,) = await asyncio.gather(subscribing, return_exceptions=True)
        assert outcome is None or isinstance(outcome, ClientInvalidOperation)
        assert client.pending_count == 0


# The buffer


async def test_a_full_buffer_over_websocket_fails_after_what_is_pending() -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, max_pending_count=3) as client,
    ):
        await client.subscribe("/a")
        for i in range(3):
            await server.publish("/a", i)
        await client.publish("/b", 1)
        for i in range(3, 6):
            await server.publish("/a", i)
        await client.publish("/b", 1)
        assert client.pending_count == 3
        assert await pulled(client, 3) == [0, 1, 2]
        with pytest.raises(BufferOverflowError):
            await client.receive()
        # It is said once; session and subscription go on.
        assert client.subscriptions == {"/a"}
        await server.publish("/a", 7)
        assert await pulled(client, 1) == [7]


@pytest.mark.parametrize("together", [True, False], ids=["one frame", "a frame each"])
async def test_a_burst_does_not_end_an_idle_consumer(*, together: bool) -> None:
    async with BayeuxServer() as server, client_of(server, WEBSOCKET) as client:
        seen: list[Any] = []

        async def consume() -> None:
            async for message in client.channel("/a"):
                seen.append(data_of(message))
                if len(seen) == 150:
                    return

        consuming = asyncio.create_task(consume())
        await subscribed(server, "/a")
        if together:  # what one payload publishes comes back with its replies
            await asyncio.gather(*(client.publish("/a", number) for number in range(150)))
        else:
            for number in range(150):
                await server.publish("/a", number)
        await consuming
        assert seen == list(range(150))


async def test_a_full_buffer_over_long_polling_holds_the_connect_back() -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, LONG_POLLING, max_pending_count=4) as client,
    ):
        await client.subscribe("/a")
        for i in range(30):
            await server.publish("/a", i)
            await asyncio.sleep(0)
        await pending(client, 4)
        await client.publish("/b", 1)  # control never queues behind data
        assert client.statistics().suspensions >= 1
        assert await pulled(client, 30) == list(range(30))
        assert client.statistics().drops == 0


@pytest.mark.parametrize(
    ("overflow", "left"),
    [
        (Overflow.DROP_OLDEST, [7, 8, 9]),
        (Overflow.DROP_NEWEST, [0, 1, 2]),
        (Overflow.CONFLATE, [9]),
    ],
)
async def test_the_policy_of_the_client_is_kept(overflow: Overflow, left: list[int]) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, max_pending_count=3, overflow=overflow) as client,
    ):
        await client.subscribe("/a")
        for i in range(10):
            await server.publish("/a", i)
        await client.publish("/b", 1)
        assert client.pending_count == len(left)
        assert await pulled(client, len(left)) == left
        assert client.statistics().drops == 10 - len(left)


@pytest.mark.parametrize("bound", [0, -1])
async def test_an_unbounded_buffer(bound: int) -> None:
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, max_pending_count=bound) as client,
    ):
        await client.subscribe("/a")
        for i in range(500):
            await server.publish("/a", i)
        await client.publish("/b", 1)
        assert client.pending_count == 500
        assert await pulled(client, 500) == list(range(500))


async def test_publishing_works_while_the_buffer_is_full() -> None:
    async with BayeuxServer() as server, client_of(server, max_pending_count=2) as client:
        await client.subscribe("/a")
        for i in range(5):
            await client.publish("/a", i)
        assert await pulled(client, 2) == [0, 1]
        with pytest.raises(BufferOverflowError):
            await client.receive()


async def test_pending_counts_every_buffer_of_the_client() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        await client.subscribe("/a")
        seen = Recorder(client.channel("/a").pipe(ops.map(data_of)))
        await server.publish("/a", 1)
        await seen.count(1)
        assert client.pending_count == 1
        assert client.has_pending_messages


@BOTH
async def test_a_subscribe_that_was_taken_back_does_not_cancel_the_next_one(
    kind: ConnectionType,
) -> None:
    gate = Gate("/meta/subscribe")
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:
        old = asyncio.create_task(client.subscribe("/a"))
        await server.until(lambda: names(server) == ["/a"])
        unsubscribing = asyncio.create_task(client.unsubscribe("/a"))
        await asyncio.sleep(0)
        new = asyncio.create_task(client.subscribe("/a"))
        await asyncio.sleep(0)
        old.cancel()
        gate.open()
        await new
        assert client.subscriptions == {"/a"}
        await asyncio.gather(old, unsubscribing, return_exceptions=True)


@BOTH
async def test_a_subscribe_that_was_taken_back_does_not_keep_the_next_one(
    kind: ConnectionType,
) -> None:
    """Of two callers the first took its subscribe back, the second is cancelled as both are
    confirmed: nobody wants the channel. Found by a thousand tasks; a channel stayed for ever."""
    gate = Gate("/meta/subscribe")
    async with BayeuxServer(extensions=[gate]) as server, client_of(server, kind) as client:

        async def subscribe_and_cancel() -> None:
            await client.subscribe("/a")
            new.cancel()  # it was confirmed as well, and has not gone on yet

        old = asyncio.create_task(subscribe_and_cancel())
        await server.until(lambda: names(server) == ["/a"])
        unsubscribing = asyncio.create_task(client.unsubscribe("/a"))
        await asyncio.sleep(0)
        new = asyncio.create_task(client.subscribe("/a"))
        await asyncio.sleep(0)
        gate.open()
        await old
        await asyncio.gather(new, unsubscribing, return_exceptions=True)
        assert new.cancelled()
        await subscribed(server, "/a", 0)
        await server.until(lambda: not client.subscriptions)
