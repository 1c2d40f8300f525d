"""What a publish costs from the call to its reply: function calls, timers and tasks.

Counted and not timed, as in `test_inbound_cost`, and over a WebSocket that is open.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import Extension
from rx_cometd.testing import BayeuxServer
from tests.integration.client.test_inbound_cost import Calls
from tests.integration.client_driver import LONG_POLLING, WEBSOCKET, client_of, held

if TYPE_CHECKING:
    from rx_cometd import Client, ConnectionType, Payload

PUBLISHES = 400


async def publish(client: Client, count: int, at_once: int) -> None:
    """Publish so many messages, of which some wait for their replies at a time."""

    async def one_by_one() -> None:
        for number in range(count // at_once):
            await client.publish("/a", number)

    await asyncio.gather(*(one_by_one() for _ in range(at_once)))


@pytest.mark.parametrize(
    ("at_once", "most"),
    [pytest.param(1, 112, id="one by one"), pytest.param(200, 55, id="200 at a time")],
)
async def test_calls_per_publish(at_once: int, most: float) -> None:
    async with BayeuxServer() as server, client_of(server, WEBSOCKET) as client:
        await held(server)
        await publish(client, at_once, at_once)
        with Calls() as calls:
            await publish(client, PUBLISHES, at_once)
    assert calls.count / PUBLISHES <= most


class Scheduled:
    """Counts the timers and tasks that a loop is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timers = self.tasks = 0
        loop = asyncio.get_running_loop()
        call_at, create_task = loop.call_at, loop.create_task

        def counted_call_at(*arguments: Any, **named: Any) -> asyncio.TimerHandle:
            self.timers += 1
            return call_at(*arguments, **named)

        def counted_create_task(*arguments: Any, **named: Any) -> asyncio.Task[Any]:
            self.tasks += 1
            return create_task(*arguments, **named)

        monkeypatch.setattr(loop, "call_at", counted_call_at)
        monkeypatch.setattr(loop, "create_task", counted_create_task)


async def test_neither_timer_nor_task_is_made_for_a_publish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with BayeuxServer() as server, client_of(server, WEBSOCKET) as client:
        await held(server)
        await publish(client, 1, 1)
        scheduled = Scheduled(monkeypatch)
        await publish(client, PUBLISHES, 1)
        # The server is in the same loop: its timer is not ours, nor is that of late replies one for
        # each, and both go off now and then on a machine that takes seconds for this.
        assert scheduled.timers <= PUBLISHES // 10
        assert scheduled.tasks == 1  # of `gather`


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        pytest.param(WEBSOCKET, 1, id="websocket"),
        # What was published while a request was under way is one payload.
        pytest.param(LONG_POLLING, 4, id="long-polling"),
    ],
)
async def test_what_is_published_together_travels_together(
    kind: ConnectionType, rounds: int
) -> None:
    payloads: list[int] = []

    def count(payload: Payload) -> None:
        payloads.append(sum(message["channel"] == "/a" for message in payload.messages))

    counting = Extension.of(outbound=ops.do_action(count))
    async with BayeuxServer() as server, client_of(server, kind, extensions=[counting]) as client:
        await held(server)
        await publish(client, 100 * rounds, 100)
    assert [count for count in payloads if count] == [100] * rounds
