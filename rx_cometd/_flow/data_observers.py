"""Observers that see to the data of each message, before the observer that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reactivex import abc

from rx_cometd._flow.decoders import Decoder, path_of
from rx_cometd._flow.edge import is_over
from rx_cometd._protocol.raw_data import complete, raw_type
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.exceptions import DecodeError
from rx_cometd.messages import Event

if TYPE_CHECKING:
    from rx_cometd.messages import Message

__all__ = ["Completing", "Decoding"]

_T = TypeVar("_T")


class _StandIn(abc.ObserverBase[Event], Generic[_T]):
    """Hands on how the stream ends.

    Args:
        observer: The observer that it stands for.
    """

    def __init__(self, observer: abc.ObserverBase[_T]) -> None:
        self._observer = observer

    @property
    def is_stopped(self) -> bool:
        """Whether the observer takes nothing more."""
        return is_over(self._observer)

    def on_error(self, error: Exception) -> None:
        """Hand on the error."""
        self._observer.on_error(error)

    def on_completed(self) -> None:
        """Hand on the end."""
        self._observer.on_completed()


class Completing(_StandIn[Any]):
    """Decodes the data that `raw_json_loads` left as JSON: the message is then a plain one."""

    def on_next(self, value: Message | Event) -> None:
        """Hand on a message."""
        complete((value,))
        self._observer.on_next(value)


class Decoding(_StandIn[_T]):
    """Hands on typed values of the data of each message, not the message.

    Args:
        observer: The observer that it stands for.
        decoder: Makes the values.
        raw: Whether data may have been left as JSON.
    """

    def __init__(self, observer: abc.ObserverBase[_T], decoder: Decoder, *, raw: bool) -> None:
        super().__init__(observer)
        self._of_objects, self._of_json = decoder
        self._raw_type = raw_type() if raw else None

    def on_next(self, value: Event) -> None:
        """Hand on the value of a message; one that has none ends the stream."""
        data = value["data"]
        try:
            decode = self._of_json if type(data) is self._raw_type else self._of_objects
            decoded = decode(data)
        except BaseException as raised:
            error = failure_of(raised, "type")
            failure = DecodeError(value["channel"], path_of(error))
            failure.__cause__ = error
            self._observer.on_error(failure)
        else:
            self._observer.on_next(decoded)
