"""Callers that wait."""

from __future__ import annotations

import asyncio

import pytest

from rx_cometd._session.waiters import Waiters

pytestmark = pytest.mark.usefixtures("nothing_left")


async def waiting(waiters: Waiters[int], *keys: str) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(waiters.wait(key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_for_a_key_are_told() -> None:
    waiters: Waiters[int] = Waiters()
    first, second, other = await waiting(waiters, "a", "a", "b")
    told = asyncio.gather(first, second)
    assert len(waiters) == 2
    waiters.settle("a", 1)
    assert sum(await told) == 2
    assert not other.done()
    waiters.settle("b", 2)
    assert await other == 2
    assert len(waiters) == 0


async def test_a_key_is_settled_for_those_who_wait_then() -> None:
    waiters: Waiters[int] = Waiters()
    waiters.settle("a", 1)
    (task,) = await waiting(waiters, "a")
    assert not task.done()
    waiters.settle("a", 2)
    assert await task == 2


async def test_errors() -> None:
    waiters: Waiters[int] = Waiters()
    tasks = await waiting(waiters, "a", "a", "b")
    waiters.fail("a", LookupError("one"))
    waiters.fail_all(ValueError("rest"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(o) for o in outcomes] == ["one", "one", "rest"]
    waiters.fail("a", LookupError("nobody"))
    assert len(waiters) == 0


async def test_cancelled_ones_do_no_harm() -> None:
    waiters: Waiters[int] = Waiters()
    gone, stays = await waiting(waiters, "a", "a")
    gone.cancel()
    waiters.settle("a", 1)
    assert await stays == 1
    assert (await asyncio.gather(gone, return_exceptions=True))[0] is not None
    (alone,) = await waiting(waiters, "b")
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    assert len(waiters) == 0


async def test_one_cancelled_at_the_moment_of_a_failure() -> None:
    waiters: Waiters[int] = Waiters()
    (task,) = await waiting(waiters, "a")
    task.cancel()
    waiters.fail("a", LookupError())
    assert task.cancelling()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)
