"""Where operators meet the event loop: scheduling, delivering later, from and to any thread."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.scheduler.periodicscheduler import PeriodicScheduler

from rx_cometd._protocol.user_functions import ends_program, failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from reactivex import Observable, abc, typing

    from rx_cometd._flow.delivery import Hold

__all__ = [
    "TURN",
    "LoopScheduler",
    "clock_of",
    "current_loop",
    "deliver",
    "disposable_on",
    "drain_scheduler",
    "failure_of_awaited",
    "is_over",
    "is_own_cancellation",
    "loop_scheduler",
    "report_failure",
    "run_on",
    "running_loop",
    "subscribe_on_loop",
    "task_on",
]

TURN = 64
"""Messages handled in one turn of the loop before other tasks get theirs."""

_T = TypeVar("_T")


class LoopScheduler(PeriodicScheduler):
    """Does what ReactiveX does on its default schedulers, without their threads.

    Work without a delay is done at once, on the trampoline of the current thread, as operators
    do it when they are given no scheduler. ``retry`` and ``repeat`` depend on that: a turn of
    the loop later, the rest of the payload that is being delivered would be lost to them.
    Timed work is done by the event loop. What is scheduled on another thread is handed over.

    Args:
        loop: The event loop that runs on this thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._thread = threading.get_ident()

    @property
    def turns(self) -> abc.SchedulerBase:
        """A scheduler that does everything in a later turn of the loop, immediate work too."""
        return AsyncIOScheduler(self._loop)

    def schedule(
        self, action: typing.ScheduledAction[_T], state: _T | None = None
    ) -> abc.DisposableBase:
        """Do work at once, or after the immediate work that is being done."""
        if threading.get_ident() != self._thread:
            return self._hand_over(lambda: self.schedule(action, state))
        return CurrentThreadScheduler.singleton().schedule(self._own(action), state)

    def schedule_relative(
        self,
        duetime: typing.RelativeTime,
        action: typing.ScheduledAction[_T],
        state: _T | None = None,
    ) -> abc.DisposableBase:
        """Do work on the loop, after some time; without a delay in a later turn."""
        if threading.get_ident() != self._thread:
            return self._hand_over(lambda: self.schedule_relative(duetime, action, state))
        timer = AsyncIOScheduler(self._loop).schedule_relative(duetime, self._own(action), state)
        return disposable_on(self._loop, timer.dispose)

    def schedule_absolute(
        self,
        duetime: typing.AbsoluteTime,
        action: typing.ScheduledAction[_T],
        state: _T | None = None,
    ) -> abc.DisposableBase:
        """Do work on the loop, at some time."""
        return self.schedule_relative(self.to_datetime(duetime) - self.now, action, state)

    def time(self) -> float:
        """Give the loop's time in seconds, which never jumps, as the time of day in `now` may."""
        return self._loop.time()

    def _own(self, action: typing.ScheduledAction[_T]) -> typing.ScheduledAction[_T]:
        # What an action schedules in turn, it schedules with the scheduler that it is given.
        def work(_: abc.SchedulerBase, state: _T | None = None) -> abc.DisposableBase | None:
            return action(self, state)

        return work

    def _hand_over(self, schedule: Callable[[], abc.DisposableBase]) -> abc.DisposableBase:
        scheduled = SingleAssignmentDisposable()

        def here() -> None:
            if not scheduled.is_disposed:
                scheduled.disposable = schedule()

        run_on(self._loop, here)
        return disposable_on(self._loop, scheduled.dispose)


def loop_scheduler(scheduler: abc.SchedulerBase | None) -> abc.SchedulerBase:
    """Give the scheduler, or the running loop's, so that time operators start no threads.

    Raises:
        RuntimeError: There is neither a scheduler nor a running event loop.
    """
    return LoopScheduler(running_loop()) if scheduler is None else scheduler


def clock_of(scheduler: abc.SchedulerBase) -> Callable[[], float]:
    """Give what tells the time of a scheduler in seconds, for what measures how much has passed."""
    if isinstance(scheduler, LoopScheduler):
        return scheduler.time

    def seconds() -> float:
        return scheduler.now.timestamp()

    return seconds


