"""What a message carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reactivex import Observable, abc

__all__ = ["data"]


def data() -> Callable[[Observable[Any]], Observable[Any]]:
    """Emit the ``data`` of each message.

    .. marble::
        :alt: data

        --{"channel": "/a", "data": 1}---{"channel": "/a", "data": 2}--|
        [ data() ]
        --1------------------------------2-----------------------------|

    Errors:
        `KeyError`: A message has no ``data``. Event messages always have it (Bayeux
        specification, "Event Message Fields"), meta messages may not.

    Returns:
        A pipeable operator.

    Example:
        >>> import reactivex
        >>> messages = reactivex.of({"channel": "/a", "data": 1}, {"channel": "/a", "data": 2})
        >>> subscription = messages.pipe(data()).subscribe(print)
        1
        2
    """

    def operator(source: Observable[Mapping[str, Any]]) -> Observable[Any]:
        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(message: Mapping[str, Any]) -> None:
                try:
                    value = message["data"]
                except Exception as error:
                    observer.on_error(error)
                else:
                    observer.on_next(value)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return derive(source, subscribe)

    return operator
