"""Typed values of the JSON that messages carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from rx_cometd._flow.decoders import decoder_of
from rx_cometd._flow.observable import derive

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable, abc

__all__ = ["decode"]

_T = TypeVar("_T")


@overload
def decode(target: type[_T], /) -> Callable[[Observable[Any]], Observable[_T]]: ...
@overload
def decode(target: Callable[[Any], _T], /) -> Callable[[Observable[Any]], Observable[_T]]: ...
@overload
def decode(target: Any, /) -> Callable[[Observable[Any]], Observable[Any]]: ...
def decode(target: Any, /) -> Callable[[Observable[Any]], Observable[Any]]:
    """Convert each item to a typed value.

    .. marble::
        :alt: decode

        --{"price": 1}---{"price": 2}--|
        [ decode(Quote) ]
        --Quote(1)-------Quote(2)------|

    The items are JSON as the client's codec decoded it; after `data()`, the data of messages.

    ================================================  ==========================================
    target                                            what decodes
    ================================================  ==========================================
    subclass of ``msgspec.Struct``                    ``msgspec.convert``
    subclass of ``pydantic.BaseModel``, pydantic      ``model_validate``, ``validate_python``
    dataclass, ``pydantic.TypeAdapter``
    dataclass, ``TypedDict``, ``list[Quote]``,        msgspec if installed, else pydantic
    ``Quote | None`` and other types to be read
    as annotations
    any other callable: a function, ``Decimal``       a call with the item
    ================================================  ==========================================

    Args:
        target: The type of the values, or a function that makes them.

    Errors:
        What the decoder raises.

    Returns:
        A pipeable operator.

    Raises:
        TypeError: The target is neither a type nor a plain function, or a type for which msgspec
            or pydantic would have to be installed.

    Example:
        >>> import reactivex
        >>> from decimal import Decimal
        >>> subscription = reactivex.of("1.10", "2.20").pipe(decode(Decimal)).subscribe(print)
        1.10
        2.20
    """
    decoder = decoder_of(target).of_objects

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(item: Any) -> None:
                try:
                    value = decoder(item)
                except Exception as error:
                    observer.on_error(error)
                else:
                    observer.on_next(value)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return derive(source, subscribe)

    return operator
