"""What is in flight in a pipeline, and which of it a payload belongs to that an operator emits.

A payload may be one that entered, or one that operators made of the messages of one or several
that did. What nobody waits for any more is remembered for a while, so that it is known when it
comes after all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

from rx_cometd._flow.payload import Payload, claim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd._session.in_flight import InFlight

__all__ = ["Flights"]

#: Payloads that are no longer waited for, kept so that they are known when they come after all.
_REMEMBERED: Final = 16

_Owner = TypeVar("_Owner")


class Flights(dict["InFlight[_Owner]", None]):
    """The payloads in flight, in the order in which they entered: that of their deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self._abandoned: deque[InFlight[_Owner]] = deque(maxlen=_REMEMBERED)

    @property
    def newest(self) -> InFlight[_Owner]:
        """The one that entered last."""
        return next(reversed(self))

    def add(self, entry: InFlight[_Owner]) -> None:
        """Take note of a payload that enters."""
        self[entry] = None

    def remove(self, entry: InFlight[_Owner]) -> None:
        """Forget a payload: it is out."""
        del self[entry]

    def abandon(self, entry: InFlight[_Owner]) -> None:
        """Wait for a payload no longer, but know it if it comes."""
        del self[entry]
        self._abandoned.append(entry)

    def find(self, payload: Payload, stage: int) -> InFlight[_Owner] | None:
        """Find what a payload was made of, ``None`` if it is an extension's own.

        Args:
            payload: The payload.
            stage: How many operators it has passed.
        """
        known: Any = payload.in_flight
        entry: InFlight[_Owner] | None = known if known in self else None
        if entry is None:
            entry = self._adopt(payload, stage)
        elif len(self) > 1 and len(payload.messages) > entry.size:
            self._merge(entry, [other for other in self._sharing(payload) if other is not entry])
        if entry is not None:
            entry.follow(payload, stage)
        return entry

    def is_late(self, payload: Payload) -> bool:
        """Tell whether a payload is, or was made of, one that is no longer waited for."""
        return any(
            entry is payload.in_flight or entry.shares_with(payload) for entry in self._abandoned
        )

    def _adopt(self, payload: Payload, stage: int) -> InFlight[_Owner] | None:
        """Have a new payload belong to what its messages came from."""
        sharing = self._sharing(payload)
        if not sharing and self.is_late(payload):
            return None
        if not sharing:
            sharing = [other for other in self if other.resembles(payload, stage)][:1]
        if not sharing:
            return None
        entry, *others = sharing
        self._merge(entry, others)
        claim(payload)
        entry.adopt(payload)
        return entry

    def _sharing(self, payload: Payload) -> list[InFlight[_Owner]]:
        found: list[InFlight[_Owner]] = []
        left = len(payload.messages)
        for entry in self:
            shared = entry.shares_with(payload)
            if shared:
                found.append(entry)
                left -= shared
            if left <= 0:
                break
        return found

    def _merge(self, entry: InFlight[_Owner], others: Sequence[InFlight[_Owner]]) -> None:
        for other in others:
            del self[other]
            entry.merge(other)
