"""Blocking work that must not keep a command from ending."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["on_daemon_thread"]

_T = TypeVar("_T")


async def on_daemon_thread(work: Callable[[], _T]) -> _T:
    """Do blocking work on a thread of its own, and wait for it.

    The thread is a daemon: a pipe whose reader has stopped, or a terminal at which nobody types,
    must not keep Ctrl-C from ending the process, as the threads of asyncio's executor do. A
    waiter that is cancelled leaves the work to itself.

    Raises:
        Exception: What the work raised.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not done.done():  # or the waiter was cancelled
            outcome()

    def run() -> None:
        try:
            value = work()
        except Exception as error:
            failure = error
            outcome = lambda: done.set_exception(failure)  # noqa: E731 - what is to be called
        else:
            outcome = lambda: done.set_result(value)  # noqa: E731
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="rx-cometd.blocking", daemon=True).start()
    return await done
