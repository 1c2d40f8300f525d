"""A bounded buffer between a source and its observer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rx_cometd._flow.arguments import check_bound, check_plain_function, check_scheduler
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.drain import Drain
from rx_cometd._flow.edge import drain_scheduler, loop_scheduler
from rx_cometd._flow.flow import Flow, Overflow, flow_of
from rx_cometd._flow.observable import LoopObservable

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["BufferedObservable", "bounded_buffer"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class BufferedObservable(Observable[_T_co]):
    """What `bounded_buffer` returns: an observable that knows how far behind its observers are."""

    def __init__(self, subscribe: abc.Subscription[_T_co]) -> None:
        super().__init__(subscribe)
        self.buffers: set[MessageBuffer[Any]] = set()

    @property
    def pending_count(self) -> int:
        """Messages that wait in the buffers of all live subscriptions."""
        return sum(buffer.pending_count for buffer in self.buffers)


class _LoopBufferedObservable(LoopObservable[_T_co], BufferedObservable[_T_co]):
    """The same, of a source that lives on an event loop."""

    def __init__(self, subscribe: abc.Subscription[_T_co], flow: Flow | None) -> None:
        super().__init__(subscribe, flow=flow)


def bounded_buffer(
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
    *,
    on_overflow: Callable[[Any, int], object] | None = None,
    key: Callable[[Any], Hashable] | None = None,
    scheduler: abc.SchedulerBase | None = None,
) -> Callable[[Observable[_T]], BufferedObservable[_T]]:
    """Decouple a source from its observer with a bounded buffer.

    .. marble::
        :alt: bounded_buffer

        --123456------|
        [ bounded_buffer(3, DROP_OLDEST) ]     while the scheduler is busy until the tenth tick
        ----------(456)|

    The buffer drains on the scheduler, in order, a chunk at a time, so that other tasks run in
    between. The end of the source comes after what is pending. A message counts as processed
    (for replay markers) once the observer's ``on_next`` returned, or it was dropped.

    What a full buffer does with one more message:

    - ``ERROR``: what is pending is delivered, then `BufferOverflowError`. The source is disposed
      of at once.
    - ``DROP_OLDEST``, ``DROP_NEWEST``: the message that has waited longest, or the arriving one,
      is dropped.
    - ``CONFLATE``: from then on, until the observer has caught up, a message replaces the pending
      one with the same key, in its place. If there are more keys than the bound, the message that
      has waited longest is dropped. Without a bound, messages are always conflated.
    - ``SUSPEND``: the client holds back its next connect from the moment the buffer is full until
      it is half empty, while the server keeps the messages. The buffer still accepts the rest of
      the payload that filled it, and messages that arrive with a connect that had to be sent to
      keep the session alive (docs/slow-consumers.md).

    Args:
        max_pending_count: How many messages may be pending; ``<= 0`` is unbounded, ``None`` the
            client's bound if the source belongs to a client, else 100.
        overflow: The policy; ``None`` is the client's, else ``ERROR``. A client without a policy
            has ``SUSPEND`` while its server is known to keep the messages, ``ERROR`` otherwise.
        on_overflow: Called with each message that is lost and the count of those lost so far.
        key: For ``CONFLATE``: returns the key of a message; its channel if ``None``.
        scheduler: Where to drain; the one of the subscription if ``None``, else the running
            event loop's.

    Errors:
        `BufferOverflowError`. `ClientError` at once: ``SUSPEND`` cannot work on this source.
        What ``on_overflow`` or ``key`` raises, after what is pending. `RuntimeError`: there is
        neither a scheduler nor a running event loop.

    Returns:
        A pipeable operator; the observable that it returns has a `pending_count`.

    Raises:
        TypeError: An argument is of the wrong kind.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> async def main() -> list[int]:
        ...     return await reactivex.of(0, 1, 2, 3, 4, 5).pipe(
        ...         bounded_buffer(3, Overflow.DROP_OLDEST), ops.to_list()
        ...     )
        >>> asyncio.run(main())
        [3, 4, 5]
    """
    check_scheduler(scheduler)
    check_bound(max_pending_count, overflow)
    if on_overflow is not None:
        check_plain_function("on_overflow", on_overflow)
    if key is not None:
        check_plain_function("key", key)

    def operator(source: Observable[_T]) -> BufferedObservable[_T]:
        flow = flow_of(source)

        def subscribe(
            observer: abc.ObserverBase[_T], subscribed_on: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            upstream = loop_scheduler(subscribed_on or scheduler)
            downstream = scheduler or drain_scheduler(upstream)
            buffer = MessageBuffer[_T](
                max_pending_count,
                overflow,
                flow=flow,
                key=key,
                on_overflow=on_overflow,
                now=lambda: downstream.now,
            )
            result.buffers.add(buffer)
            forget = Disposable(lambda: result.buffers.discard(buffer))
            subscription = Drain(buffer, observer, downstream).subscribe(source, upstream)
            return CompositeDisposable(subscription, forget)

        result: BufferedObservable[_T] = (
            _LoopBufferedObservable(subscribe, flow)
            if flow is not None or isinstance(source, LoopObservable)
            else BufferedObservable(subscribe)
        )
        return result

    return operator
