"""Requests that wait for their replies, and which reply is whose.

Replies are matched by ``id``. Identifiers are never used twice in the life of a client, so a
reply of an earlier session or of a connect that was given up matches nothing and is dropped:
the identifier is the epoch. Servers that leave the ``id`` out (Lyrion before 8.3) are matched
by channel and subscription, oldest request first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from rx_cometd._protocol.channel_names import is_meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rx_cometd.messages import Message

__all__ = ["Kind", "Request", "Requests", "subscriptions_of"]


class Kind(Enum):
    """What a request asks."""

    HANDSHAKE = "handshake"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PUBLISH = "publish"
    CALL = "call"


#: Members of an enum take long to look up (Python 3.11), and these are for each publish.
_PUBLISH: Final = Kind.PUBLISH
_CALL: Final = Kind.CALL


@dataclass(slots=True, eq=False)
class Request:
    """One message that waits for its reply.

    Attributes:
        kind: What it asks.
        message: The message as it goes out.
        id: Its identifier.
        channel: Its channel.
        credentials: Which generation of credentials it was last sent with.
        retried: Whether it was sent again already, for an extension or new credentials.
        sent: Whether it was handed out to be sent, and not taken back since.
        acknowledged: For a call: the server took it, the answer is still to come.
    """

    kind: Kind
    message: Message
    id: str
    channel: str
    credentials: int = 0
    retried: bool = False
    sent: bool = False
    acknowledged: bool = False


class Requests:
    """The requests that wait, by identifier, in the order in which they were made."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waiting: dict[str, Request] = {}
        #: Calls among them: looked up for event messages, and nearly always empty.
        self.calls: dict[str, Request] = {}

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def has_any(self, request_ids: Iterable[str]) -> bool:
        """Tell whether any of some requests waits."""
        return not self._waiting.keys().isdisjoint(request_ids)

    def add(self, kind: Kind, message: Message) -> Request:
        """Register a message as a request, and give it its identifier."""
        message["id"] = request_id = str(next(self._numbers))
        request = Request(kind, message, request_id, message.get("channel", ""))
        self._waiting[request.id] = request
        if kind is _CALL:
            self.calls[request.id] = request
        return request

    def get(self, request_id: str) -> Request | None:
        """Find a waiting request."""
        return self._waiting.get(request_id)

    def settle(self, request: Request) -> None:
        """Forget a request: it was answered, or never will be."""
        self._waiting.pop(request.id, None)
        self.calls.pop(request.id, None)

    def settle_published(self, replies: list[Any]) -> bool:
        """Forget the publishes that a payload answers, if it holds nothing but such answers.

        Args:
            replies: The messages of the payload, whatever the JSON function made of them.

        Returns:
            Whether it does. If not, nothing is forgotten.
        """
        waiting = self._waiting
        try:
            for reply in replies:
                request = waiting[reply["id"]]
                if request.kind is not _PUBLISH or not request.sent:
                    return False
                if reply["channel"] != request.channel or "data" in reply:
                    return False
                if reply["successful"] is not True:
                    return False
        except (KeyError, TypeError):  # it lacks a field, or is something else altogether
            return False
        for reply in replies:
            waiting.pop(reply["id"], None)
        return True

    def take_all(self) -> list[Request]:
        """Forget every request, and give them."""
        requests = list(self._waiting.values())
        self._waiting.clear()
        self.calls.clear()
        return requests

    def all(self) -> list[Request]:
        """Give the waiting requests."""
        return list(self._waiting.values())

    def sent(self) -> list[Request]:
        """Give the waiting requests that were sent."""
        return [request for request in self._waiting.values() if request.sent]

    def of(self, *kinds: Kind) -> list[Request]:
        """Give the waiting requests of some kinds."""
        return [request for request in self._waiting.values() if request.kind in kinds]

    def forget(self, *kinds: Kind) -> None:
        """Expect no reply to the requests of some kinds."""
        for request in self.of(*kinds):
            self.settle(request)

    def waiting(self, request_ids: Iterable[str]) -> list[Request]:
        """Give those of some requests that were sent, and still wait; each of them once."""
        found = (self._waiting.get(request_id) for request_id in dict.fromkeys(request_ids))
        return [request for request in found if request is not None and request.sent]

    def not_waiting(self, request_ids: Iterable[str]) -> list[str]:
        """Give those of some identifiers that no request has that was sent, and still waits."""
        find = self._waiting.get
        return [i for i in request_ids if (request := find(i)) is None or not request.sent]

    def match(self, reply: Message) -> Request | None:
        """Find the request that a reply answers, ``None`` for a stale or foreign one.

        What leaves out the ``id`` or the ``channel`` must at least say how it went, or it is
        no reply at all. Messages on meta channels are nothing but replies.
        """
        reply_id = reply.get("id")
        channel: object = reply.get("channel")
        tells = "successful" in reply or "error" in reply
        if reply_id is None or reply_id == "":
            meta = isinstance(channel, str) and is_meta(channel)
            return self._match_without_id(reply) if meta or tells else None
        request = self._waiting.get(str(reply_id))
        if request is None or not request.sent:
            return None
        return request if channel == request.channel or (channel is None and tells) else None

    def _match_without_id(self, reply: Message) -> Request | None:
        channel = reply.get("channel")
        named = subscriptions_of(reply)
        for request in self._waiting.values():
            if not request.sent or request.channel != channel:
                continue
            if not named or request.message.get("subscription") in named:
                return request
        return None


def subscriptions_of(message: Message) -> tuple[object, ...]:
    """Give the channels that a message names as its subscription: one, several or none."""
    subscription = message.get("subscription")
    if subscription is None:
        return ()
    return tuple(subscription) if isinstance(subscription, list) else (subscription,)
