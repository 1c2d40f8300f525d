"""Lanes: what goes beside what, and what waits for what."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd._protocol.outcomes import Lane, Outgoing
from rx_cometd._session.lanes import Lanes
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    Recorder,
    client_of,
    held,
    requests,
    subscribed,
)

if TYPE_CHECKING:
    from rx_cometd import ConnectionType

pytestmark = pytest.mark.usefixtures("nothing_left")


class Road:
    """Where payloads go: each arrives when it is let through."""

    def __init__(self) -> None:
        self.under_way: dict[str, asyncio.Event] = {}
        self.sent: list[str] = []
        self.arrived: list[str] = []
        self.wanted: list[str] = []
        self.failed: list[tuple[str, Exception]] = []
        self.ended: list[Exception] = []
        self.lanes = Lanes(self._send, self._gather, self._fail)

    async def _send(self, outgoing: Outgoing) -> None:
        name = "+".join(str(m.get("id")) for m in outgoing.messages)
        self.sent.append(name)
        gate = self.under_way[name] = asyncio.Event()
        await gate.wait()
        self.arrived.append(name)

    def _fail(self, outgoing: Outgoing, error: Exception) -> None:
        self.failed.append(("+".join(str(m.get("id")) for m in outgoing.messages), error))

    def _gather(self) -> None:
        names, self.wanted = self.wanted, []
        self.put(Lane.ORDINARY, "".join(names))

    def want(self, name: str) -> None:
        self.wanted.append(name)
        self.lanes.gather_soon()

    def put(self, lane: Lane, name: str) -> None:
        self.lanes.put(Outgoing(lane, [{"id": name}], 1.0))

    async def let_through(self, name: str) -> None:
        self.under_way[name].set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_ordinary_payloads_go_one_after_the_other() -> None:
    road = Road()
    for name in "ab":
        road.put(Lane.ORDINARY, name)
        await settle()
    assert road.sent == ["a"]
    await road.let_through("a")
    assert road.sent == ["a", "b"]
    await road.let_through("b")
    road.put(Lane.ORDINARY, "c")
    await settle()
    await road.let_through("c")
    assert road.arrived == ["a", "b", "c"]
    await road.lanes.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_keep_the_lane_open() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not on 3.11
    sent: list[str] = []

    async def send(outgoing: Outgoing) -> None:
        if not sent:  # from within the task that sends, before the lanes know of it
            sent.append("first")
            lanes.put(Outgoing(Lane.ORDINARY, [{"id": "b"}], 1.0))
        sent.extend(str(m["id"]) for m in outgoing.messages)

    lanes = Lanes(send, lambda: None, lambda _, __: None)
    for name in "acd":
        lanes.put(Outgoing(Lane.ORDINARY, [{"id": name}], 1.0))
    assert sent == []
    await settle()
    assert sent == ["first", "a", "c", "d", "b"]
    await lanes.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks_gather_at_the_end_of_the_turn() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not on 3.11
    road = Road()
    for names in ("ab", "cd"):
        for name in names:
            road.want(name)
        await settle()
        await road.let_through(names)
    assert road.arrived == ["ab", "cd"]
    await road.lanes.close()


async def test_what_is_asked_for_in_a_turn_is_gathered_at_its_end() -> None:
    road = Road()
    for names in ("abc", "de"):
        for name in names:
            road.want(name)
            assert names not in road.sent
        await settle()
        assert road.sent[-1] == names
        await road.let_through(names)
    assert road.arrived == ["abc", "de"]
    await road.lanes.close()


async def test_while_the_lane_is_busy_nothing_is_gathered() -> None:
    road = Road()
    road.want("a")
    await settle()
    road.want("b")
    await settle()
    road.want("c")
    await settle()
    assert road.wanted == ["b", "c"]
    asyncio.get_running_loop().call_soon(road.under_way["a"].set)
    for name in "de":  # in the turn in which the lane becomes free, and the one after it
        await asyncio.sleep(0)
        road.want(name)
    await settle()
    assert road.sent == ["a", "bcde"]
    await road.let_through("bcde")
    await road.lanes.close()


async def test_a_batch_holds_back_what_is_to_be_gathered() -> None:
    road = Road()
    road.lanes.hold_batch()
    road.want("a")
    road.lanes.hold_batch()
    await settle()
    road.want("b")
    road.lanes.release_batch()
    await settle()
    assert road.sent == []
    road.lanes.release_batch()
    await settle()
    assert road.sent == ["ab"]
    road.lanes.hold_batch()
    road.want("c")
    await road.let_through("ab")
    assert road.sent == ["ab"]
    road.lanes.release_batch()
    await settle()
    assert road.sent == ["ab", "c"]
    await road.lanes.close()


async def test_what_is_wanted_is_gathered_after_the_resubscribing() -> None:
    road = Road()
    road.put(Lane.RESUBSCRIBE, "subscribes")
    road.want("a")
    await settle()
    assert road.wanted == ["a"]
    await road.let_through("subscribes")
    assert road.sent == ["subscribes", "a"]
    await road.lanes.close()


async def test_nothing_is_gathered_after_closing() -> None:
    road = Road()
    road.want("a")
    await settle()
    await road.let_through("a")
    await road.lanes.close()
    road.want("b")
    await settle()
    assert road.sent == ["a"]


@BOTH
@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_publishes_with_eager_tasks(kind: ConnectionType) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not on 3.11
    async with asyncio.timeout(30), BayeuxServer() as server, client_of(server, kind) as client:
        for number in range(5):
            await client.publish("/a", number)
    assert [m["data"] for m in requests(server, "/a")] == list(range(5))


async def test_what_comes_meanwhile_is_gathered() -> None:
    road = Road()
    for name in "abcd":
        road.put(Lane.ORDINARY, name)
        await settle()
    await road.let_through("a")
    assert road.sent == ["a", "b+c+d"]
    await road.lanes.close()


@pytest.mark.parametrize("lane", [Lane.HANDSHAKE, Lane.CONNECT, Lane.RESUBSCRIBE])
async def test_what_waits_for_nothing(lane: Lane) -> None:
    road = Road()
    road.put(Lane.ORDINARY, "a")
    await settle()
    road.put(lane, "b")
    await settle()
    assert road.sent == ["a", "b"]
    await road.lanes.close()


async def test_ordinary_payloads_do_not_wait_for_a_connect() -> None:
    road = Road()
    road.put(Lane.CONNECT, "connect")
    road.put(Lane.ORDINARY, "a")
    await settle()
    assert sorted(road.sent) == ["a", "connect"]
    await road.lanes.close()


async def test_a_connect_waits_for_the_resubscribing() -> None:
    road = Road()
    road.put(Lane.RESUBSCRIBE, "subscribes")
    road.put(Lane.CONNECT, "connect")
    road.put(Lane.ORDINARY, "a")
    await settle()
    assert road.sent == ["subscribes"]
    await road.let_through("subscribes")
    assert sorted(road.sent[1:]) == ["a", "connect"]
    await road.lanes.close()


async def test_each_connect_waits_for_its_own_resubscribing() -> None:
    road = Road()
    road.put(Lane.RESUBSCRIBE, "first")
    road.put(Lane.CONNECT, "one")
    await settle()
    road.put(Lane.RESUBSCRIBE, "second")
    road.put(Lane.CONNECT, "two")
    await settle()
    assert road.sent == ["first", "second"]
    await road.let_through("first")
    assert road.sent == ["first", "second", "one"]
    await road.let_through("second")
    assert road.sent == ["first", "second", "one", "two"]
    await road.lanes.close()


async def test_a_disconnect_waits_for_what_is_ordinary() -> None:
    road = Road()
    road.put(Lane.CONNECT, "connect")
    road.put(Lane.ORDINARY, "a")
    await settle()
    road.put(Lane.ORDINARY, "b")
    road.put(Lane.DISCONNECT, "disconnect")
    await road.let_through("a")
    assert road.sent[-1] == "b"
    await road.let_through("b")
    assert road.sent[-1] == "disconnect"
    await road.lanes.close()


class Odd(BaseException):
    """What is no `Exception`."""


LANES = pytest.mark.parametrize("lane", list(Lane))


@LANES
@pytest.mark.parametrize("raised", [asyncio.CancelledError, Odd, ValueError])
async def test_a_payload_whose_sending_raises_has_failed(
    lane: Lane, raised: type[BaseException]
) -> None:
    sent: list[str] = []
    failed: list[Exception] = []
    error = raised()

    async def send(outgoing: Outgoing) -> None:
        sent.extend(str(m["id"]) for m in outgoing.messages)
        if sent == ["a"]:
            raise error

    lanes = Lanes(send, lambda: None, lambda _, failure: failed.append(failure))
    lanes.put(Outgoing(lane, [{"id": "a"}], 1.0))
    await settle()
    lanes.put(Outgoing(lane, [{"id": "b"}], 1.0))
    await settle()
    assert sent == ["a", "b"]
    assert len(failed) == 1
    assert error in (failed[0], failed[0].__cause__)
    await lanes.close()


def cancel_all() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if task.get_name().startswith("rx_cometd."):
            task.cancel()


@LANES
async def test_what_somebody_else_cancels_has_failed(lane: Lane) -> None:
    road = Road()
    road.put(lane, "a")
    await settle()
    assert road.sent == ["a"]
    cancel_all()
    await settle()
    assert [name for name, _ in road.failed] == ["a"]
    assert "cancel no tasks but your own" in str(road.failed[0][1])
    road.put(lane, "b")
    await settle()
    await road.let_through("b")
    assert road.arrived == ["b"]
    await road.lanes.close()


async def test_what_waits_for_another_fails_with_its_task_too() -> None:
    road = Road()
    road.put(Lane.RESUBSCRIBE, "r")
    road.put(Lane.CONNECT, "c")
    await settle()
    cancel_all()
    await settle()
    assert sorted(name for name, _ in road.failed) == ["c", "r"]
    await road.lanes.close()


async def test_what_was_wanted_of_a_cancelled_task_is_sent_by_another() -> None:
    road = Road()
    road.want("a")
    await settle()
    road.want("b")
    road.put(Lane.DISCONNECT, "d")
    cancel_all()
    await settle()
    assert road.sent == ["a", "b"]
    await road.let_through("b")
    assert sorted(name for name, _ in road.failed) == ["a", "d"]
    cancel_all()  # while it sleeps
    await settle()
    road.want("c")
    await settle()
    await road.let_through("c")
    assert road.arrived == ["b", "c"]
    await road.lanes.close()


async def test_what_closing_cancels_has_not_failed() -> None:
    road = Road()
    for lane in Lane:
        road.put(lane, lane.value)
    await settle()
    await road.lanes.close()
    assert road.failed == []


async def test_closing_cancels_all() -> None:
    road = Road()
    road.put(Lane.RESUBSCRIBE, "r")
    for lane in (Lane.HANDSHAKE, Lane.CONNECT, Lane.ORDINARY, Lane.ORDINARY, Lane.DISCONNECT):
        road.put(lane, lane.value)
    cancelled: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append("work")
            raise

    task = road.lanes.spawn(work(), "work", road.ended.append)
    await settle()
    await road.lanes.close()
    assert task.cancelled()
    assert cancelled == ["work"]
    assert not road.arrived


async def test_closing_from_within() -> None:
    road = Road()
    done: list[Any] = []

    async def close() -> None:
        await road.lanes.close()
        done.append(True)

    road.lanes.spawn(close(), "close", road.ended.append)
    await settle()
    assert done == [True]


async def test_resubscribing_does_not_wait_for_a_stuck_publish() -> None:
    """What was sent in the session that is lost may hang for as long as it likes."""
    async with (
        BayeuxServer() as server,
        client_of(server, LONG_POLLING, max_network_delay=90.0) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        server.faults.delay_replies(90.0, "/slow", count=1)
        slow = asyncio.create_task(client.publish("/slow", 1))
        await server.until(lambda: requests(server, "/slow"))
        server.faults.forget()
        await server.until(lambda: bool(server.subscribers("/a")), 30.0)
        await server.publish("/a", 1)
        await seen.count(1)
        assert not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
