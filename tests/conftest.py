"""What the tests of the session layer share: proof that nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from hypothesis import HealthCheck, settings

import rx_cometd
from tests.unit.operators.times import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    import pytest

# A busy machine makes examples slowly, the first ones above all; that is no fault of a test.
settings.register_profile("rx_cometd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rx_cometd")


def _eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: the clock of the loop jumps when it is idle")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of a test.

    Tests marked ``virtual_time`` wait for no clock. Where ``RX_COMETD_EAGER_TASKS`` is set, tasks
    begin at once, as those of applications may.
    """
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": VirtualLoop}
    if os.environ.get("RX_COMETD_EAGER_TASKS"):
        return {"eager": _eager_loop}
    return {"asyncio": asyncio.new_event_loop}


def pytest_collection_finish() -> None:
    """Keep what was imported out of the collections below: they take a tenth of the time then."""
    gc.collect()
    gc.freeze()


def _left(before: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - before - {asyncio.current_task()}


def _ours(tasks: set[asyncio.Task[object]]) -> set[asyncio.Task[object]]:
    """Give the tasks that the library began, but for those of its servers."""
    package = Path(rx_cometd.__file__).parent
    found: set[asyncio.Task[object]] = set()
    for task in tasks:
        coroutine = task.get_coro()
        assert isinstance(coroutine, CoroutineType)
        file = Path(coroutine.cr_code.co_filename)
        if file.is_relative_to(package) and not file.is_relative_to(package / "testing"):
            found.add(task)
    return found


def _threads() -> set[threading.Thread]:
    """Give the threads, but for those of asyncio itself, which looks up names in them."""
    return {
        thread
        for thread in threading.enumerate()
        if not thread.name.startswith(("asyncio_", "asyncio-"))
    }


def _sockets() -> int:
    """Tell how many sockets the loop watches: of connections, and of what listens."""
    loop: Any = asyncio.get_running_loop()
    return len(loop._selector.get_map())


@pytest_asyncio.fixture
async def nothing_left() -> AsyncGenerator[None]:
    """Fail a test that leaves a task, a thread, or an error that nobody took.

    What the library began is gone at once. The other side of a connection, a server of the test or
    a thread of it, learns of the end from the kernel, and has a few seconds for that; so has a
    connection, for with TLS each side says good-bye to the other. Sockets and coroutines tell of
    themselves once collected: warnings are errors here.
    """
    unhandled: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unhandled.append(context))
    before, threads, sockets = asyncio.all_tasks(), _threads(), _sockets()
    yield
    for _ in range(10):  # turns of the loop, for what is done to be gone
        await asyncio.sleep(0)
    assert not _ours(_left(before))
    for _ in range(5000):
        if not _left(before) and _threads() <= threads and _sockets() <= sockets:
            break
        await asyncio.sleep(0.001)
    assert not _left(before)
    assert _threads() <= threads  # one of before may have ended meanwhile
    gc.collect()
    await asyncio.sleep(0)
    assert not unhandled
