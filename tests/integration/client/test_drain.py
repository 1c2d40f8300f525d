"""Draining: what came is processed, what is to be sent is sent, and then nothing more happens."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops
from reactivex.subject import Subject

from rx_cometd import (
    ClientInvalidOperation,
    ClientState,
    ConnectionType,
    Event,
    TransportTimeoutError,
)
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, ReplayOption, ack, replay
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.integration.client_driver import BOTH, Gate, Recorder, client_of, requests, subscribed

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from rx_cometd import Client

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(900)]

EVENTS = 10_000 if os.environ.get("FULL_SIZE") else 60


@BOTH
async def test_all_that_is_pending_is_processed_and_the_markers_say_so(
    kind: ConnectionType,
) -> None:
    """The measurement of issue 9; ``FULL_SIZE=1`` makes it one of 10,000 events."""
    store, done = MemoryStore(), list[int]()

    async def work(event: Event) -> int:
        await asyncio.sleep(0.001)
        done.append(event["data"]["payload"])
        return done[-1]

    async with BayeuxServer(replay=ReplayLog(gaps=(1,), max_events=EVENTS + 1)) as server:
        extension = replay(store, initial=ReplayOption.ALL_EVENTS)
        client = client_of(server, kind, extensions=[extension], max_pending_count=0)
        await client.open()
        seen = Recorder(client.channel("/a").pipe(cometd_ops.map_async(work, max_concurrency=4)))
        arrived = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for number in range(EVENTS):
            await server.publish("/a", {"payload": number})
        await arrived.until(lambda: len(arrived.items) >= EVENTS // 2, 60)
        assert len(done) < len(arrived.items)
        await client.drain()
        assert seen.items == sorted(done) == list(range(len(arrived.items)))
        assert (seen.completed, arrived.completed) == (True, True)
        assert store.load("/a") == len(done)  # ids begin at 1
        await server.publish("/a", {"payload": EVENTS})
        assert len(requests(server, "/meta/disconnect")) == 1
        assert client.state is ClientState.DISCONNECTED
        assert max(done) == len(done) - 1


@BOTH
async def test_what_comes_when_nobody_is_left_to_take_it_moves_no_marker(
    kind: ConnectionType,
) -> None:
    """Drained while the link is down, with messages waiting on the server, and something to send:
    the link is replaced for that, and they come to nobody."""
    store = MemoryStore()
    async with BayeuxServer(replay=ReplayLog(gaps=(1,))) as server:
        extensions = [ack(), replay(store, initial=ReplayOption.ALL_EVENTS)]
        client = client_of(server, kind, extensions=extensions)
        await client.open()
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        await server.publish("/a", {"payload": 0})
        await seen.count(1)
        server.faults.respond_with(503)
        server.faults.drop_link()
        await changes.until(lambda: changes.items[-1].state is ClientState.UNCONNECTED)
        await server.publish("/a", {"payload": 1})
        publishing = asyncio.ensure_future(client.publish("/b", {}))
        await client.drain(10)
        assert (await publishing)["successful"]
        assert store.load("/a") == len(seen.items)
        async with client:
            again = Recorder(client.channel("/a"))
            await again.count(2 - len(seen.items))


class Stage:
    """Work that takes a while for each item, and remembers what it began and what it finished."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.done: list[Any] = []

    async def work(self, item: Any) -> Any:
        self.begun.append(item)
        await asyncio.sleep(0.03)
        self.done.append(item)
        return item

    async def publish(self, channel: str, data: Any) -> Any:
        """What `publish_to` asks of a client."""
        del channel
        return await self.work(data)


def _each(stage: Stage, group: Observable[Any]) -> Observable[Any]:
    return group.pipe(cometd_ops.map_async(stage.work))


