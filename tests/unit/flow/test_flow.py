"""How a buffer finds the client that its messages come from."""

from __future__ import annotations

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import ConnectionType, Overflow
from rx_cometd import operators as cometd_ops
from rx_cometd._flow.flow import flow_of
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, data_of, subscribed

pytestmark = pytest.mark.usefixtures("nothing_left")


def test_all_that_a_client_gives_has_its_flow() -> None:
    client = client_of("http://127.0.0.1:9/", max_pending_count=7, overflow=Overflow.DROP_NEWEST)
    channel = client.channel("/a")
    flow = flow_of(channel)
    assert flow is not None
    assert (flow.max_pending_count, flow.overflow) == (7, Overflow.DROP_NEWEST)
    for source in (client.channel("/b/*"), client.messages, client.meta("/meta/connect")):
        its = flow_of(source)
        assert its is not None
        assert (its.max_pending_count, its.overflow) == (7, Overflow.DROP_NEWEST)
    own = channel.pipe(cometd_ops.data(), cometd_ops.bounded_buffer())
    assert flow_of(own) is flow
    assert flow_of(channel.pipe(ops.map(data_of))) is flow
    assert flow_of(rx.of(1)) is None
    assert flow_of(client_of("http://127.0.0.1:9/").channel("/a")) is not flow


@BOTH
async def test_buffers_count_as_the_clients(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder()
        source = client.channel("/a").pipe(cometd_ops.bounded_buffer())
        subscription = source.subscribe(seen)
        await subscribed(server, "/a")
        await client.subscribe("/a")
        for i in range(5):
            await server.publish("/a", i)
        await seen.count(5)
        assert client.pending_count == 5
        subscription.dispose()
        assert data_of(await client.receive()) == 0
        assert client.pending_count == 4


async def test_what_the_client_says_is_the_default() -> None:
    async with (
        BayeuxServer() as server,
        client_of(
            server,
            ConnectionType.WEBSOCKET,
            max_pending_count=2,
            overflow=Overflow.DROP_OLDEST,
        ) as client,
    ):
        iterable = client.channel("/a").pipe(cometd_ops.data(), cometd_ops.to_async_iterable())
        values = aiter(iterable)
        await subscribed(server, "/a")
        for i in range(5):
            await client.publish("/a", i)
        assert client.pending_count == 2
        assert client.statistics().drops == 3
        found = [await anext(values), await anext(values)]
        await values.aclose()
        assert found == [3, 4]
        assert client.pending_count == 0
