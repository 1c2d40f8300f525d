"""An observable of what an asynchronous iterable gives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rx_cometd._flow.arguments import check_plain_function
from rx_cometd._flow.buffer import DEFAULT_MAX_PENDING_COUNT
from rx_cometd._flow.delivery import stay_apart
from rx_cometd._flow.edge import (
    TURN,
    current_loop,
    deliver,
    disposable_on,
    report_failure,
    running_loop,
    task_on,
)
from rx_cometd._flow.ending import tell_end
from rx_cometd._flow.flow import Overflow
from rx_cometd._flow.observable import LoopObservable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Buffer, UnderWay
    from rx_cometd.exceptions import ClientError

__all__ = ["from_async_iterable"]

_T = TypeVar("_T")


def from_async_iterable(
    iterable: AsyncIterable[_T] | Callable[[], AsyncIterable[_T]],
) -> Observable[_T]:
    """Turn an asynchronous iterable into an observable.

    .. marble::
        :alt: from_async_iterable

        [ from_async_iterable(numbers()) ]
        --1--2--3--|

    Each subscription iterates in its own task, which ends with it: disposing cancels the
    task, and ``aclose()`` of a generator is awaited. An iterable produces items only on request,
    so buffers downstream can use the policy ``SUSPEND``: no item is requested while one of them is
    full. Items available without waiting are emitted a chunk at a time, so that other tasks run.

    Args:
        iterable: What to iterate over, or a function that returns it for each subscription: pass
            generator *functions*, because a generator can be iterated over only once.

    Errors:
        What the iterable raises, including its own `asyncio.CancelledError`.

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
    flow = _IterableFlow()

    def subscribe(
        observer: abc.ObserverBase[_T], _scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return _Iteration(open_, observer, flow.begin()).start()

    return LoopObservable(subscribe, flow=flow)


class _IterableFlow:
    """The flow of an iterable: tells each iteration which full buffers are downstream of it.

    A buffer attaches itself just before its source is subscribed to, so those that attached
    since are the ones of the iteration that begins. One that stays without (its subscription
    joined an iteration that others began, through ``share``) may belong to any of them, and
    holds them all.
    """

    max_pending_count = DEFAULT_MAX_PENDING_COUNT
    overflow = Overflow.ERROR
    lossless = True
    turn = None

    def __init__(self) -> None:
        self._joining: set[Buffer] = set()
        self._common: set[Buffer] = set()
        self._demands: set[_Demand] = set()
        self._suspended: set[Buffer] = set()

    def begin(self) -> _Demand:
        """Give the demand of an iteration that begins."""
        demand = _Demand(self, self._joining)
        self._joining = set()
        self._demands.add(demand)
        return demand

    def end(self, demand: _Demand) -> None:
        """Forget an iteration; who subscribes again at once (``retry``) keeps its buffers."""
        self._demands.discard(demand)
        self._join(demand.buffers)

    def refusal(self) -> ClientError | None:
        return None

    def attach(self, buffer: Buffer) -> None:
        self._join({buffer})

    def _join(self, buffers: set[Buffer]) -> None:
        self._joining |= buffers
        loop = current_loop()
        if loop is not None and buffers:
            loop.call_soon(self._share, frozenset(buffers))

    def _share(self, buffers: frozenset[Buffer]) -> None:
        late = self._joining & buffers
        self._joining -= late
        self._common |= late

    def detach(self, buffer: Buffer) -> None:
        self.resume(buffer)
        self._joining.discard(buffer)
        self._common.discard(buffer)
        for demand in self._demands:
            demand.buffers.discard(buffer)

    def suspend(self, buffer: Buffer) -> None:
        self._suspended.add(buffer)

    def resume(self, buffer: Buffer) -> None:
        self._suspended.discard(buffer)
        for demand in self._demands:
            demand.notice()

    def dropped(self, policy: Overflow) -> None:
        """Nobody asks."""

    def begin_work(self, work: UnderWay) -> None:
        """Nobody waits for it."""

    def end_work(self, work: UnderWay) -> None:
        """Nobody waits for it."""

    def holds(self, buffers: set[Buffer]) -> bool:
        """Tell whether one of these buffers, or of those that may belong to anybody, is full."""
        return not self._suspended.isdisjoint(buffers | self._common | self._joining)


class _Demand:
    """Whether one iteration is to go on: not while a buffer downstream of it is full."""

    def __init__(self, flow: _IterableFlow, buffers: set[Buffer]) -> None:
        self._flow = flow
        self.buffers = buffers
        self._changed = asyncio.Event()

    def notice(self) -> None:
        """Look again: a buffer is no longer full."""
        self._changed.set()

    async def wait(self) -> None:
        """Wait until no buffer is full."""
        while self._flow.holds(self.buffers):
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Say that the iteration is over."""
        self._flow.end(self)


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
        self._task = task_on(loop, self._run(), "rx_cometd.from_async_iterable")
        self._task.add_done_callback(report_failure)
        return disposable_on(loop, self._close)

    def _close(self) -> None:
        self._closed = True
        self._demand.end()
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
        self._demand.end()
        tell_end(self._observer, error)