#: What an application puts behind its channels, each with something still to do at the end.
PIPES: dict[str, Callable[[Stage], list[Any]]] = {
    "map_async": lambda s: [cometd_ops.map_async(s.work)],
    "map_async, unordered": lambda s: [
        cometd_ops.map_async(s.work, max_concurrency=2, ordered=False)
    ],
    "switch_map_async": lambda s: [cometd_ops.switch_map_async(s.work)],
    "exhaust_map_async": lambda s: [cometd_ops.exhaust_map_async(s.work)],
    "ack_after": lambda s: [cometd_ops.ack_after(s.work)],
    "publish_to": lambda s: [cometd_ops.publish_to(s, "/out")],
    "traced": lambda s: [cometd_ops.traced(), cometd_ops.map_async(cometd_ops.traced()(s.work))],
    "decode": lambda s: [cometd_ops.decode(dict), cometd_ops.map_async(s.work)],
    "share": lambda s: [cometd_ops.share(), cometd_ops.switch_map_async(s.work)],
    "last_value": lambda s: [cometd_ops.last_value(), cometd_ops.exhaust_map_async(s.work)],
    "watch_quiet": lambda s: [cometd_ops.watch_quiet(5), cometd_ops.switch_map_async(s.work)],
    "by_channel": lambda s: [
        cometd_ops.by_channel(),
        ops.flat_map(partial(_each, s)),
    ],
    "bounded_buffer": lambda s: [
        cometd_ops.bounded_buffer(),
        ops.do_action(s.begun.append),
        cometd_ops.switch_map_async(s.work),
    ],
    "conflate": lambda s: [
        cometd_ops.conflate(lambda event: event["data"]["payload"]),
        cometd_ops.map_async(s.work),
    ],
    "buffer_bounded": lambda s: [
        cometd_ops.buffer_bounded(2, 5),
        cometd_ops.switch_map_async(s.work),
    ],
    "rate_limit": lambda s: [cometd_ops.rate_limit(1, 0.03), cometd_ops.exhaust_map_async(s.work)],
    "take": lambda s: [ops.take(4), cometd_ops.switch_map_async(s.work)],
}


@pytest.mark.parametrize("merged", [False, True], ids=["one channel", "merged"])
@pytest.mark.parametrize("name", PIPES)
async def test_each_operator_is_waited_for(name: str, *, merged: bool) -> None:
    store, stage = MemoryStore(), Stage()
    async with BayeuxServer(replay=ReplayLog(gaps=(1,))) as server:
        extension = replay(store, initial=ReplayOption.ALL_EVENTS)
        client = client_of(server, extensions=[extension])
        await client.open()
        source: Any = client.channel("/a")
        if merged:
            source = rx.merge(source, client.channel("/b"))
        seen = Recorder(source.pipe(*PIPES[name](stage)))
        arrived = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for number in range(3):
            await server.publish("/a", {"payload": number})
        await arrived.until(lambda: len(arrived.items) == 3)
        await client.drain(10)
        assert seen.completed
        assert stage.done, "nothing was worked on"
        assert stage.done[-1] == stage.begun[-1]
        assert store.load("/a") == 3
        finished = len(stage.done)
        await asyncio.sleep(0.05)
        assert len(stage.done) == finished


@BOTH
async def test_what_the_work_publishes_is_sent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()

        async def answer(event: Event) -> Any:
            await asyncio.sleep(0.01)
            return await client.publish("/out", event["data"])

        seen = Recorder(client.channel("/in").pipe(cometd_ops.map_async(answer)))
        await subscribed(server, "/in")
        for number in range(5):
            await server.publish("/in", number)
        await server.until(lambda: len(requests(server, "/out")) >= 1)
        await client.drain(10)
        assert [m["data"] for m in requests(server, "/out")] == list(range(len(seen.items)))
        assert seen.completed


@BOTH
async def test_a_publish_under_way_gets_its_reply(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        server.faults.delay_replies(0.1, "/a")
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0)
        await client.drain()
        assert (await publishing)["successful"]


async def _receive_slowly(client: Client) -> list[Any]:
    received: list[Any] = []
    async for event in client:
        await asyncio.sleep(0.01)
        received.append(event["data"])
    return received


@BOTH
async def test_the_pull_view_and_iteration_are_drained(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        await client.subscribe("/a")
        iterated: list[Any] = []

        async def iterate() -> None:
            async for event in client.channel("/a").pipe(cometd_ops.to_async_iterable()):
                await asyncio.sleep(0.01)
                iterated.append(event["data"])

        tasks = [asyncio.create_task(_receive_slowly(client)), asyncio.create_task(iterate())]
        arrived = Recorder(client.channel("/a"))
        for number in range(10):
            await server.publish("/a", number)
        await arrived.until(lambda: len(arrived.items) >= 10)
        await client.drain(10)
        assert await tasks[0] == list(range(10))
        await tasks[1]
        assert iterated == list(range(10))


async def test_nothing_new_is_taken() -> None:
    gate = Gate("/a")
    async with BayeuxServer(extensions=[gate]) as server:
        client = client_of(server, max_network_delay=60.0)
        await client.open()
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0)
        draining = asyncio.create_task(client.drain())
        await server.until(lambda: requests(server, "/a"))
        with pytest.raises(ClientInvalidOperation, match="drained"):
            await client.publish("/a", 2)
        with pytest.raises(ClientInvalidOperation, match="drained"):
            await client.subscribe("/b")
        gate.open()
        await draining
        await publishing
        await client.drain()  # a closed client has nothing to drain


