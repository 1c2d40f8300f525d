"""The timer that lets the sockets be read first."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from rx_cometd._transports.timer import Timer

if TYPE_CHECKING:
    from tests.unit.transports.clock import Clock


async def test_in_time() -> None:
    loop = asyncio.get_running_loop()
    fired = asyncio.Event()
    timer = Timer(loop.time() + 0.01, fired.set)
    await asyncio.wait_for(fired.wait(), 30)
    assert timer.late == 0 or timer.late >= 0.1


async def test_after_a_stall_what_came_is_taken_first(clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    order: list[str] = []
    fired = asyncio.Event()

    def fire() -> None:
        order.append("timer")
        fired.set()

    timer = Timer(loop.time() + 60, fire)
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    async def read() -> None:
        order.append((await reader.read(100)).decode())

    reading = asyncio.ensure_future(read())
    await asyncio.sleep(0)
    theirs.send(b"came")
    clock.advance(60.3)  # the stall
    await asyncio.wait_for(fired.wait(), 30)
    await reading
    assert order == ["came", "timer"]
    assert timer.late >= 0.3
    writer.close()
    theirs.close()


async def test_a_timer_can_be_cancelled_while_it_lets_others_go_first(clock: Clock) -> None:
    fired: list[int] = []
    timer = Timer(clock.time() + 60, lambda: fired.append(1))
    await asyncio.sleep(0)
    clock.advance(60.3)  # the stall
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    timer.cancel()
    for _ in range(40):
        await asyncio.sleep(0)
    assert fired == []
