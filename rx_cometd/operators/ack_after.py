"""Saying where in a pipe a message has been processed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rx_cometd._flow.arguments import check_coroutine_function
from rx_cometd._flow.delivery import apart
from rx_cometd._flow.multicast import fail_observer, report_unhandled
from rx_cometd._flow.observable import derive
from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import Observable, abc

    from rx_cometd._flow.flow import Overflow
    from rx_cometd._flow.work import DeadLetterTarget, Errors

__all__ = ["ack_after"]

_T = TypeVar("_T")


def ack_after(
    handler: Callable[[_T], Awaitable[object]],
    *,
    max_concurrency: int = 1,
    ordered: bool = True,
    errors: Errors = "raise",
    dead_letter: DeadLetterTarget | None = None,
    timeout: float | None = None,
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
) -> Callable[[Observable[_T]], Observable[_T]]:
    """Pass each message to a handler, mark it as processed when that is done, and emit it.

    .. marble::
        :alt: ack_after

        --1-2-------------|
        [ ack_after(save) ]       save takes four ticks
        ------1---2-------|
              |   processed 2
              processed 1

    A message normally counts as processed (which moves replay markers) when all of its
    observers are done with it: all buffers and asynchronous operators in a pipe. With this operator
    it is processed as soon as its handler succeeded, however long the rest of the pipe takes.
    A message whose handler was not reached, or failed, comes again.

    In all other respects it works like `map_async`, which emits the results instead.

    Args:
        handler: A coroutine function, or a function that returns an awaitable: what has to be done
            for a message to be processed.
        max_concurrency: How many messages may be handled at once.
        ordered: Emit in the order of the source, else as soon as each is done.
        errors: ``"raise"``: the first failure ends the stream. ``"drop"``: it is logged, the
            message counts as processed, and the stream goes on.
        dead_letter: A function that is called with a `DeadLetter` for each message whose handler
            failed, or an observer of them; it counts as processed then, and the stream goes on.
        timeout: Seconds that a handler may take, ``None`` for no limit.
        max_pending_count: How many messages may wait for their handler; ``<= 0`` is unbounded,
            ``None`` the client's bound if the source belongs to a client, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.

    Errors:
        Those of `map_async`.

    Returns:
        A pipeable operator. It has to be subscribed on a running event loop.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range.

    Example:
        >>> import asyncio, reactivex
        >>> async def save(message: str) -> None:
        ...     print("saved", message)
        >>> async def main() -> None:
        ...     await reactivex.of("a", "b").pipe(ack_after(save))
        >>> asyncio.run(main())
        saved a
        saved b
    """
    check_coroutine_function("handler", handler)

    async def handle(item: _T) -> _T:
        await handler(item)
        return item

    handled = map_async(
        handle,
        max_concurrency=max_concurrency,
        ordered=ordered,
        errors=errors,
        dead_letter=dead_letter,
        timeout=timeout,
        max_pending_count=max_pending_count,
        overflow=overflow,
    )

    def operator(source: Observable[_T]) -> Observable[_T]:
        done = handled(source)

        def subscribe(
            observer: abc.ObserverBase[_T], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(item: _T) -> None:
                # Neither what observers hold nor what they raise changes that it was processed.
                with apart():
                    try:
                        observer.on_next(item)
                    except BaseException as error:
                        fail_observer(observer, error, report_unhandled)

            return done.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return derive(done, subscribe)

    return operator
