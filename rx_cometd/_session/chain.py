"""The operators of the extensions, one after the other, and what is subscribed to them."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rx_cometd._flow.payload import Payload
from rx_cometd._flow.subscriber import Subscriber
from rx_cometd._protocol.user_functions import call, failure_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactivex import abc

    from rx_cometd.extension import PayloadOperator

__all__ = ["Chain", "ChainListener"]

_log = logging.getLogger("rx_cometd.pipeline")


class ChainListener(Protocol):
    """What a chain tells the pipeline."""

    def passed(self, stage: int, payload: Any) -> None:
        """Look at what an operator emitted to the next one; ``stage`` counts those it passed."""
        ...

    def came_out(self, payload: Any) -> None:
        """Take what the last operator emitted."""
        ...

    def chain_failed(self, error: BaseException) -> None:
        """Take the failure of an operator: it ends the stream."""
        ...

    def chain_completed(self) -> None:
        """Take the end that an operator made of the stream."""
        ...


class Chain:
    """Subscribes to operators, and emits to the first of them.

    Args:
        operators: The operators, in the order in which payloads pass them.
        listener: Told what they emit, and how they end.
        scheduler: What operators that take time run on.

    Attributes:
        connecting: Whether the operators are being subscribed to.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        listener: ChainListener,
        scheduler: abc.SchedulerBase | None,
    ) -> None:
        self._operators = tuple(operators)
        self._listener = listener
        self._scheduler = scheduler
        self._source: _Source | None = None
        self._subscription: abc.DisposableBase | None = None
        self.connecting = False

    def __len__(self) -> int:
        return len(self._operators)

    def emit(self, payload: Payload) -> None:
        """Hand a payload to the first operator; subscribe if nothing is.

        Raises:
            Exception: What an operator raised.
        """
        if self._source is None:
            self.connect()
        if self._source is not None:
            for observer in self._source.observers:
                observer.on_next(payload)

    def connect(self) -> None:
        """Make the operators, and subscribe to them.

        Raises:
            Exception: What one of them raised.
        """
        source = self._source = _Source()
        self.connecting = True
        try:
            subscription = call(partial(self._subscribe, source), "an operator")
        finally:
            self.connecting = False
        if self._source is source:
            self._subscription = subscription
        else:  # it failed at once
            _dispose(subscription)

    def _subscribe(self, source: Observable[Payload]) -> abc.DisposableBase:
        stream, listener = source, self._listener
        for stage, operator in enumerate(self._operators):
            if stage:  # what the last one emits is looked at where it is taken
                stream = stream.pipe(ops.do_action(partial(listener.passed, stage)))
            stream = operator(stream)
        return stream.subscribe(
            listener.came_out,
            listener.chain_failed,
            listener.chain_completed,
            scheduler=self._scheduler,
        )

    def disconnect(self) -> None:
        """Dispose of the subscription."""
        self._source = None
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            _dispose(subscription)


def _dispose(subscription: abc.DisposableBase) -> None:
    """Dispose of operators; one that raises must not keep from being done what comes next."""
    try:
        subscription.dispose()
    except BaseException as error:
        _log.error(
            "an operator of an extension could not be disposed of",
            exc_info=failure_of(error, "dispose"),
            extra={"event": "extension_not_disposed"},
        )


class _Source(Observable[Payload]):
    """Where payloads enter: a subject without its lock, as all happens on the loop.

    Attributes:
        observers: The first operator; several where it subscribes more than once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.observers: tuple[abc.ObserverBase[Payload], ...] = ()

    def subscribe(
        self,
        on_next: abc.ObserverBase[Payload] | abc.OnNext[Payload] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - nothing to schedule
    ) -> abc.DisposableBase:
        subscriber = Subscriber(on_next, on_error, on_completed)
        subscriber.begin(self._subscribe_core)
        return subscriber

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[Payload],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - nothing to schedule
    ) -> abc.DisposableBase:
        self.observers = (*self.observers, observer)

        def dispose() -> None:
            self.observers = tuple(other for other in self.observers if other is not observer)

        return Disposable(dispose)
