"""What a client tells of its channels."""

from __future__ import annotations

import asyncio
import json

import pytest

from rx_cometd import ConnectionType, Overflow
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, replay
from rx_cometd.testing import BayeuxServer, ReplayLog
from tests.integration.client_driver import BOTH, Recorder, client_of, subscribed

pytestmark = pytest.mark.usefixtures("nothing_left")


@BOTH
async def test_messages_are_counted_by_channel_only_within_the_block(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/stock/*"))
        await subscribed(server, "/stock/*")
        await client.publish("/stock/a", "not counted")
        await seen.count(1)
        assert client.channel_statistics() == {}
        with client.counting_channels():
            await client.publish("/stock/a", "x" * 1000)
            await client.publish("/stock/a", "x" * 1000)
            await client.publish("/stock/b", 1)
            await seen.count(4)
            told = client.channel_statistics()
        assert {name: told[name].messages for name in told} == {"/stock/a": 2, "/stock/b": 1}
        assert 2000 <= told["/stock/a"].bytes < 3000
        age, rate = told["/stock/a"].age, told["/stock/a"].rate
        assert age is not None
        assert 0 <= age < 60
        assert rate > 0
        assert client.channel_statistics() == {}
        statistics = client.statistics()
        assert statistics.last_event is not None
        assert statistics.last_seen is not None
        assert statistics.last_event <= statistics.last_seen


async def never(_: object) -> None:
    await asyncio.get_running_loop().create_future()


@BOTH
async def test_buffers_are_told_with_their_policy(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        slow = client.channel("/a").pipe(
            cometd_ops.bounded_buffer(2, Overflow.DROP_OLDEST),
            cometd_ops.map_async(never),
        )
        subscription = slow.subscribe(lambda _: None)
        await subscribed(server, "/a")
        with client.batch():
            sent = [asyncio.ensure_future(client.publish("/a", n)) for n in range(10)]
            await asyncio.sleep(0)
        await asyncio.gather(*sent)
        await seen.count(10)
        by_policy = {told.policy: told for told in client.channel_statistics()["/a"].buffers}
        first = by_policy.pop("drop_oldest")
        (second,) = by_policy.values()
        assert first.max_pending_count == 2
        assert first.drops > 0
        assert first.pending + first.drops + second.pending <= 10
        assert second.policy in {"error", "suspend"}
        statistics = client.statistics()
        assert statistics.drops_by_policy.get("drop_oldest", 0) == first.drops == statistics.drops
        assert statistics.pending == client.pending_count
        json.dumps([told.as_dict() for told in client.channel_statistics().values()])
        json.dumps(statistics._asdict())
        subscription.dispose()
        assert client.channel_statistics() == {}


@BOTH
async def test_a_marker_that_stands_still_has_an_age(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(replay=ReplayLog()) as server,
        client_of(server, kind, extensions=[replay(MemoryStore())]) as client,
    ):
        begun, may_go = asyncio.Event(), asyncio.Event()

        async def work(_: object) -> None:
            begun.set()
            await may_go.wait()

        done = Recorder(client.channel("/event/E__e").pipe(cometd_ops.map_async(work)))
        await subscribed(server, "/event/E__e")
        assert client.channel_statistics()["/event/E__e"].marker_age == 0
        await server.publish("/event/E__e", {"event": {"replayId": 1}})
        await begun.wait()
        age = client.channel_statistics()["/event/E__e"].marker_age
        assert age is not None
        assert 0 < age < 60
        may_go.set()
        await done.count(1)
        assert client.channel_statistics()["/event/E__e"].marker_age == 0


@BOTH
async def test_links_regained_are_told_apart(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        before = client.client_id
        server.faults.forget()
        states = Recorder(client.state_changes)
        await states.until(lambda: client.client_id not in {before, None})
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        await seen.count(1)
        assert (client.statistics().reconnects, client.statistics().resumed) == (1, 0)
