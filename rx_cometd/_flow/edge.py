"""Where operators meet the event loop: delivering later, and disposing from anywhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex.disposable import Disposable
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd._flow.observable import running_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import abc

    from rx_cometd._flow.delivery import Hold

__all__ = [
    "TURN",
    "current_loop",
    "deliver",
    "disposable_on",
    "loop_scheduler",
    "report_failure",
    "run_on",
]

TURN = 64
"""Messages handled in one turn of the loop before other tasks get theirs."""

_T = TypeVar("_T")


def deliver(observer: abc.ObserverBase[_T], value: _T, held: Hold | None) -> None:
    """Hand a value on from an asynchronous edge, and release its message if that succeeds.

    An observer that raises hurts itself alone: what it raised goes to its ``on_error``, which
    disposes of the subscription. Without one the error goes on to the caller, so to the event
    loop's exception handler.
    """
    try:
        if held is None:
            observer.on_next(value)
            return
        with held:
            observer.on_next(value)
    except Exception as error:
        observer.on_error(error)
    else:
        held()


def loop_scheduler(scheduler: abc.SchedulerBase | None) -> abc.SchedulerBase:
    """Give the scheduler, or the running loop's, so that time operators start no threads.

    Raises:
        RuntimeError: There is neither a scheduler nor a running event loop.
    """
    return AsyncIOScheduler(running_loop()) if scheduler is None else scheduler


def disposable_on(
    loop: asyncio.AbstractEventLoop | None, dispose: Callable[[], None]
) -> Disposable:
    """Make a disposable that disposes on a loop, at once if called there (or without one)."""
    return Disposable(dispose if loop is None else lambda: run_on(loop, dispose))


def run_on(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Run an action on a loop: at once if called there, else soon; not if it is closed."""
    if current_loop() is loop:
        action()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(action)


def current_loop() -> asyncio.AbstractEventLoop | None:
    """Give the running event loop, ``None`` if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def report_failure(task: asyncio.Task[Any]) -> None:
    """Tell the loop's exception handler at once of what escaped from a task nobody awaits."""
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        task.get_loop().call_exception_handler(
            {
                "message": f"unhandled exception in {task.get_name()}",
                "exception": error,
                "task": task,
            }
        )
