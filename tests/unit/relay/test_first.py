"""Several works at the same time, until the first has ended."""

from __future__ import annotations

import asyncio

import pytest

from rx_cometd.relay.first import until_first


async def _forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("cancelled")


async def test_the_others_are_cancelled_before_it_returns() -> None:
    ended: list[str] = []
    await until_first(asyncio.sleep(0), _forever(ended))
    assert ended == ["cancelled"]


async def test_an_error_is_raised_as_it_is() -> None:
    async def fail() -> None:
        raise BrokenPipeError

    ended: list[str] = []
    with pytest.raises(BrokenPipeError):
        await until_first(_forever(ended), fail())


async def test_a_future_goes_on() -> None:
    future = asyncio.get_running_loop().create_future()
    await until_first(future, asyncio.sleep(0))
    assert not future.done()
    future.cancel()


async def test_cancelling_it_cancels_the_works() -> None:
    ended: list[str] = []
    waiting = asyncio.create_task(until_first(_forever(ended), _forever(ended)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["cancelled", "cancelled"]
