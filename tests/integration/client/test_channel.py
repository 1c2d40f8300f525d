"""The observable contract of a channel (API.md, section 4) against a server."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import ClientError, ConnectionType, ServerError, TransportTimeoutError
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    Json,
    Recorder,
    client_of,
    data_of,
    held,
    names,
    payloads_with,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from reactivex import abc

    from rx_cometd import Event

pytestmark = pytest.mark.usefixtures("nothing_left")


# 1 Cold


@BOTH
async def test_nothing_is_sent_before_subscribing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        channel = client.channel("/a").pipe(ops.map(data_of))
        await client.publish("/b", 1)
        assert names(server) == []
        for _ in range(2):
            seen = Recorder(channel)
            await subscribed(server, "/a")
            seen.subscription.dispose()
            await subscribed(server, "/a", 0)
        assert names(server) == ["/a", "/a"]


@BOTH
async def test_retry_asks_anew_after_a_refusal(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse_subscribe("/a", count=2)
        seen = Recorder(client.channel("/a").pipe(ops.retry(3)))
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        await seen.count(1)
        assert names(server) == ["/a"] * 3


async def test_retry_gives_up() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        server.faults.refuse_subscribe("/a")
        error = await Recorder(client.channel("/a").pipe(ops.retry(3))).fails()
        assert isinstance(error, ServerError)
        assert names(server) == ["/a"] * 3


async def test_defer_and_switch_latest() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        chosen = Recorder(
            client.channel("/choice").pipe(
                ops.map(data_of), ops.map(client.channel), ops.switch_latest()
            )
        )
        deferred = Recorder(rx.defer(lambda _: client.channel("/b")))
        await subscribed(server, "/choice")
        await client.publish("/choice", "/a")
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        await client.publish("/choice", "/b")
        await subscribed(server, "/a", 0)
        await client.publish("/b", 2)
        await chosen.count(2)
        await deferred.count(1)
        assert chosen.data == [1, 2]


# 2 Shared on the wire


@BOTH
async def test_one_subscribe_and_one_unsubscribe_for_all_observers(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        observers = [Recorder(client.channel("/a")) for _ in range(3)]
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        for seen in observers:
            await seen.count(1)
        assert observers[0].items[0] is observers[2].items[0]
        for seen in observers:
            assert names(server, "/meta/unsubscribe") == []
            seen.subscription.dispose()
            await client.publish("/b", 1)
        assert names(server) == ["/a"]
        assert names(server, "/meta/unsubscribe") == ["/a"]
        assert client.subscriptions == frozenset()


@BOTH
async def test_merged_channels_subscribe_in_one_payload(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(rx.merge(*(client.channel(f"/{i}") for i in range(5))))
        await subscribed(server, "/4")
        assert len(payloads_with(server, "/meta/subscribe")) == 1
        await server.publish("/3", 3)
        await seen.count(1)
        seen.subscription.dispose()
        await subscribed(server, "/4", 0)
        assert len(payloads_with(server, "/meta/unsubscribe")) == 1


@BOTH
async def test_a_thousand_subscribes_in_one_turn_are_one_payload(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        for i in range(1000):
            client.channel(f"/c/{i}").subscribe()
        await subscribed(server, "/c/999")
        (payload,) = payloads_with(server, "/meta/subscribe")
        assert len(payload) == 1000
        await client.publish("/b", 1)
        assert len(client.subscriptions) == 1000


@BOTH
async def test_ten_thousand_channels_are_resubscribed_in_one_payload(kind: ConnectionType) -> None:
    # A busy machine takes its time over 20,000 messages.
    async with (
        BayeuxServer() as server,
        client_of(server, kind, max_network_delay=30.0, connection_timeout=60.0) as client,
    ):
        first, last = Recorder(client.channel("/c/0")), Recorder(client.channel("/c/9999"))
        for i in range(1, 9999):
            client.channel(f"/c/{i}").subscribe()
        await subscribed(server, "/c/9999")
        await held(server)
        server.received.clear()
        await server.restart(forget=True)
        await subscribed(server, "/c/9999")
        (payload,) = payloads_with(server, "/meta/subscribe")
        assert len(payload) == 10_000
        await server.publish("/c/0", 1)
        await server.publish("/c/9999", 1)
        await first.count(1)
        await last.count(1)


@BOTH
async def test_resubscribing_comes_before_the_next_held_connect(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        server.received.clear()
        server.faults.forget()
        await subscribed(server, "/a")
        await held(server)
        channels = [m["channel"] for _, payload in server.received for m in payload]
        assert channels.index("/meta/subscribe") < channels.index("/meta/connect")


# 3 Order, one at a time


@BOTH
async def test_messages_come_in_order_on_the_loops_thread(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        threads: set[int] = set()
        client.channel("/a").subscribe(lambda _: threads.add(threading.get_ident()))
        await subscribed(server, "/a")
        for i in range(500):
            await server.publish("/a", i)
        await seen.count(500)
        assert seen.data == list(range(500))
        assert threads == {threading.get_ident()}


@BOTH
async def test_publish_subscribe_and_dispose_within_on_next(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        inner = Recorder()
        tasks: list[asyncio.Task[Any]] = []
        handles: list[abc.DisposableBase] = []
        depth = 0

        def react(message: Event) -> None:
            nonlocal depth
            depth += 1
            assert depth == 1
            handles.append(client.channel("/b").subscribe(inner))
            tasks.append(asyncio.ensure_future(client.publish("/b", data_of(message))))
            if data_of(message) == 1:
                handles[0].dispose()
            depth -= 1

        handles.append(client.channel("/a").subscribe(react))
        await subscribed(server, "/a")
        await server.publish("/a", 0)
        await inner.until(lambda: len(inner.items) == 1)
        await server.publish("/a", 1)
        await inner.until(lambda: len(inner.items) == 3)
        await asyncio.gather(*tasks)
        await subscribed(server, "/a", 0)
        assert inner.data == [0, 1, 1]


async def test_take_disposes_within_on_next() -> None:
    async with BayeuxServer(messages_per_frame=None) as server, client_of(server) as client:
        seen = Recorder(client.channel("/a").pipe(ops.take(1)))
        await subscribed(server, "/a")
        for i in range(3):
            await server.publish("/a", i)
        await subscribed(server, "/a", 0)
        assert seen.data == [0]
        assert seen.completed


# 4 Survives reconnects


@BOTH
async def test_a_dropped_link_goes_unnoticed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await client.publish("/b", 1)
        session = client.client_id
        for i in range(3):
            await held(server)
            server.faults.drop_link()
            await server.until(lambda: not any(s.held for s in server.sessions.values()))
            await server.publish("/a", i)
            await seen.count(i + 1)
        assert client.client_id == session
        assert seen.data == [0, 1, 2]
        assert names(server) == ["/a"]
        await held(server)  # the reply to the connect before may come behind the event
        assert client.statistics().reconnects == 3


@BOTH
async def test_a_forgotten_session_goes_unnoticed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(rx.merge(client.channel("/a"), client.channel("/g/*")))
        await subscribed(server, "/a")
        session = client.client_id
        await held(server)
        server.faults.forget()
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/g/x", 2)
        await seen.count(2)
        assert client.client_id != session
        assert sorted(names(server)) == ["/a", "/a", "/g/*", "/g/*"]
        assert len(payloads_with(server, "/meta/subscribe")) == 2


@BOTH
async def test_a_restarted_server_goes_unnoticed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        for i in range(2):
            await subscribed(server, "/a")
            await server.publish("/a", i)
            await seen.count(i + 1)
            await server.restart(forget=True)
        await subscribed(server, "/a")
        assert client.statistics().handshakes == 3


@BOTH
async def test_what_is_wished_while_the_link_is_down(kind: ConnectionType) -> None:
    """It is told when the link is back, in one payload, and in the same session."""
    async with BayeuxServer() as server, client_of(server, kind) as client:
        gone, fleeting = Recorder(client.channel("/gone")), Recorder(client.channel("/fleeting"))
        changes = Recorder(client.state_changes)
        await client.publish("/b", 1)
        await held(server)
        await server.stop(forget=False)
        await changes.until(lambda: changes.items[-1].error)
        server.received.clear()
        gone.subscription.dispose()
        fleeting.subscription.dispose()
        new = Recorder(client.channel("/new"))
        again = Recorder(client.channel("/fleeting"))
        Recorder(client.channel("/never")).subscription.dispose()
        await server.start()
        await subscribed(server, "/new")
        await server.publish("/new", 1)
        await server.publish("/fleeting", 2)
        await new.count(1)
        await again.count(1)
        assert names(server) == ["/new"]
        assert names(server, "/meta/unsubscribe") == ["/gone"]
        assert len(payloads_with(server, "/meta/subscribe")) == 1
        assert len(server.sessions) == 1
        assert not fleeting.items


@BOTH
async def test_what_is_left_while_the_session_is_lost_is_not_resubscribed(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        gone, kept = Recorder(client.channel("/gone")), Recorder(client.channel("/kept"))
        changes = Recorder(client.state_changes)
        await client.publish("/b", 1)
        await server.stop(forget=True)
        await changes.until(lambda: changes.items[-1].error)
        gone.subscription.dispose()
        server.received.clear()
        await server.start()
        await subscribed(server, "/kept")
        await server.publish("/kept", 1)
        await kept.count(1)
        assert names(server) == ["/kept"]
        assert names(server, "/meta/unsubscribe") == []


@BOTH
async def test_retry_after_a_refused_resubscribe(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a").pipe(ops.retry(2)))
        await subscribed(server, "/a")
        await held(server)
        server.faults.refuse_subscribe("/a", count=1)
        server.faults.forget()
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)


async def test_fields_are_asked_anew_at_every_resubscribe() -> None:
    numbers = iter(range(10))
    async with BayeuxServer() as server, client_of(server) as client:
        channel = client.channel("/a", fields=lambda: {"ext": {"n": next(numbers)}})
        fixed = client.channel("/b", fields={"ext": {"n": "b"}})
        seen = Recorder(rx.merge(channel, fixed))
        for _ in range(2):
            await subscribed(server, "/b")
            await held(server)
            server.faults.forget()
            await server.until(lambda: not server.sessions)
        await subscribed(server, "/b")
        sent = [(m["subscription"], m["ext"]["n"]) for m in requests(server, "/meta/subscribe")]
        assert sent == [("/a", 0), ("/b", "b"), ("/a", 1), ("/b", "b"), ("/a", 2), ("/b", "b")]
        assert not seen.ended


@pytest.mark.parametrize("fields", [3, "x", asyncio.sleep])
async def test_fields_that_cannot_be_asked_are_refused_at_once(fields: Any) -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        with pytest.raises(TypeError, match="fields"):
            client.channel("/a", fields=fields)
        with pytest.raises(TypeError, match="fields"):
            await client.subscribe("/a", fields=fields)


@BOTH
async def test_fields_that_meet_a_cancellation_fail_that_channel_only(kind: ConnectionType) -> None:
    token: asyncio.Task[str] = asyncio.create_task(asyncio.sleep(60, "token"))
    token.cancel()
    await asyncio.wait([token])
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a", fields=lambda: {"ext": {"token": token.result()}}))
        error = await seen.fails()
        assert isinstance(error, ClientError)
        assert isinstance(error.__cause__, asyncio.CancelledError)
        async with asyncio.timeout(30):
            assert (await client.publish("/b", 1))["successful"] is True


async def test_fields_that_raise_fail_that_channel_only() -> None:
    def fields() -> Json:
        raise LookupError("mine")

    async with BayeuxServer() as server, client_of(server) as client:
        other = Recorder(client.channel("/b"))
        error = await Recorder(client.channel("/a", fields=fields)).fails()
        assert str(error) == "mine"
        await client.publish("/b", 1)
        await other.count(1)


# 5 The end


@BOTH
async def test_a_refused_subscribe_ends_its_observers_only(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse_subscribe("/no", "403:x,y:denied")
        refused = [Recorder(client.channel("/no")) for _ in range(2)]
        other = Recorder(client.channel("/yes"))
        for seen in refused:
            error = await seen.fails()
            assert isinstance(error, ServerError)
            assert (error.error_code, error.error_args) == (403, ("x", "y"))
            assert error.error_message == "denied"
            assert error.response["subscription"] == "/no"
        await client.publish("/yes", 1)
        await other.count(1)
        assert client.subscriptions == {"/yes"}


@BOTH
async def test_a_refused_resubscribe_ends_its_observers_only(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        refused, other = Recorder(client.channel("/no")), Recorder(client.channel("/yes"))
        await subscribed(server, "/yes")
        await held(server)
        server.faults.refuse_subscribe("/no")
        server.faults.forget()
        assert isinstance(await refused.fails(), ServerError)
        await server.publish("/yes", 1)
        await other.count(1)
        assert not other.ended


@BOTH
async def test_a_server_that_disconnects_ends_all_after_the_last_message(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        seen, other = Recorder(client.channel("/a")), Recorder(client.channel("/b"))
        await subscribed(server, "/b")
        await held(server)
        if kind is LONG_POLLING:  # both leave with the connect that is held
            server.sessions[client.client_id or ""].cork()
        await server.publish("/a", "last")
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        error = await seen.fails()
        assert isinstance(error, ServerError)
        assert seen.data == ["last"]
        assert await other.fails() is error
        assert client.closed
        await client.close()


@BOTH
@pytest.mark.parametrize("channel", ["/meta/connect", "/meta/handshake"])
async def test_advice_none_ends_all(kind: ConnectionType, channel: str) -> None:
    async with BayeuxServer(timeout=0.1) as server:
        client = client_of(server, kind)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.refuse(channel, "500::no more", {"reconnect": "none"})
        if channel == "/meta/handshake":
            await held(server)
            server.faults.forget()
        error = await seen.fails()
        assert isinstance(error, ServerError)
        assert error.error_message == "no more"
        assert client.closed
        await client.close()


@BOTH
async def test_a_lost_server_ends_all(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, connection_timeout=0.2)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.stop()
        error = await seen.fails()
        assert isinstance(error, TransportTimeoutError)
        assert error.__cause__ is not None
        assert client.closed
        await client.close()


@BOTH
async def test_closing_completes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        async with client_of(server, kind) as client:
            observed = [
                client.channel("/a"),
                client.channel("/a/*"),
                client.channel("/service/a"),
                client.messages,
                client.meta("/meta/connect"),
                client.channel("/a").pipe(ops.map(lambda m: m)),
            ]
            seen = [Recorder(source) for source in observed]
        assert [r.completed for r in seen] == [True] * len(seen)


# 7 Time


async def test_time_operators_run_on_the_loop() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        threads = set(threading.enumerate())
        channel = client.channel("/a")
        debounced = Recorder(channel.pipe(ops.debounce(0.3)))
        buffered = Recorder(
            channel.pipe(ops.buffer_with_time(0.02), ops.flat_map(rx.from_iterable))
        )
        late = Recorder(channel.pipe(ops.timeout(0.05)))
        delayed = Recorder(channel.pipe(ops.delay(0.01), ops.map(lambda _: threading.get_ident())))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await server.publish("/a", 2)
        await debounced.count(1)
        await buffered.count(2)
        await delayed.count(2)
        assert not set(threading.enumerate()) - threads
        assert debounced.data == [2]
        assert buffered.data == [1, 2]
        assert set(delayed.items) == {threading.get_ident()}
        assert "imeout" in str(await late.fails())


# 8 Loops and threads


def test_subscribing_outside_a_loop() -> None:
    client = client_of("http://127.0.0.1:9/cometd")
    for source in (
        client.channel("/a"),
        client.channel("/a").pipe(ops.map(lambda m: m), ops.filter(bool)),
        client.messages,
        client.meta("/meta/connect"),
    ):
        with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
            source.subscribe(print)
    assert client.closed


# What a message is


@BOTH
@pytest.mark.parametrize("data", [None, "", 0, False, [], {}, 0.0])
async def test_falsy_data_is_delivered(kind: ConnectionType, data: Any) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", data)
        await client.publish("/a", data)
        await seen.count(2)
        assert seen.items == [{"channel": "/a", "data": data}] * 2
        assert type(seen.items[0]) is dict


@BOTH
async def test_globs(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        one, deep, exact = (Recorder(client.channel(n)) for n in ("/a/*", "/a/**", "/a/b"))
        await subscribed(server, "/a/b")
        for channel in ("/a/b", "/a/b/c", "/a", "/b/b"):
            await client.publish(channel, channel)
        await client.publish("/a/z", "/a/z")
        assert one.data == ["/a/b", "/a/z"]
        assert deep.data == ["/a/b", "/a/b/c", "/a/z"]
        assert exact.data == ["/a/b"]


@BOTH
async def test_service_channels_take_no_subscribe_request(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/service/news"))
        every = Recorder(client.channel("/service/*"))
        await held(server)
        server.deliver(client.client_id or "", "/service/news", 1)
        server.deliver(client.client_id or "", "/service/news", 2, id="17")
        await seen.count(2)
        await every.count(2)
        seen.subscription.dispose()
        every.subscription.dispose()
        await client.publish("/b", 1)
        assert names(server) == []
        assert names(server, "/meta/unsubscribe") == []


@BOTH
async def test_messages_are_all_events(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.messages)
        for name in ("/a", "/b/*"):
            client.channel(name).subscribe()
        await subscribed(server, "/b/*")
        await client.publish("/a", 1)
        await client.publish("/b/x", 2)
        server.deliver(client.client_id or "", "/service/x", 3)
        await seen.count(3)
        assert [m["channel"] for m in seen.items] == ["/a", "/b/x", "/service/x"]
        assert names(server) == ["/a", "/b/*"]


@BOTH
async def test_meta_gives_the_replies(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        shakes, connects, subscribes = (
            Recorder(client.meta(f"/meta/{name}")) for name in ("handshake", "connect", "subscribe")
        )
        everything = Recorder(client.messages)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await client.publish("/a", 1)
        await seen.count(1)
        assert [m["clientId"] for m in shakes.items] == [client.client_id]
        assert connects.items[0]["successful"] is True
        assert [m["subscription"] for m in subscribes.items] == ["/a"]
        assert len(everything.items) == 1
        await client.close()


async def test_names_and_flow() -> None:
    client = client_of("http://127.0.0.1:9/cometd")
    assert client.channel("/a/*").name == "/a/*"
    assert client.channel("/topic/Orders?Amount=1").name == "/topic/Orders?Amount=1"


@BOTH
async def test_publishing_on_a_channel(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        channel = client.channel("/a")
        seen = Recorder(channel)
        reply = await channel.publish({"x": 1}, fields={"ext": {"y": 2}})
        assert reply["successful"] is True
        await seen.count(1)
        assert seen.items == [{"channel": "/a", "data": {"x": 1}, "ext": {"y": 2}}]
