"""Observables that live on an event loop and know the client they belong to."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import reactivex
from reactivex import ConnectableObservable, Observable, abc
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rx_cometd._flow.async_iteration import ObservableIterator, iterate
from rx_cometd._flow.edge import LoopScheduler, running_loop
from rx_cometd._flow.flow import Flow, flow_of, piped_from

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

__all__ = ["LoopObservable", "derive", "keep_on_loop"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class LoopObservable(Observable[_T_co]):
    """An observable whose subscriptions run on the running event loop.

    Its differences from a plain ReactiveX observable are handed on by `pipe`, by the fluent
    methods that are made of it, and by ``+``:

    - subscribing outside a running event loop raises a `RuntimeError` that says what to do;
    - where no scheduler is given, the loop's is, so that ``debounce``, ``timeout`` and the
      other time operators start no threads;
    - ``async for`` iterates over it, bounded as by `to_async_iterable`;
    - what would wait for ever on an event loop is refused: ``run()``, a plain ``for``, and
      coroutine functions as observers.

    Attributes:
        flow: The client's side of the buffers downstream, ``None`` if no client is behind it.
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
            TypeError: A callback is no plain function.
        """
        observer: Any = on_next
        _check_callback("on_next", on_next)
        _check_callback("on_error", on_error)
        _check_callback("on_completed", on_completed)
        if scheduler is not None and isinstance(observer, abc.ObserverBase):
            # An operator that subscribes on a thread of its own, as `subscribe_on` does: raised
            # there, nobody would hear of it.
            try:
                self._check_subscribable()
            except Exception as error:
                observer.on_error(error)
                return Disposable()
        else:
            self._check_subscribable()
        return self._begin(on_next, on_error, on_completed, scheduler)

    def _begin(
        self,
        on_next: abc.ObserverBase[_T_co] | abc.OnNext[_T_co] | None,
        on_error: abc.OnError | None,
        on_completed: abc.OnCompleted | None,
        scheduler: abc.SchedulerBase | None,
    ) -> abc.DisposableBase:
        """Subscribe, all checks being passed."""
        return super().subscribe(
            on_next,
            on_error,
            on_completed,
            scheduler=LoopScheduler(running_loop()) if scheduler is None else scheduler,
        )

    def _check_subscribable(self) -> None:
        """Raise where no subscription is possible, past all that would try again at once."""
        running_loop()

    def run(self, scheduler: abc.SchedulerBase | None = None) -> NoReturn:
        """Refuse to block, as ReactiveX does here, until the stream ends.

        Raises:
            RuntimeError: Always. The messages come by the event loop that would be blocked.
        """
        del scheduler
        running_loop()
        raise RuntimeError(
            "run() blocks the event loop that the messages come by: await the observable instead "
            "(await channel.pipe(ops.first())), or iterate over it with async for"
        )

    def __iter__(self) -> NoReturn:
        """Refuse a plain ``for``, which would go on for ever without a message.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{type(self).__name__} is iterated over with 'async for', not with 'for'")

    def __aiter__(self) -> ObservableIterator[_T_co]:
        """Subscribe, and iterate: as over ``to_async_iterable()``, with the client's bound.

        Raises:
            RuntimeError: No event loop is running.
        """
        return iterate(self, flow=self.flow)

    def __await__(self) -> Generator[Any, None, _T_co]:
        """Wait for the last item."""
        running_loop()
        future: asyncio.Future[_T_co] = self.pipe(ops.to_future())
        return future.__await__()

    def __add__(self, other: Observable[Any]) -> Observable[Any]:
        """Concatenate with another observable."""
        return keep_on_loop(reactivex.concat(self, other), self.flow)

    def __radd__(self, other: Observable[Any]) -> Observable[Any]:
        """Concatenate another observable with this one."""
        return keep_on_loop(reactivex.concat(other, self), self.flow)

    __iadd__ = __add__

    if not TYPE_CHECKING:  # the types are those of the method it overrides

        def pipe(self, *operators: Callable[[Any], Any]) -> Any:
            """Compose operators left to right; what comes out lives on the event loop too."""
            result: Any = self
            flow = self.flow
            for operator in operators:
                with piped_from(flow):
                    result = _adopt(operator(result), flow)
                    flow = flow_of(result)
            return result


class _Kept(LoopObservable[_T_co]):
    """The result of a foreign operator: subscribes straight into it, at no cost per message."""

    def __init__(self, inner: Observable[_T_co], flow: Flow | None) -> None:
        super().__init__(flow=flow)
        self._inner = inner

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[_T_co],
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        # The protected method of a fellow observable: what saves the extra layer.
        return self._inner._subscribe_core(observer, scheduler)  # noqa: SLF001


class _KeptConnectable(LoopObservable[_T], ConnectableObservable[_T]):
    """A connectable observable, likewise."""

    def __init__(self, inner: ConnectableObservable[_T], flow: Flow | None) -> None:
        ConnectableObservable.__init__(  # pyright: ignore[reportUnknownMemberType]
            self, inner.source, inner.subject
        )
        self.flow = flow

    def auto_connect(self, subscriber_count: int = 1) -> Observable[_T]:
        """Connect by itself, once so many observers have subscribed."""
        return keep_on_loop(super().auto_connect(subscriber_count), self.flow)


def keep_on_loop(source: Observable[_T], flow: Flow | None = None) -> Observable[_T]:
    """Make an observable that lives on the event loop of one that does not know it.

    Args:
        source: Any observable; one that lives on the loop is given back as it is.
        flow: The client's side of the buffers downstream.
    """
    return source if isinstance(source, LoopObservable) else _Kept(source, flow)


def _adopt(result: Any, flow: Flow | None) -> Any:
    """Keep on the loop what a foreign operator made."""
    # Subclasses (grouped observables, subjects) have methods of their own to keep.
    kind = cast("object", type(result))
    if kind is Observable:
        return _Kept(result, flow)
    if kind is ConnectableObservable:
        return _KeptConnectable(result, flow)
    if kind is list:  # `partition` makes two observables
        return [_adopt(part, flow) for part in result]
    return result


def derive(source: Observable[Any], subscribe: abc.Subscription[_T]) -> Observable[_T]:
    """Make the observable of an rx_cometd operator, which keeps to its source's client and loop.

    Args:
        source: What the operator was applied to.
        subscribe: The subscription function of the result.
    """
    if isinstance(source, LoopObservable):
        return LoopObservable(subscribe, flow=flow_of(source))
    return Observable(subscribe)


def _check_callback(name: str, callback: object) -> None:
    """Refuse at once what could not be called, or would be without effect, when a message comes."""
    if callback is None:
        return
    if inspect.iscoroutinefunction(callback):
        function = getattr(callback, "__qualname__", repr(callback))
        raise TypeError(
            f"an observer cannot be the coroutine function {function}, for nobody would await it: "
            "use Channel.subscribe_async, or the operator map_async"
        )
    if not callable(callback) and not hasattr(callback, "on_next"):
        raise TypeError(f"{name} must be a function or an observer, not {callback!r}")
