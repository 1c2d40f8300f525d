"""An observable of what an asynchronous iterable gives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from rx_cometd._flow.arguments import check_plain_function
from rx_cometd._flow.buffer import DEFAULT_MAX_PENDING_COUNT
from rx_cometd._flow.delivery import stay_apart
from rx_cometd._flow.edge import TURN, deliver, disposable_on, report_failure, running_loop
from rx_cometd._flow.flow import Overflow
from rx_cometd._flow.observable import LoopObservable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Buffer
    from rx_cometd.exceptions import ClientError

__all__ = ["from_async_iterable"]

_T = TypeVar("_T")


def from_async_iterable(
    iterable: AsyncIterable[_T] | Callable[[], AsyncIterable[_T]],
) -> Observable[_T]:
    """Make an observable of what an asynchronous iterable gives.

    .. marble::
        :alt: from_async_iterable

        [ from_async_iterable(numbers()) ]
        --1--2--3--|

    Each subscription iterates in a task of its own, which ends with it: disposing cancels the
    task, and ``aclose()`` of a generator is awaited. An iterable waits to be asked, so buffers
    downstream can use the policy ``SUSPEND``: no item is asked for while one of them is full.
    Items that come without waiting are emitted a chunk at a time, so that other tasks run.

    Args:
        iterable: What to iterate, or a function that gives it anew for each subscription:
            generator *functions*, for a generator can be iterated only once.

    Errors:
        What the iterable raises. A `asyncio.CancelledError` that it lets out is such an error.

    Returns:
        An observable, to be subscribed on a running event loop.

    Raises:
        TypeError: It is neither, or a coroutine function.

    Example:
        >>> import asyncio
        >>> from reactivex import operators as ops
        >>> async def numbers():
        ...     yield 1
        ...     yield 2
        >>> async def main() -> list[int]:
        ...     return await from_async_iterable(numbers).pipe(ops.to_list())
        >>> asyncio.run(main())
        [1, 2]
    """
    given: Any = iterable
    open_: Callable[[], AsyncIterable[_T]] = given
    if hasattr(given, "__aiter__"):
        open_ = lambda: given  # noqa: E731
    else:
        check_plain_function("iterable", given)
    demand = _Demand()

    def subscribe(
        observer: abc.ObserverBase[_T], _scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return _Iteration(open_, observer, demand).start()

    return LoopObservable(subscribe, flow=demand)


class _Demand:
    """The flow of an iterable: it is asked for more unless a buffer downstream is full."""

    max_pending_count = DEFAULT_MAX_PENDING_COUNT
    overflow = Overflow.ERROR
    lossless = True

    def __init__(self) -> None:
        self._suspended: set[Buffer] = set()
        self._resumed = asyncio.Event()

    def refusal(self) -> ClientError | None:
        return None

    def attach(self, buffer: Buffer) -> None:
        """Nothing to count for."""

    def detach(self, buffer: Buffer) -> None:
        self.resume(buffer)

    def suspend(self, buffer: Buffer) -> None:
        if not self._suspended:
            # A new one each time: events belong to the loop they were first awaited on.
            self._resumed = asyncio.Event()
        self._suspended.add(buffer)

    def resume(self, buffer: Buffer) -> None:
        self._suspended.discard(buffer)
        if not self._suspended:
            self._resumed.set()

    def dropped(self, count: int) -> None:
        """Nobody asks."""

    async def wait(self) -> None:
        """Wait until no buffer is full."""
        while self._suspended:
            await self._resumed.wait()


class _Iteration(Generic[_T]):
    """One subscription: a task that asks the iterable and tells the observer."""

    def __init__(
        self,
        open_: Callable[[], AsyncIterable[_T]],
        observer: abc.ObserverBase[_T],
        demand: _Demand,
    ) -> None:
        self._open = open_
        self._observer = observer
        self._demand = demand
        self._closed = False

    def start(self) -> abc.DisposableBase:
        loop = running_loop()
        self._task = loop.create_task(self._run(), name="rx_cometd.from_async_iterable")
        self._task.add_done_callback(report_failure)
        return disposable_on(loop, self._close)

    def _close(self) -> None:
        self._closed = True
        # Within `on_next` there is nothing to interrupt, and `aclose()` is still to be awaited.
        if asyncio.current_task() is not self._task:
            self._task.cancel()

    async def _run(self) -> None:
        error: BaseException | None = None
        stay_apart()
        try:
            await self._iterate(aiter(self._open()))
        except Exception as raised:
            if self._closed:
                raise  # nobody else is left to tell
            error = raised
        except asyncio.CancelledError as raised:
            self._end(raised)
            raise
        self._end(error)

    async def _iterate(self, iterator: AsyncIterator[_T]) -> None:
        emitted = 0
        try:
            while not self._closed:
                await self._demand.wait()
                try:
                    item = await anext(iterator)
                except StopAsyncIteration:
                    return
                deliver(self._observer, item, None)
                emitted += 1
                if emitted % TURN == 0:
                    await asyncio.sleep(0)
        finally:
            aclose: Any = getattr(iterator, "aclose", None)
            if aclose is not None:
                await aclose()

    def _end(self, error: BaseException | None) -> None:
        if self._closed:
            return
        self._closed = True
        if error is None:
            self._observer.on_completed()
        else:
            self._observer.on_error(cast("Exception", error))
