"""A thousand channels at once, and ten thousand after a restart."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx

from rx_cometd.states import ClientState
from tests.conformance.observing import Seen, States, data_of, eventually

if TYPE_CHECKING:
    from tests.conformance.conftest import MakeClient
    from tests.conformance.serving import Server


async def test_a_thousand_in_one_payload(
    server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenario 68 (starred), at scale: 1,000 subscribes in one turn travel in one payload, and
    as many unsubscribes."""
    async with make_client(server, max_network_delay=30.0) as client:
        await server.control("reset_counters")
        names = [f"{channel}/{number}" for number in range(1000)]
        seen: Seen[Any] = Seen(rx.merge(*map(client.channel, names)))
        await eventually(lambda: len(client.subscriptions) == 1000)
        counters = await server.counters()
        assert counters["subscribed_channels"] == 1000
        assert counters["subscribe_payloads"] == 1
        await server.control("publish", channel=names[-1], data="here")
        assert data_of(await seen.count(1)) == ["here"]
        await server.control("reset_counters")
        seen.dispose()
        await eventually(lambda: unsubscribed(server, 1000))
        counters = await server.counters()
        assert counters["payloads"] - counters["connects"] == 1


async def unsubscribed(server: Server, count: int) -> bool:
    return (await server.counters())["unsubscribes"] == count


@pytest.mark.timeout(240)
async def test_ten_thousand_after_a_restart(
    own_server: Server, make_client: MakeClient, channel: str
) -> None:
    """Scenarios 28 and 63 (starred), at scale: 10,000 channels are resubscribed in one payload
    after a restart, before the connect that would bring their messages."""
    count = 10_000
    client = make_client(own_server, connection_timeout=90.0, max_network_delay=60.0)
    async with client:
        names = [f"{channel}/{number}" for number in range(count)]
        seen: list[Any] = []
        for name in names:
            client.channel(name).subscribe(seen.append)
        await eventually(lambda: len(client.subscriptions) == count, timeout=60)
        states = States(client)
        await own_server.restart()
        await states.reach(ClientState.CONNECTED, timeout=60)
        await eventually(lambda: len(client.subscriptions) == count, timeout=60)
        counters = await own_server.counters()
        assert counters["subscribed_channels"] == count
        assert counters["subscribe_payloads"] == 1
        for name in itertools.islice(names, 0, count, 2500):
            await client.publish(name, name)
        await eventually(lambda: len(seen) == 4)
        assert [message["data"] for message in seen] == names[::2500]
