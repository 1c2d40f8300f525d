"""Iterating over an observable: what is pending, who waits, how it ends."""

from __future__ import annotations

import asyncio
import gc

import pytest
from reactivex.subject import Subject

from rx_cometd import BufferOverflowError, Overflow
from rx_cometd._flow.async_iteration import ObservableIterator, iterate
from rx_cometd._flow.delivery import Delivery

pytestmark = pytest.mark.usefixtures("nothing_left")


def over(source: Subject[int], bound: int = 10) -> ObservableIterator[int]:
    return iterate(source, bound, Overflow.ERROR, flow=None)


async def test_what_came_before_it_was_asked_for_is_pending_in_order() -> None:
    source = Subject[int]()
    items = over(source)
    for item in (1, 2, 3):
        source.on_next(item)
    assert items.pending_count == 3
    assert [await anext(items) for _ in range(3)] == [1, 2, 3]
    assert items.pending_count == 0
    await items.aclose()


async def test_who_waits_is_woken_by_an_item_and_one_only_gets_it() -> None:
    source = Subject[int]()
    items = over(source)
    first, second = (asyncio.ensure_future(anext(items)) for _ in range(2))
    await asyncio.sleep(0)
    source.on_next(1)
    done, waiting = await asyncio.wait((first, second), return_when="FIRST_COMPLETED")
    assert [task.result() for task in done] == [1]
    source.on_next(2)
    assert [await task for task in waiting] == [2]
    await items.aclose()


async def test_a_cancelled_wait_loses_nothing() -> None:
    source = Subject[int]()
    items = over(source)
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    source.on_next(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await anext(items) == 1
    await items.aclose()


async def test_an_error_comes_after_what_is_pending_and_once() -> None:
    source = Subject[int]()
    items = over(source)
    source.on_next(1)
    source.on_error(LookupError("source"))
    assert await anext(items) == 1
    with pytest.raises(LookupError, match="source"):
        await anext(items)
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_an_overflow_leaves_the_source_at_once() -> None:
    source = Subject[int]()
    items = over(source, 1)
    source.on_next(1)
    source.on_next(2)
    assert not source.observers
    assert await anext(items) == 1
    with pytest.raises(BufferOverflowError):
        await anext(items)


async def test_closing_ends_those_who_wait_and_forgets_what_is_pending() -> None:
    source = Subject[int]()
    items = over(source)
    waiting = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    await items.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    async with over(source) as others:
        source.on_next(1)
    assert others.pending_count == 0
    with pytest.raises(StopAsyncIteration):
        await anext(others)
    assert not source.observers


async def test_an_iterator_that_nobody_has_any_more_is_disposed_of() -> None:
    source = Subject[int]()
    items = over(source)
    assert len(source.observers) == 1
    del items
    gc.collect()
    assert not source.observers


async def test_an_item_is_processed_when_the_next_one_is_asked_for() -> None:
    source = Subject[int]()
    items = over(source)
    processed: list[int] = []
    for item in (1, 2):
        with Delivery(lambda item=item: processed.append(item)):  # type: ignore[misc]
            source.on_next(item)
    assert await anext(items) == 1
    assert processed == []
    assert await anext(items) == 2
    assert processed == [1]
    await items.aclose()  # the second one was not worked through, as far as is known
    assert processed == [1]
