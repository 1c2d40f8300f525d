"""The client's side of flow control."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from rx_cometd import ClientError, ClientInvalidOperation, ConnectionType, Overflow
from rx_cometd._session.flow_control import FlowControl
from rx_cometd.statistics import BufferStatistics, Counters


class FullBuffer:
    """A buffer with so many messages."""

    def __init__(self, pending_count: int) -> None:
        self.pending_count = pending_count
        self.workers: tuple[asyncio.Task[Any] | None, ...] = ()

    def is_done_by(self, task: asyncio.Task[Any] | None) -> bool:
        return task in self.workers

    def statistics(self) -> BufferStatistics:
        return BufferStatistics("error", 7, self.pending_count, 0, 0, False)


@dataclass
class Agreed:
    """What a handshake led to."""

    connection_type: ConnectionType | None
    acknowledges: bool = False


def make(overflow: Overflow | None = None) -> tuple[FlowControl, Counters]:
    counters = Counters()
    return FlowControl(7, overflow, counters), counters


def test_defaults_are_the_clients() -> None:
    flow, _ = make(Overflow.DROP_OLDEST)
    assert (flow.max_pending_count, flow.overflow) == (7, Overflow.DROP_OLDEST)
    assert make()[0].overflow is None


def test_pending_count_is_of_all_buffers() -> None:
    flow, _ = make()
    first, second = FullBuffer(2), FullBuffer(3)
    assert flow.pending_count == 0
    flow.attach(first)
    flow.attach(second)
    second.pending_count = 5
    assert flow.pending_count == 7
    flow.detach(first)
    flow.detach(first)
    assert flow.pending_count == 5


@pytest.mark.parametrize(
    ("kind", "acknowledges", "lossless"),
    [
        (None, False, False),
        (None, True, False),
        (ConnectionType.LONG_POLLING, False, True),
        (ConnectionType.LONG_POLLING, True, True),
        (ConnectionType.WEBSOCKET, False, False),
        (ConnectionType.WEBSOCKET, True, True),
    ],
)
def test_where_the_server_keeps_the_messages(
    kind: ConnectionType | None, acknowledges: bool, lossless: bool
) -> None:
    flow, _ = make()
    if kind is not None:
        flow.begin_session(Agreed(kind, acknowledges), lambda: None)
    assert flow.lossless is lossless
    refusal = flow.refusal()
    if kind is None or lossless:
        assert refusal is None
    else:
        assert isinstance(refusal, ClientError)
        assert "ack()" in str(refusal)
    flow.suspend(FullBuffer(1))
    assert flow.suspended is lossless


def test_the_connect_is_held_back_until_all_resume() -> None:
    flow, counters = make()
    calls: list[bool] = []
    agreed = Agreed(ConnectionType.LONG_POLLING)
    flow.begin_session(agreed, lambda: calls.append(flow.suspended))
    first, second = FullBuffer(1), FullBuffer(1)
    flow.resume(first)
    for buffer in (first, first, second):
        flow.suspend(buffer)
    assert counters.suspensions == 2
    flow.resume(first)
    assert calls == []
    flow.attach(second)
    flow.detach(second)
    assert calls == [False]
    flow.resume(second)
    assert len(calls) == 1
    flow.end_session(agreed)
    flow.suspend(first)
    assert not flow.suspended
    flow.resume(first)
    assert len(calls) == 1


def test_a_session_is_asked_not_remembered() -> None:
    flow, _ = make()
    session = Agreed(ConnectionType.LONG_POLLING)
    flow.begin_session(session, lambda: None)
    assert flow.lossless
    session.connection_type = ConnectionType.WEBSOCKET
    assert isinstance(flow.refusal(), ClientError)
    flow.end_session(Agreed(ConnectionType.LONG_POLLING))
    assert isinstance(flow.refusal(), ClientError)
    flow.end_session(session)
    assert flow.refusal() is None


def test_drops_are_counted() -> None:
    flow, counters = make()
    flow.dropped(Overflow.DROP_OLDEST)
    flow.dropped(Overflow.DROP_OLDEST)
    flow.dropped(Overflow.ERROR)
    assert counters.drops == 3
    assert counters.drops_by_policy == {"drop_oldest": 2, "error": 1}


async def test_draining_waits_for_buffers_and_for_work_that_is_in_none() -> None:
    flow, _ = make()
    buffer, work = FullBuffer(1), FullBuffer(0)
    await flow.emptied()  # nothing to wait for
    flow.attach(buffer)
    for _ in range(2):
        flow.begin_work(work)
    waiting = asyncio.ensure_future(flow.emptied())
    await asyncio.sleep(0)
    flow.detach(buffer)
    await asyncio.sleep(0)
    assert not waiting.done()
    flow.attach(buffer)  # what follows the first: its end leads to further work
    flow.end_work(work)
    flow.detach(buffer)
    flow.end_work(work)
    await waiting


async def test_no_task_waits_for_what_it_does_itself() -> None:
    flow, _ = make()
    mine = FullBuffer(1)
    mine.workers = (asyncio.current_task(),)
    flow.check_outside()
    for begin, end in ((flow.attach, flow.detach), (flow.begin_work, flow.end_work)):
        begin(mine)
        with pytest.raises(ClientInvalidOperation, match="create_task"):
            flow.check_outside()
        with pytest.raises(ClientInvalidOperation, match="create_task"):
            await flow.emptied()
        waiting = asyncio.create_task(flow.emptied())
        await asyncio.sleep(0)
        end(mine)
        await waiting
