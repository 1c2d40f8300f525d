"""Payloads as extensions see them, and the receipts that extensions ask for.

This is only the object that is handed around. `rx_cometd._session.in_flight` follows its messages
through the operators.
"""

from __future__ import annotations

import logging
from itertools import chain, count
from typing import TYPE_CHECKING
from weakref import WeakSet

from multidict import CIMultiDict

from rx_cometd._protocol.user_functions import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence

    from rx_cometd.messages import Message

__all__ = ["Payload", "Receipts", "claim", "give_receipts", "has_unclaimed"]

_log = logging.getLogger("rx_cometd.pipeline")


class Receipts:
    """What extensions asked to be told about the messages of an inbound payload.

    They follow the messages: the session moves them where an operator puts another message, or
    another payload, in the place of one.

    Attributes:
        delivered: Called once all messages were delivered.
        processed: Called once a message was processed, by ``id(message)``.
        retries: The ids of the replies whose requests are to be sent again.
    """

    __slots__ = ("delivered", "processed", "retries")

    def __init__(self) -> None:
        self.delivered: tuple[Callable[[], None], ...] = ()
        self.processed: dict[int, tuple[Callable[[], None], ...]] = {}
        self.retries: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.delivered or self.processed)

    def add(self, other: Receipts) -> None:
        """Take in those of another payload, one made of the same messages or merged with it."""
        if other is not self:
            self.delivered += other.delivered
            for key, callbacks in other.processed.items():
                self.processed[key] = self.processed.get(key, ()) + callbacks
            self.retries |= other.retries

    def move(self, old: Message, new: Message) -> None:
        """Move those of a message to the one that is there instead."""
        callbacks = self.processed.pop(id(old), None)
        if callbacks is not None:
            self.processed[id(new)] = callbacks

    def take(self, keys: Collection[int], *, whole: bool) -> Receipts:
        """Take out those of some messages, and, with the last of them, those of the whole."""
        taken = Receipts()
        taken.retries = self.retries
        if self.processed:
            for key in self.processed.keys() & keys:
                taken.processed[key] = self.processed.pop(key)
        if whole:
            taken.delivered, self.delivered = self.delivered, ()
        return taken

    def settle(self) -> None:
        """Call those that are left: their messages were dropped, and nobody will process them."""
        callbacks = [*self.delivered, *chain.from_iterable(self.processed.values())]
        self.delivered = ()
        self.processed.clear()
        give_receipts(callbacks)


class Payload:
    """What travels in one piece: a list of messages, and the headers that go with it.

    An operator may emit another one in its place, of the same messages, of copies, of some of
    them, or of those of several payloads. What was asked for with `on_delivered`, `on_processed`
    and `retry` stays with the messages.

    Attributes:
        messages: The messages; the list and the messages may be changed in place. ``id`` is
            the client's and is restored after the outbound pipeline. ``data`` is the very
            object that was published.
        failure: What an extension failed with. Set, it fails the requests of this payload alone
            with an `ExtensionError`, whereas an operator that raises takes along what else is
            in the pipeline at that time.
        emitted: Whether it came out of the pipeline (for the session).
        in_flight: What a pipeline knows of it (for the session).
        serial: A number that grows with each payload made (for the session).
    """

    __slots__ = (
        "__weakref__",
        "_headers",
        "_receipts",
        "emitted",
        "failure",
        "in_flight",
        "messages",
        "serial",
    )

    def __init__(
        self,
        messages: list[Message],
        headers: MutableMapping[str, str] | None = None,
        *,
        known: bool = False,  # to a pipeline: only those that extensions make are not
    ) -> None:
        self.messages = messages
        self.failure: Exception | None = None
        self.emitted = False
        self.in_flight: object | None = None
        self.serial = next(_serials)
        # One payload is made per frame, and most have no use for these: made when asked for.
        self._headers = headers
        self._receipts: Receipts | None = None
        if not known:
            _unclaimed.add(self)

    @property
    def headers(self) -> MutableMapping[str, str]:
        """Headers received, or to send; case-insensitive.

        Empty inbound, and without effect outbound, where the transport has none (a WebSocket
        but for its upgrade).
        """
        if self._headers is None:
            self._headers = CIMultiDict[str]()
        return self._headers

    @headers.setter
    def headers(self, headers: MutableMapping[str, str]) -> None:
        self._headers = headers

    @property
    def receipts(self) -> Receipts:
        """What extensions asked to be told about its messages (for the session)."""
        if self._receipts is None:
            self._receipts = Receipts()
        return self._receipts

    @receipts.setter
    def receipts(self, receipts: Receipts) -> None:
        self._receipts = receipts

    @property
    def has_receipts(self) -> bool:
        """Whether an extension asked to be told about its messages (for the session)."""
        return bool(self._receipts)

    @property
    def retries(self) -> Collection[str]:
        """The ids of the inbound replies that `retry` was asked for."""
        return self.receipts.retries

    def __repr__(self) -> str:
        # Channels only: data and ext are the user's, and may hold credentials.
        channels = ", ".join(str(m.get("channel")) for m in self.messages[:5])
        more = ", ..." if len(self.messages) > 5 else ""
        return f"<Payload of {len(self.messages)}: {channels}{more}>"

    def on_delivered(self, callback: Callable[[], None]) -> None:
        """Have a callback called once all messages of this inbound payload were delivered.

        A message that an extension drops counts as delivered.
        """
        self.receipts.delivered += (callback,)

    def on_processed(self, message: Message, callback: Callable[[], None]) -> None:
        """Have a callback called once an event message was delivered and processed.

        Processed means: every observer's ``on_next`` returned, and the buffers and
        asynchronous operators of rx_cometd that took the message in are done with it.
        Messages need not be processed in order. A message that an extension drops counts as
        processed, one that nobody observes does not.
        """
        processed = self.receipts.processed
        processed[id(message)] = (*processed.get(id(message), ()), callback)

    def retry(self, reply: Message) -> None:
        """Have the request of a failed inbound reply sent again, instead of failing it.

        It passes the outbound pipeline again, and is retried at most once.

        Args:
            reply: The reply; without an ``id`` it is not known what to send again, and the
                request fails.
        """
        if "id" in reply:
            self.receipts.retries |= {str(reply["id"])}

    def delivered(self) -> None:
        """Say that all messages were delivered (for the session)."""
        give_receipts(self.receipts.delivered)

    def processed_callbacks(self) -> Mapping[int, Sequence[Callable[[], None]]]:
        """Give the callbacks of `on_processed` by ``id(message)`` (for the session)."""
        return self.receipts.processed


_serials = count()
#: Payloads that no pipeline knows: an operator has made them and not emitted them yet.
_unclaimed: WeakSet[Payload] = WeakSet()


def give_receipts(callbacks: Iterable[Callable[[], None]]) -> None:
    """Call what extensions asked to have called; one that raises harms neither others nor us."""
    for callback in callbacks:
        try:
            callback()
        except BaseException as error:
            _log.error(
                "a callback of `on_delivered` or `on_processed` failed",
                exc_info=failure_of(error, "on_processed"),
                extra={"event": "callback_failed", "callback": "on_processed"},
            )


def claim(payload: Payload) -> None:
    """Take note that a pipeline knows a payload (for the session)."""
    _unclaimed.discard(payload)


def has_unclaimed(serial: int) -> bool:
    """Tell whether there are payloads that no pipeline knows, made since a serial number."""
    return bool(_unclaimed) and any(payload.serial > serial for payload in _unclaimed)