async def test_who_tries_again_at_once_lets_the_loop_go_on() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        loop = asyncio.get_running_loop()
        in_this_turn: list[Exception] = []
        most = 0

        def note(error: Exception) -> None:
            nonlocal most
            if not in_this_turn:
                loop.call_soon(in_this_turn.clear)
            in_this_turn.append(error)
            most = max(most, len(in_this_turn))

        tireless = client.channel("/a").pipe(
            ops.do_action(on_error=note), ops.repeat(), ops.retry(1_000)
        )
        subscription = tireless.subscribe(None, lambda _: None)
        await subscribed(server, "/a")
        await client.drain()
        assert most == 1
        subscription.dispose()
        await client.close()


async def test_who_observes_meanwhile_is_refused_in_a_later_turn() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        release = asyncio.Event()
        client.channel("/a").subscribe_async(lambda _: release.wait())
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        draining = asyncio.create_task(client.drain())
        await asyncio.sleep(0)
        refused, left = Recorder(client.channel("/b")), Recorder(client.channel("/b"))
        left.subscription.dispose()
        assert refused.error is None
        assert isinstance(await refused.fails(), ClientInvalidOperation)
        release.set()
        await draining
        assert left.error is None
        assert not requests(server, "/meta/subscribe")[1:]


@pytest.mark.parametrize("turns", range(1, 6))
async def test_cancelling_it_leaves_nothing(turns: int) -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        seen = [Recorder(client.channel(name)) for name in ("/a", "/b")]
        await subscribed(server, "/b")
        draining = asyncio.create_task(client.drain())
        for _ in range(turns):
            await asyncio.sleep(0)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        await client.close()
        assert all(recorder.completed for recorder in seen)


async def test_who_drains_at_the_same_time_waits_for_the_same() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        stage = Stage()
        seen = Recorder(client.channel("/a").pipe(cometd_ops.map_async(stage.work)))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.until(lambda: stage.begun)
        async with asyncio.timeout(30):
            await asyncio.gather(client.drain(), client.drain())
        assert seen.completed
        assert stage.done == stage.begun
        assert client.closed


#: Work that drains its own client.
DRAINING: dict[str, Callable[[Observable[Any], Callable[[Any], Any]], Observable[Any]]] = {
    "map_async": lambda source, drain: source.pipe(cometd_ops.map_async(drain)),
    "switch_map_async": lambda source, drain: source.pipe(cometd_ops.switch_map_async(drain)),
    "map_async, merged": lambda source, drain: rx.merge(source).pipe(cometd_ops.map_async(drain)),
    "switch_map_async, merged": lambda source, drain: rx.merge(source).pipe(
        cometd_ops.switch_map_async(drain)
    ),
}


@pytest.mark.parametrize("name", DRAINING)
async def test_work_cannot_wait_for_itself(name: str) -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        seen = Recorder(DRAINING[name](client.channel("/a"), lambda _: client.drain()))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.until(lambda: seen.error is not None)
        assert isinstance(seen.error, ClientInvalidOperation)
        assert "create_task" in str(seen.error)
        await client.close()


async def test_work_may_have_its_client_drained() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        draining: list[asyncio.Task[None]] = []

        async def stop(_: Event) -> None:
            draining.append(asyncio.create_task(client.drain(10)))
            await asyncio.sleep(0.01)

        seen = Recorder(client.channel("/a").pipe(cometd_ops.map_async(stop)))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.until(lambda: seen.completed)
        await draining[0]
        assert client.closed


async def test_an_iteration_cannot_wait_for_itself() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        publishing = _publish_soon(server, 1)
        async for _ in client.channel("/a"):
            with pytest.raises(ClientInvalidOperation, match="leave that first"):
                await client.drain()
            break
        await publishing
        await client.drain(10)
        assert client.closed


async def test_who_receives_drains_when_nothing_is_left_to_receive() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        await client.subscribe("/a")
        publishing = _publish_soon(server, 2)
        assert (await client.receive())["data"] == 0
        await publishing
        await Recorder(client.messages).until(lambda: client.has_pending_messages)
        with pytest.raises(ClientInvalidOperation, match="leave that first"):
            await client.drain()
        assert not client.closed
        assert (await client.receive())["data"] == 1
        await client.drain(10)
        assert client.closed


