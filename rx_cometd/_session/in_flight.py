"""A payload in flight: from where it enters a pipeline until everything of it has come out.

Operators may emit another payload than the one that entered, with the same messages, with copies
of them, with fewer, in another order, split over several payloads or merged with those of another.
The entry of a payload follows its messages: by identity, else by ``id``, else (event messages
mostly have no ``id``) by their order within their channel. Who waits for the payload, and who
asked for receipts of its messages, is kept here and not by the payload object.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from operator import is_
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import ref

from rx_cometd._flow.payload import Payload, claim, has_unclaimed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rx_cometd.messages import Message

__all__ = ["InFlight", "Watched"]

_Owner = TypeVar("_Owner")


class Watched(list["Message"]):
    """The messages of a payload that enters: a list that can tell whether somebody holds it."""

    __slots__ = ("__weakref__",)


class InFlight(Generic[_Owner]):
    """A payload inside a pipeline, or what operators made of it.

    Args:
        payload: The payload.
        watched: Its messages, in the list that it entered with.
        messages: The same, as they were when it entered.
        owner: Who waits for it, ``None`` if nobody does.
        replies: The ids of the replies in it.
        deadline: When it should be out, by the loop's clock.

    Attributes:
        owners: Who waits for it; several once payloads were merged.
        replies: The ids of the replies in it that are not out yet.
        receipts: What extensions asked to be told about its messages.
        deadline: When it should be out, by the loop's clock.
        waited_for: Whether it did not come out within the call that pushed it.
    """

    __slots__ = (
        "_entered",
        "_holders",
        "_list",
        "_messages",
        "_original",
        "_released",
        "_stages",
        "deadline",
        "owners",
        "receipts",
        "replies",
        "waited_for",
    )

    def __init__(
        self,
        payload: Payload,
        watched: Watched,
        messages: Sequence[Message],
        *,
        owner: _Owner | None,
        replies: tuple[str, ...],
        deadline: float,
    ) -> None:
        self.owners: tuple[_Owner, ...] = () if owner is None else (owner,)
        self.replies = replies
        self.receipts = payload.receipts
        self.deadline = deadline
        self.waited_for = False
        self._entered = payload.serial
        #: Its messages as they are now; ``None`` in the place of those that are out.
        self._messages: list[Message | None] = list(messages)
        #: How many operators each of them has passed.
        self._stages = [0] * len(messages)
        # Held by an operator that works on the messages alone, and makes a payload of them later.
        self._list: Callable[[], object | None] = ref(watched)
        self._released: Callable[[object], None] | None = None
        #: The payload, and those that were made of it. Operators that hold none of them any more
        #: cannot emit one: that tells a dropped payload from one that takes its time.
        self._original = ref(payload)
        self._holders: list[ref[Payload]] = [self._original]
        payload.in_flight = self

    @property
    def size(self) -> int:
        """How many messages it has, those included that are out."""
        return len(self._messages)

    # -- what operators made of it -----------------------------------------------------------------

    def shares_with(self, payload: Payload) -> int:
        """Count the messages of a payload that are of this one, by identity or ``id``."""
        mine = {id(message) for message in self._messages}
        ids = {_identifier(message) for message in self._messages if message and "id" in message}
        return sum(
            id(message) in mine or ("id" in message and _identifier(message) in ids)
            for message in payload.messages
        )

    def resembles(self, payload: Payload, stage: int) -> bool:
        """Tell whether a payload may be of copies of messages that have no ``id``.

        They are on the same channels, and are those that the operator was to emit next.
        """
        channels = [
            message.get("channel")
            for message, passed in zip(self._messages, self._stages, strict=True)
            if message and "id" not in message and passed < stage
        ]
        return any("id" not in m and m.get("channel") in channels for m in payload.messages)

    def adopt(self, payload: Payload) -> None:
        """Take in a payload that an operator made of this one: it has its receipts from now on."""
        self.receipts.add(payload.receipts)
        payload.receipts = self.receipts
        payload.in_flight = self
        self._holders.append(ref(payload, self._released))

    def merge(self, other: InFlight[_Owner]) -> None:
        """Take in another payload: an operator put messages of both into one."""
        self.owners += other.owners
        self.replies += other.replies
        self.receipts.add(other.receipts)
        self._messages += other._messages
        self._stages += other._stages
        for payload in other.payloads():
            payload.receipts = self.receipts
            payload.in_flight = self
            self._holders.append(ref(payload, self._released))

    def follow(self, payload: Payload, stage: int) -> None:
        """Take note of messages that passed an operator, and of those that replaced others."""
        messages = payload.messages
        if len(messages) == len(self._messages) and all(map(is_, messages, self._messages)):
            self._stages = [stage] * len(messages)
            return
        places = {id(m): place for place, m in enumerate(self._messages) if m is not None}
        new: list[Message] = []
        for message in messages:
            place = places.pop(id(message), None)
            if place is None:
                new.append(message)
            else:
                self._stages[place] = stage
        if not new:
            return
        left = list(places.values())
        new = self._replace(new, left, stage, _identifier)
        left = [place for place in left if self._stages[place] < stage]
        new = self._replace(new, left, stage, _channel)
        left = [place for place in left if self._stages[place] < stage]
        if payload is self._original() and len(new) == len(left):
            # The payload itself, so that they are the same messages, however they were changed.
            self._replace(new, left, stage, _nothing)

    def _replace(
        self,
        new: list[Message],
        places: list[int],
        stage: int,
        key: Callable[[Message], object],
    ) -> list[Message]:
        """Put messages into the first places with the same key; give those that have none."""
        by_key: dict[object, deque[int]] = {}
        for place in places:
            old = self._messages[place]
            if old is not None:
                by_key.setdefault(key(old), deque()).append(place)
        left: list[Message] = []
        for message in new:
            found = by_key.get(key(message))
            if found:
                self._put(found.popleft(), message, stage)
            else:
                left.append(message)
        return left

    def _put(self, place: int, message: Message, stage: int) -> None:
        old = self._messages[place]
        if old is not None:
            self.receipts.move(old, message)
        self._messages[place] = message
        self._stages[place] = stage

    # -- out ---------------------------------------------------------------------------------------

    def emit(self, payload: Payload) -> None:
        """Take note that a payload is out, and give it the receipts of its messages.

        Those of a payload as a whole go with the last of its messages.
        """
        messages = payload.messages
        if payload is self._original() or messages is self._list():
            self._list = _nothing
        payload.emitted = True
        if len(messages) == len(self._messages) and all(map(is_, messages, self._messages)):
            self._messages = []
            self._stages = []
            payload.receipts = self.receipts
            return
        out = {id(message) for message in messages}
        self._messages = [None if id(m) in out else m for m in self._messages]
        payload.receipts = self.receipts.take(out, whole=self.complete)

    @property
    def complete(self) -> bool:
        """Whether all its messages are out."""
        return not any(m is not None for m in self._messages)

    # -- not out -----------------------------------------------------------------------------------

    def payloads(self) -> list[Payload]:
        """Give the payloads of it that somebody holds, and that are not out."""
        held = (holder() for holder in self._holders)
        return [payload for payload in held if payload is not None and not payload.emitted]

    def may_come(self) -> bool:
        """Tell whether anything may still come out: an operator holds a payload.

        That may also be a new one, made since this entered, of which nobody knows yet what its
        messages were.
        """
        held = self._list() is not None or bool(self.payloads())
        return held or has_unclaimed(self._entered)

    def on_released(self, callback: Callable[[object], None]) -> None:
        """Have a callback called whenever nobody holds one of its payloads any more."""
        self._released = callback
        self._holders = [ref(payload, callback) for payload in self.payloads()]
        messages = self._list()
        if messages is not None:
            self._list = ref(messages, callback)

    def rest(self) -> Payload:
        """Give what is not out: as operators left it, or as it was known last."""
        held = self.payloads()
        if len(held) == 1:
            payload = held[0]
        else:
            messages = list(chain.from_iterable(payload.messages for payload in held))
            left = messages or [m for m in self._messages if m is not None]
            payload = Payload(left)
            claim(payload)
        payload.receipts = self.receipts.take({id(m) for m in payload.messages}, whole=True)
        return payload


def _identifier(message: Message) -> object:
    """Give what a message is known by: a reply may have the ``id`` of somebody's event.

    One without is known by nothing, and equals no other.
    """
    return ("data" in message, str(message["id"])) if "id" in message else object()


def _channel(message: Message) -> object:
    return message.get("channel")


def _nothing(_: object = None) -> None:
    """Tell nothing: no message from another; and stand in for a reference to what is out."""
