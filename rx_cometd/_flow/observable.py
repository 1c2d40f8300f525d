"""Observables that live on an event loop and know the client they belong to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from reactivex import Observable, abc
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd._flow.flow import Flow, flow_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopObservable", "derive", "running_loop"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


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


class LoopObservable(Observable[_T_co]):
    """An observable whose subscriptions run on the running event loop.

    Two things differ from a plain ReactiveX observable, and `pipe` (with the fluent methods
    that are made of it) hands both on:

    - subscribing outside a running event loop raises a `RuntimeError` that says what to do;
    - where no scheduler is given, the loop's is, so that ``debounce``, ``timeout`` and the
      other time operators start no threads.

    Attributes:
        flow: The client's side of the buffers downstream, ``None`` past foreign operators.
    """

    def __init__(
        self,
        subscribe: abc.Subscription[_T_co] | None = None,
        *,
        flow: Flow | None = None,
    ) -> None:
        super().__init__(subscribe)
        self.flow = flow

    def subscribe(
        self,
        on_next: abc.ObserverBase[_T_co] | abc.OnNext[_T_co] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe an observer, as every ReactiveX observable does.

        Raises:
            RuntimeError: No event loop is running.
        """
        loop = running_loop()
        return super().subscribe(
            on_next,
            on_error,
            on_completed,
            scheduler=AsyncIOScheduler(loop) if scheduler is None else scheduler,
        )

    if not TYPE_CHECKING:  # the types are those of the method it overrides

        def pipe(self, *operators: Callable[[Any], Any]) -> Any:
            """Compose operators left to right; what comes out lives on the event loop too."""
            result: Any = self
            for operator in operators:
                result = operator(result)
                # Subclasses (grouped, connectable, subjects) have methods of their own to keep.
                if type(result) is Observable:
                    result = _Piped(result)
            return result


class _Piped(LoopObservable[_T_co]):
    """The result of a foreign operator: subscribes straight into it, at no cost per message."""

    def __init__(self, inner: Observable[_T_co]) -> None:
        super().__init__()
        self._inner = inner

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[_T_co],
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        # The protected method of a fellow observable: what saves the extra layer.
        return self._inner._subscribe_core(observer, scheduler)  # noqa: SLF001


def derive(source: Observable[Any], subscribe: abc.Subscription[_T]) -> Observable[_T]:
    """Make the observable of an rx_cometd operator, which keeps to its source's client and loop.

    Args:
        source: What the operator was applied to.
        subscribe: The subscription function of the result.
    """
    if isinstance(source, LoopObservable):
        return LoopObservable(subscribe, flow=flow_of(source))
    return Observable(subscribe)