def _publish_soon(server: BayeuxServer, count: int) -> asyncio.Task[None]:
    async def publish() -> None:
        await subscribed(server, "/a")
        for number in range(count):
            await server.publish("/a", number)

    return asyncio.create_task(publish())


async def test_a_consumer_that_takes_too_long_is_left() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()

        async def hang(_: Event) -> None:
            await asyncio.sleep(3600)

        seen = Recorder(client.channel("/a").pipe(cometd_ops.map_async(hang)))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        began = time.monotonic()
        with pytest.raises(TransportTimeoutError, match="within"):
            await client.drain(0.1)
        assert time.monotonic() - began < 15
        assert client.closed
        seen.subscription.dispose()


async def _at_once(item: Any) -> Any:
    return item


def _buffered(source: Observable[Any]) -> Observable[Any]:
    return source.pipe(cometd_ops.bounded_buffer())


def _worked_on(source: Observable[Any]) -> Observable[Any]:
    return source.pipe(cometd_ops.map_async(_at_once))


#: Streams of two channels that have ended before the client is drained, with the work of their last
#: item still to be done: no flow leads from the operators behind them to the client.
ENDED: dict[str, Callable[[Observable[Any], Observable[Any], Observable[Any]], Any]] = {
    "merged": lambda a, b, _: rx.merge(a, b).pipe(ops.take(2)),
    "until something else happens": lambda a, b, stop: rx.merge(a, b).pipe(ops.take_until(stop)),
    "with an item of its own": lambda a, b, _: rx.merge(a, b).pipe(
        ops.start_with(None), ops.skip(1), ops.take(2)
    ),
    "subscribed to later": lambda a, b, _: rx.merge(
        rx.timer(0.0).pipe(ops.flat_map(lambda _: a)), b
    ).pipe(ops.take(2)),
    "merged, buffered": lambda a, b, _: _buffered(rx.merge(a, b)).pipe(ops.take(2)),
    "buffered, merged": lambda a, b, _: rx.merge(_buffered(a), _buffered(b)).pipe(ops.take(2)),
    "merged, worked on": lambda a, b, _: _worked_on(rx.merge(a, b)).pipe(ops.take(2)),
    "worked on, merged": lambda a, b, _: rx.merge(_worked_on(a), _worked_on(b)).pipe(ops.take(2)),
    "merged, limited": lambda a, b, _: rx.merge(a, b).pipe(
        cometd_ops.rate_limit(1, 0.01), ops.take(2)
    ),
    "merged, delayed": lambda a, b, _: rx.merge(a, b).pipe(ops.delay(0.01), ops.take(2)),
    "merged, in one list": lambda a, b, _: rx.merge(a, b).pipe(
        cometd_ops.buffer_bounded(2, 5), ops.take(1)
    ),
}

#: Which operators have something to do behind them: with ``FULL_SIZE=1`` each behind each.
STILL_TO_DO = [
    "map_async",
    "map_async, unordered",
    "switch_map_async",
    "exhaust_map_async",
    "ack_after",
    "publish_to",
    "rate_limit",
    "share",
    "bounded_buffer",
    "buffer_bounded",
]
SOME = [
    (ended, name)
    for ended in ENDED
    for name in STILL_TO_DO
    if os.environ.get("FULL_SIZE") or ended == "merged" or name in {"map_async", "switch_map_async"}
]


@pytest.mark.parametrize(("ended", "name"), SOME)
async def test_work_is_waited_for_though_its_stream_has_ended(ended: str, name: str) -> None:
    stage, stop = Stage(), Subject[None]()
    passed, source_ended = list[Any](), asyncio.Event()
    async with BayeuxServer() as server:
        client = client_of(server)
        await client.open()
        seen = Recorder(
            ENDED[ended](client.channel("/a"), client.channel("/b"), stop).pipe(
                ops.do_action(passed.append, on_completed=source_ended.set), *PIPES[name](stage)
            )
        )
        everything = Recorder(client.messages)
        for number, channel in enumerate(("/a", "/b")):
            await subscribed(server, channel)
            await server.publish(channel, {"payload": number})
        await everything.until(lambda: len(everything.items) == 2)
        stop.on_next(None)
        async with asyncio.timeout(30):
            await source_ended.wait()
        assert (passed != [], seen.completed) == (True, False)
        await client.drain(10)
        assert seen.completed
        assert stage.done, "nothing was worked on"
        assert stage.done[-1] == stage.begun[-1]
        finished = len(stage.done)
        await asyncio.sleep(0.05)
        assert len(stage.done) == finished
