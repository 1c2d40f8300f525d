"""The end of a stream, and who is told of what is left to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from reactivex import Observer

from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.ending import act_on_behalf_of, ending_for, on_behalf_of, tell_end
from tests.unit.operators.flows import LocalFlow

if TYPE_CHECKING:
    from rx_cometd._flow.flow import Flow


@pytest.mark.parametrize("error", [None, LookupError("gone")], ids=["completed", "failed"])
def test_an_observer_is_told_how_a_stream_ended(error: Exception | None) -> None:
    told: list[object] = []
    observer = Observer[int](None, told.append, lambda: told.append(None))
    tell_end(observer, error)
    assert told == [error]


def test_what_ends_by_itself_is_waited_for_by_nobody() -> None:
    told: list[object] = []
    tell_end(Observer[int](on_completed=lambda: told.append(on_behalf_of())), None)
    assert told == [None]


def test_the_end_carries_the_client_that_waits() -> None:
    told: list[object] = []
    flow: Flow = LocalFlow()
    tell_end(Observer[int](on_completed=lambda: told.append(on_behalf_of())), None, flow)
    assert told == [flow]
    assert on_behalf_of() is None
    with ending_for(flow):
        tell_end(Observer[int](on_completed=lambda: told.append(on_behalf_of())), None)
    assert told == [flow, flow]


def test_a_buffer_that_knows_no_client_joins_the_one_that_waits() -> None:
    flow = LocalFlow()
    waiting, idle, known = (
        MessageBuffer[int](),
        MessageBuffer[int](),
        MessageBuffer[int](flow=cast("Flow", LocalFlow())),
    )
    for buffer in (waiting, known):
        buffer.offer(1)
    with ending_for(flow):
        for buffer in (waiting, idle, known):
            buffer.complete()
    assert flow.attached == [waiting]
    assert known.client is flow
    assert waiting.take_nowait() == 1
    assert flow.attached == []


async def test_what_a_message_leads_to_is_done_on_behalf_of_its_client() -> None:
    flow: Flow = LocalFlow()

    async def session() -> Flow | None:
        act_on_behalf_of(flow)
        return await asyncio.create_task(led_to())

    async def led_to() -> Flow | None:
        await asyncio.sleep(0)
        return on_behalf_of()

    assert await asyncio.create_task(session()) is flow
    assert on_behalf_of() is None


def test_a_buffer_remembers_whose_messages_it_has() -> None:
    flow = LocalFlow()
    buffer = MessageBuffer[int]()
    with ending_for(flow):
        buffer.offer(1)
    assert flow.attached == []
    buffer.complete()  # not by the client
    assert flow.attached == [buffer]
    assert buffer.take_nowait() == 1
    assert flow.attached == []
