"""Without a scheduler, operators that take time go by the loop's clock and start no thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
import reactivex
from reactivex.subject import Subject

from rx_cometd.operators import (
    buffer_bounded,
    dedupe,
    rate_limit,
    retry_with_backoff,
    share,
    watch_quiet,
    window_stats,
)
from tests.unit.operators.times import run_virtually

if TYPE_CHECKING:
    from reactivex import Observable

HOUR = 3600.0


def told_of(operator: Any, *arrivals: tuple[float, Any], until: float = 3 * HOUR) -> list[Any]:
    """Emit items at these times; what is told, and when, in hours."""
    told: list[Any] = []

    async def main() -> None:
        now = asyncio.get_running_loop().time
        source = Subject[Any]()
        result: Observable[Any] = source.pipe(operator)
        with result.subscribe(lambda item: told.append((now() / HOUR, item))):
            for at, item in arrivals:
                await asyncio.sleep(at - now())
                source.on_next(item)
            await asyncio.sleep(until - now())
        assert not set(threading.enumerate()) - threads

    threads = set(threading.enumerate())
    run_virtually(main())
    return told


def test_rate_limit() -> None:
    assert told_of(rate_limit(1, HOUR), (0, "a"), (0, "b"), (60, "c")) == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]


def test_dedupe() -> None:
    told = told_of(dedupe(str, window=HOUR), (0, "a"), (HOUR - 1, "a"), (HOUR, "a"))
    assert told == [(0, "a"), (1, "a")]


def test_buffer_bounded() -> None:
    assert told_of(buffer_bounded(9, HOUR), (0, "a"), (60, "b")) == [(1, ["a", "b"])]


def test_window_stats() -> None:
    told = told_of(window_stats(HOUR), (60, 1.0), (HOUR + 60, 2.0), until=2.5 * HOUR)
    assert [(at, stats.count, stats.last) for at, stats in told] == [(1, 1, 1), (2, 1, 2)]


def test_watch_quiet() -> None:
    begun: list[float] = []

    async def main() -> None:
        def begin(_: object) -> Observable[int]:
            begun.append(asyncio.get_running_loop().time() / HOUR)
            return reactivex.never()

        with reactivex.defer(begin).pipe(watch_quiet(HOUR)).subscribe():
            await asyncio.sleep(5 * HOUR)

    run_virtually(main())
    assert begun == [0, 1]


def test_retry_with_backoff() -> None:
    begun: list[float] = []

    async def main() -> None:
        def begin(_: object) -> Observable[int]:
            begun.append(asyncio.get_running_loop().time())
            return reactivex.throw(OSError())

        with pytest.raises(OSError):
            await reactivex.defer(begin).pipe(retry_with_backoff(3, jitter=0))

    run_virtually(main())
    assert begun == [0, 0.5, 1.5, 3.5]


def test_share() -> None:
    source = Subject[int]()

    async def main() -> None:
        shared = source.pipe(share(linger=HOUR))
        shared.subscribe().dispose()
        await asyncio.sleep(HOUR - 1)
        assert len(source.observers) == 1
        await asyncio.sleep(2)

    run_virtually(main())
    assert source.observers == []
