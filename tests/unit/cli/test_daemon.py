from __future__ import annotations

import asyncio
import threading

import pytest

from rx_cometd.cli.daemon import on_daemon_thread


async def test_work_is_done_elsewhere_and_its_value_given() -> None:
    thread = await on_daemon_thread(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await on_daemon_thread(lambda: 1 // 0)


async def test_a_waiter_that_is_cancelled_leaves_the_work_alone() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        begun.set()
        if go_on.wait(60):
            done.set()

    waiting = asyncio.create_task(on_daemon_thread(work))
    assert await asyncio.to_thread(begun.wait, 30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.to_thread(threads[0].join, 30)
    assert done.is_set()


def test_work_that_ends_after_the_loop_harms_nobody() -> None:
    begun, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        begun.set()
        go_on.wait(60)

    async def main() -> None:
        waiting = asyncio.create_task(on_daemon_thread(work))
        assert await asyncio.to_thread(begun.wait, 30)
        waiting.cancel()

    asyncio.run(main())
    go_on.set()
    threads[0].join(30)
    assert not threads[0].is_alive()
