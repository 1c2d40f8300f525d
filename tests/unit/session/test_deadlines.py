"""Deadlines: one timer for any number of payloads."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rx_cometd._session.deadlines import Deadline, Deadlines

pytestmark = pytest.mark.usefixtures("nothing_left")


class Watch:
    """Keeps the deadlines that passed."""

    def __init__(self) -> None:
        self.passed: list[Deadline] = []
        self.answered: set[str] = set()
        self._told = asyncio.Event()
        self.deadlines = Deadlines(self._expired, self._are_awaited)

    def _are_awaited(self, request_ids: tuple[str, ...]) -> bool:
        return not self.answered.issuperset(request_ids)

    def _expired(self, deadline: Deadline) -> None:
        self.passed.append(deadline)
        self._told.set()

    async def count(self, count: int) -> list[tuple[str, ...]]:
        async with asyncio.timeout(30):
            while len(self.passed) < count:
                self._told.clear()
                await self._told.wait()
        return [deadline.request_ids for deadline in self.passed]


@pytest.mark.virtual_time  # so that no stall between two of them changes their order
async def test_they_pass_in_the_order_of_their_times() -> None:
    watch = Watch()
    watch.deadlines.add(("late",), 0.03)
    watch.deadlines.add(("early",), 0.01)
    watch.deadlines.add(("same", "payload"), 0.01)
    watch.deadlines.add(("middle",), 0.02)
    order = await watch.count(4)
    assert order == [("early",), ("same", "payload"), ("middle",), ("late",)]


async def test_when() -> None:
    watch = Watch()
    loop = asyncio.get_running_loop()
    started = loop.time()
    watch.deadlines.add(("a",), 0.02, extended=True)
    added = loop.time()
    await watch.count(1)
    (deadline,) = watch.passed
    assert started + 0.02 <= deadline.at <= added + 0.02
    assert deadline.at <= loop.time()
    assert deadline.extended


async def test_adding_while_one_passes() -> None:
    watch = Watch()

    def add_again(deadline: Deadline) -> None:
        again.add(deadline.request_ids, 0.0)

    again = Deadlines(add_again, bool)
    again.add(("x",), 0.0)
    watch.deadlines.add(("a",), 0.005)
    await watch.count(1)
    again.clear()


async def test_cleared_ones_do_not_pass() -> None:
    watch = Watch()
    watch.deadlines.add(("a",), 0.0)
    watch.deadlines.clear()
    watch.deadlines.clear()
    watch.deadlines.add(("b",), 0.005)
    assert await watch.count(1) == [("b",)]


async def test_clearing_while_one_passes() -> None:
    passed: list[Deadline] = []

    def clear(deadline: Deadline) -> None:
        passed.append(deadline)
        deadlines.clear()

    deadlines = Deadlines(clear, bool)
    for _ in range(3):
        deadlines.add(("a",), 0.0)
    watch = Watch()
    watch.deadlines.add(("later",), 0.005)
    await watch.count(1)
    assert len(passed) == 1


async def test_what_is_answered_is_forgotten() -> None:
    watch = Watch()
    watch.deadlines.add(("a", "b"), 0.005)
    watch.answered.add("a")
    watch.deadlines.add(("c",), 0.01)
    watch.answered.update(("b", "c"))
    watch.deadlines.add(("d",), 0.02)
    assert await watch.count(1) == [("d",)]
    assert watch.passed[0].at <= asyncio.get_running_loop().time()


async def test_timers_are_not_set_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    times: list[float] = []

    def counted(when: float, *rest: Any, **named: Any) -> asyncio.TimerHandle:
        times.append(when)
        return call_at(when, *rest, **named)

    monkeypatch.setattr(loop, "call_at", counted)
    watch = Watch()
    for n in range(100):
        watch.deadlines.add((str(n),), 5.0)
        watch.answered.add(str(n))
    assert len(times) == 1
    watch.deadlines.add(("sooner",), 0.005)
    assert len(times) == 2
    assert await watch.count(1) == [("sooner",)]
    watch.deadlines.clear()
