"""The link is cut at random points, with requests under way: each has one end, streams go on.

``FULL_SIZE=1`` makes it 1,000 cuts over each transport of each server; the figures are in
`docs/proofs.md`.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import TransportError
from rx_cometd.extensions import ack
from rx_cometd.states import ClientState
from tests.conformance.observing import Seen, States, confirmed, data_of, eventually, numbers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Client
    from rx_cometd.testing import FaultProxy
    from tests.conformance.conftest import MakeClient, StartProxy
    from tests.conformance.differences import Target
    from tests.conformance.serving import Server

FULL_SIZE = bool(os.environ.get("FULL_SIZE"))
CUTS = 1000 if FULL_SIZE else 12
#: Seconds in which the first message comes after `reconnect_now`, and without it, in the median. In
#: a run of the whole suite it is the machine that is late.
AT_ONCE, BY_DEFAULT = (0.1, 1.5) if FULL_SIZE else (3.0, 8.0)
MAX_NETWORK_DELAY = 2.0


class Cuts:
    """A client whose link is cut, again and again, and what became of its requests.

    Attributes:
        published: The outcome of each publish: whether its reply came.
        called: The same of each call.
        longest: Seconds that the slowest of them took.
    """

    def __init__(
        self, client: Client, server: Server, proxy: FaultProxy, channel: str, seed: int
    ) -> None:
        self._client, self._server, self._proxy = client, server, proxy
        self._dice = random.Random(seed)
        self._channel = channel
        self._seen: Seen[Any] = Seen(client.channel(channel))
        self._states = States(client)
        self.requests: list[asyncio.Task[None]] = []
        self.published: dict[int, bool] = {}
        self.called: dict[int, bool] = {}
        self.longest = 0.0

    @property
    def seen(self) -> list[Any]:
        return data_of(self._seen.items)

    async def cut(self, number: int, *, at_once: bool) -> float:
        """Cut the link with requests under way.

        Returns:
            How many seconds after the cut the first message came.
        """
        await self._states.until(lambda: self._client.state is ClientState.CONNECTED)
        await asyncio.sleep(self._dice.uniform(0, 0.02))  # at any point of what the link does
        for _ in range(self._dice.randint(1, 4)):
            self._begin()
        # Before, while or after they are sent, and before or after their replies.
        await asyncio.sleep(self._dice.choice([0, 0, 0.0005, 0.002, 0.005]))
        began = await self._break()
        published = asyncio.ensure_future(
            self._server.control("publish", channel=self._channel, data=number)
        )
        if at_once and self._client.state is not ClientState.CONNECTED:
            self._client.reconnect_now()
        await self._seen.count(number + 1, timeout=30)
        await published
        return self._seen.times[-1] - began

    async def _break(self) -> float:
        """Cut in a way chosen at random; gives when."""
        ways: list[Callable[[], object]] = [
            self._proxy.cut,
            lambda: self._proxy.cut(reset=False),
            # In the middle of what is sent, or of what comes back.
            lambda: self._proxy.requests.truncate(self._dice.randrange(600)),
            lambda: self._proxy.replies.truncate(self._dice.randrange(600)),
        ]
        began = time.monotonic()
        changes = len(self._states.items)
        self._dice.choice(ways)()
        if not await self._noticed(changes):
            # Too few bytes passed for that, or they were not those of the connect.
            self._proxy.clear()
            began = time.monotonic()
            self._proxy.cut()
            await self._noticed(changes)
        self._proxy.clear()
        return began

    async def _noticed(self, changes: int) -> bool:
        """Wait for the client to notice; it does not, where no connect is under way."""
        with suppress(AssertionError):
            await self._states.until(lambda: len(self._states.items) > changes, timeout=0.2)
            return True
        return False

    def _begin(self) -> None:
        number = len(self.requests)
        request = self._publish if self._dice.random() < 0.6 else self._call
        self.requests.append(asyncio.create_task(request(number)))

    async def _publish(self, number: int) -> None:
        began = time.monotonic()
        try:
            reply = await self._client.publish(f"{self._channel}/requests", {"n": number})
            assert reply["successful"]
            self.published[number] = True
        except TransportError:
            self.published[number] = False
        self.longest = max(self.longest, time.monotonic() - began)

    async def _call(self, number: int) -> None:
        began = time.monotonic()
        try:
            reply = await self._client.call("/service/echo", {"n": number})
            assert reply["data"] == {"n": number}
            self.called[number] = True
        except TransportError:
            self.called[number] = False
        self.longest = max(self.longest, time.monotonic() - began)


@pytest.mark.timeout(1800 if FULL_SIZE else 120)
@pytest.mark.needs("ack", "remote_call")
async def test_the_first_message_after_a_cut(
    target: Target,
    server: Server,
    make_client: MakeClient,
    start_proxy: StartProxy,
    channel: str,
) -> None:
    """Scenarios 58 and 60 at full size: a link that is back brings messages soon by default, and
    at once by `reconnect_now`; each request that was under way has one end, nothing is sent twice,
    and what the server says that it did, it did."""
    proxy = await start_proxy(server)
    witness = make_client(server)
    client = make_client(
        proxy,
        extensions=[ack(deduplicate=True)],
        backoff=None,
        connection_timeout=None,
        max_network_delay=MAX_NETWORK_DELAY,
    )
    async with witness, client:
        arrived: Seen[Any] = Seen(witness.channel(f"{channel}/requests"))
        cuts = Cuts(client, server, proxy, channel, seed=1)
        await confirmed(client, channel)
        await confirmed(witness, f"{channel}/requests")
        session = client.client_id
        await server.control("reset_counters")
        times: dict[bool, list[float]] = {False: [], True: []}
        for number in range(CUTS):
            at_once = number % 2 == 1
            times[at_once].append(await cuts.cut(number, at_once=at_once))
        await asyncio.wait_for(asyncio.gather(*cuts.requests), 30)
        counters = await server.counters()
        await witness.publish(f"{channel}/requests", {"n": -1})
        await eventually(lambda: -1 in numbers_of(arrived.items))

        report(target, times, cuts, client)
        assert cuts.seen == list(range(CUTS))
        assert client.client_id == session
        assert client.statistics().reconnects > CUTS * 0.8
        assert len(cuts.published) + len(cuts.called) == len(cuts.requests)
        numbers = numbers_of(arrived.items)
        assert len(numbers) == len(set(numbers)), "published twice"
        done = {number for number, came in cuts.published.items() if came}
        assert done <= set(numbers) <= {-1, *cuts.published}
        assert counters["publishes"] <= len(cuts.requests), "sent twice"
        assert statistics.median(times[False]) < BY_DEFAULT
        assert statistics.median(times[True]) < AT_ONCE


def report(target: Target, times: dict[bool, list[float]], cuts: Cuts, client: Client) -> None:
    """Print the figures, for the documentation."""
    outcomes = [*cuts.published.values(), *cuts.called.values()]
    default, at_once = (
        f"{statistics.median(found):.3f} s (the longest {max(found):.2f} s)"
        for found in (times[False], times[True])
    )
    print(
        f"\n{target}: {CUTS} cuts, {client.statistics().reconnects} reconnects; first message "
        f"after {default}, by reconnect_now() {at_once}; {len(outcomes)} requests, "
        f"{sum(outcomes)} answered, {len(outcomes) - sum(outcomes)} failed, "
        f"the longest {cuts.longest:.2f} s"
    )