def drain_scheduler(scheduler: abc.SchedulerBase) -> abc.SchedulerBase:
    """Give the scheduler on which a buffer is emptied: never at once, or it decoupled nothing."""
    return scheduler.turns if isinstance(scheduler, LoopScheduler) else scheduler


def deliver(observer: abc.ObserverBase[_T], value: _T, held: Hold | None) -> None:
    """Hand a value on from an asynchronous edge, and release its message if that succeeds.

    An observer that raises fails alone: what it raised goes to its ``on_error``, which
    disposes of the subscription. Without one the error goes on to the caller, so to the event
    loop's exception handler.
    """
    try:
        if held is None:
            observer.on_next(value)
            return
        with held:
            observer.on_next(value)
    except BaseException as error:
        # A `CancelledError` is not ours: nobody can cancel what does not wait.
        if ends_program(error):
            raise
        if is_over(observer):
            raise  # what was behind it has ended it already, and had no use for the error
        observer.on_error(cast("Exception", error))
    else:
        held()


def is_over(observer: abc.ObserverBase[Any]) -> bool:
    """Tell whether an observer takes nothing more, its own ``on_error`` included."""
    return bool(getattr(observer, "is_stopped", False))


def subscribe_on_loop(
    source: Observable[_T],
    on_next: Callable[[_T], None],
    on_error: Callable[[Exception], None],
    on_completed: Callable[[], None],
    *,
    scheduler: abc.SchedulerBase | None,
) -> abc.DisposableBase:
    """Subscribe what must run on this thread's event loop only.

    A source may emit on other threads (behind ``observe_on`` with a pool, say): what it emits
    there is handed over to the loop, in order. Without a running loop nothing is handed over.
    Where no scheduler is given, the loop's is, so that time operators before it start no threads.
    """
    loop = current_loop()
    if loop is None:
        return source.subscribe(on_next, on_error, on_completed, scheduler=scheduler)
    here = threading.get_ident()
    get_ident = threading.get_ident

    def next_(value: _T) -> None:
        if get_ident() == here:
            on_next(value)
        else:
            run_on(loop, lambda: on_next(value))

    return source.subscribe(
        next_,
        lambda error: run_on(loop, lambda: on_error(error)),
        lambda: run_on(loop, on_completed),
        scheduler=LoopScheduler(loop) if scheduler is None else scheduler,
    )


def disposable_on(
    loop: asyncio.AbstractEventLoop | None, dispose: Callable[[], None]
) -> Disposable:
    """Make a disposable that disposes on a loop, at once if called there (or without one)."""
    return Disposable(dispose if loop is None else lambda: run_on(loop, dispose))


def task_on(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, _T], name: str
) -> asyncio.Task[_T]:
    """Make a task that begins in a later turn of the loop, whatever the loop's task factory does.

    With ``asyncio.eager_task_factory`` (Python 3.12) a task begins within the call that makes it:
    within ``subscribe`` then, before there is anything to dispose of.
    """
    return asyncio.Task(coroutine, loop=loop, name=name)


def run_on(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> None:
    """Run an action on a loop: at once if called there, else soon; not if it is closed."""
    if current_loop() is loop:
        action()
    elif not loop.is_closed():
        loop.call_soon_threadsafe(action)


def running_loop() -> asyncio.AbstractEventLoop:
    """Give the running event loop.

    Raises:
        RuntimeError: There is none; the text says what to do.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "CometD observables live on an asyncio event loop: subscribe from a coroutine or a "
            "callback that runs on it (from another thread: loop.call_soon_threadsafe)"
        ) from None


def current_loop() -> asyncio.AbstractEventLoop | None:
    """Give the running event loop, ``None`` if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_own_cancellation(error: BaseException) -> bool:
    """Tell whether an error is that this task is being cancelled.

    Any other ``CancelledError`` came out of what the task awaits, and is a failure of that.
    """
    task = asyncio.current_task()
    own = task is not None and task.cancelling() > 0
    return own and isinstance(error, asyncio.CancelledError)


def failure_of_awaited(error: BaseException, function: str) -> Exception:
    """Give what came of awaiting a function of the user's, as `failure_of` does.

    Raises:
        BaseException: It is not a failure of the function, but to end this task, which is
            cancelled or closed, or the program.
    """
    if isinstance(error, GeneratorExit) or is_own_cancellation(error):
        raise error
    return failure_of(error, function)


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
