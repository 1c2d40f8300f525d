"""Operators on channels of a client, where the server is part of what they promise."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, replay
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    Recorder,
    client_of,
    data_of,
    names,
    subscribed,
)

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


@BOTH
async def test_a_silent_channel_is_unsubscribed_and_subscribed_to_anew(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        watched = client.channel("/a").pipe(cometd_ops.watch_quiet(0.05))
        seen = Recorder(watched)
        await server.until(lambda: len(names(server)) == 2, 15.0)
        assert names(server, "/meta/unsubscribe") == ["/a"]
        assert watched.quiet_count == 1
        await subscribed(server, "/a")
        await client.publish("/a", 1)
        assert data_of((await seen.count(1))[0]) == 1
        seen.subscription.dispose()


@BOTH
async def test_a_refused_channel_is_asked_for_again_after_a_delay(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse_subscribe("/a", count=2)
        seen = Recorder(
            client.channel("/a").pipe(
                cometd_ops.retry_with_backoff(3, delays=lambda: iter([0.01, 0.02]))
            )
        )
        await subscribed(server, "/a")
        assert names(server) == ["/a"] * 3
        await client.publish("/a", 1)
        await seen.count(1)
        seen.subscription.dispose()


@BOTH
async def test_a_channel_that_stays_refused_is_an_error_in_the_end(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse_subscribe("/a")
        channel = client.channel("/a").pipe(
            cometd_ops.retry_with_backoff(2, delays=lambda: iter([0.01]))
        )
        await Recorder(channel).fails()
        assert names(server) == ["/a"] * 3


async def test_the_marker_moves_when_the_batch_of_a_message_was_written() -> None:
    store = MemoryStore()
    writing, written = asyncio.Event(), asyncio.Event()

    async def write(batch: list[Any]) -> list[Any]:
        writing.set()
        await written.wait()
        return batch

    async with (
        BayeuxServer(salesforce=True) as server,
        client_of(server, LONG_POLLING, extensions=[replay(store)]) as client,
    ):
        seen = Recorder(
            client.channel("/event/a").pipe(
                cometd_ops.buffer_bounded(2), cometd_ops.map_async(write)
            )
        )
        await subscribed(server, "/event/a")
        for number in range(3):
            await server.publish("/event/a", {"number": number})
        await writing.wait()
        assert store.load("/event/a") is None
        written.set()
        await seen.count(1)
        assert store.load("/event/a") == seen.items[0][1]["data"]["event"]["replayId"]
        seen.subscription.dispose()
