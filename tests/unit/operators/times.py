"""Virtual time for tests."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex.notification import OnError, OnNext
from reactivex.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from reactivex import abc
    from reactivex.testing import TestScheduler
    from reactivex.testing.mockobserver import MockObserver

_T = TypeVar("_T")


class LateScheduler(Scheduler):
    """Runs everything some ticks later: the turns of a busy event loop, in virtual time."""

    def __init__(self, scheduler: TestScheduler, ticks: float) -> None:
        self._scheduler = scheduler
        self._ticks = ticks

    @property
    def now(self) -> datetime:
        return self._scheduler.now

    def schedule(
        self, action: abc.ScheduledAction[_T], state: _T | None = None
    ) -> abc.DisposableBase:
        return self._scheduler.schedule_relative(self._ticks, action, state)

    def schedule_relative(
        self, duetime: Any, action: abc.ScheduledAction[_T], state: _T | None = None
    ) -> abc.DisposableBase:
        return self._scheduler.schedule_relative(
            self.to_seconds(duetime) + self._ticks, action, state
        )

    def schedule_absolute(
        self, duetime: Any, action: abc.ScheduledAction[_T], state: _T | None = None
    ) -> abc.DisposableBase:
        return self._scheduler.schedule_absolute(duetime, action, state)


def seen(observer: MockObserver[Any]) -> list[tuple[float, Any]]:
    """What an observer saw and when: values, ``"|"`` and the types of errors."""
    return [(message.time, _told(message.value)) for message in observer.messages]


def _told(notification: Any) -> Any:
    match notification:
        case OnNext():
            return notification.value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        case OnError():
            return type(notification.exception)
        case _:
            return "|"


async def turns(count: int = 20) -> None:
    """Let the event loop turn: more often than anything here takes when nothing waits."""
    for _ in range(count):
        await asyncio.sleep(0)


async def play(scheduler: TestScheduler, until: int) -> None:
    """Run virtual time tick by tick, and the event loop's tasks within each tick."""
    await turns()
    for tick in range(int(scheduler.clock) + 1, until + 1):
        scheduler.advance_to(float(tick))
        await turns()


async def ticks(scheduler: TestScheduler, count: float) -> None:
    """Sleep for virtual time."""
    done = asyncio.get_running_loop().create_future()

    def wake(*_: object) -> None:
        if not done.done():
            done.set_result(None)

    timer = scheduler.schedule_relative(count, wake)
    try:
        await done
    finally:
        timer.dispose()


class _VirtualSelector(selectors.DefaultSelector):
    """Waits for nothing: what the loop would wait for comes at once, in its time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when nothing else is to be done."""

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def run_virtually(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
