"""Which channels are wanted, and which the server knows of.

A subscription is a wish that outlives sessions: what is *wanted* is set by `want` and
`unwant`, what the server *has* by its replies, and `next_request` tells what to ask of the
server so that the two agree. Asking late therefore costs nothing: a dispose and a subscribe
within one turn of the event loop cancel out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from rx_cometd.requests import Kind

__all__ = ["Fields", "Subscription", "Subscriptions", "fields_of"]

Fields: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


def fields_of(fields: Fields) -> dict[str, Any]:
    """Give extra fields, asking anew where they are made by a callable."""
    if fields is None:
        return {}
    return dict(fields() if callable(fields) else fields)


class _Known(Enum):
    """What the server was asked, or said, last."""

    ABSENT = "absent"
    SUBSCRIBING = "subscribing"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBING = "unsubscribing"
    UNCERTAIN = "uncertain"
    """A request was lost: the server may have acted upon it, or not."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One channel or glob.

    Attributes:
        channel: Its name.
        fields: Extra fields of its subscribe requests.
        wanted: Whether anybody observes it.
        known: What the server knows of it.
        request_id: The request under way; replies to earlier ones no longer count.
    """

    channel: str
    fields: Fields = None
    wanted: bool = True
    known: _Known = _Known.ABSENT
    request_id: str = ""


class Subscriptions:
    """The subscriptions of a client, by channel."""

    def __init__(self) -> None:
        self._by_channel: dict[str, Subscription] = {}

    def confirmed(self) -> frozenset[str]:
        """Give the channels that the server has confirmed."""
        return frozenset(
            s.channel for s in self._by_channel.values() if s.known is _Known.SUBSCRIBED
        )

    def is_confirmed(self, channel: str) -> bool:
        """Tell whether the server has confirmed a channel."""
        subscription = self._by_channel.get(channel)
        return subscription is not None and subscription.known is _Known.SUBSCRIBED

    def wanted(self) -> list[str]:
        """Give the channels that are wanted, in the order in which they first were."""
        return [s.channel for s in self._by_channel.values() if s.wanted]

    def want(self, channel: str, fields: Fields) -> None:
        """Wish for a channel."""
        subscription = self._by_channel.get(channel)
        if subscription is None:
            self._by_channel[channel] = Subscription(channel, fields)
        else:
            subscription.wanted = True
            subscription.fields = fields

    def unwant(self, channel: str) -> None:
        """Wish for a channel no longer."""
        subscription = self._by_channel.get(channel)
        if subscription is not None:
            subscription.wanted = False
            self._forget_if_idle(subscription)

    def new_session(self) -> list[str]:
        """Note that the server knows nothing any more. Gives what it need not hear of now."""
        for subscription in self._by_channel.values():
            subscription.known = _Known.ABSENT
        unwanted = [s.channel for s in self._by_channel.values() if not s.wanted]
        for channel in unwanted:
            del self._by_channel[channel]
        return unwanted

    def __contains__(self, channel: object) -> bool:
        return channel in self._by_channel

    def next_request(self, channel: str) -> tuple[Kind, Subscription] | None:
        """Tell what to ask of the server about a channel, ``None`` if nothing."""
        subscription = self._by_channel.get(channel)
        if subscription is None:
            return None
        asked = subscription.known in (_Known.SUBSCRIBING, _Known.SUBSCRIBED)
        if subscription.wanted == asked and subscription.known is not _Known.UNCERTAIN:
            return None
        return (Kind.SUBSCRIBE if subscription.wanted else Kind.UNSUBSCRIBE), subscription

    def requested(self, subscription: Subscription, kind: Kind, request_id: str) -> None:
        """Note that a request is under way."""
        subscription.request_id = request_id
        subscription.known = _Known.SUBSCRIBING if kind is Kind.SUBSCRIBE else _Known.UNSUBSCRIBING

    def succeeded(self, kind: Kind, channel: str, request_id: str) -> bool:
        """Note a reply. Tells whether it still counts."""
        subscription = self._current(channel, request_id)
        if subscription is None:
            return False
        subscription.known = _Known.SUBSCRIBED if kind is Kind.SUBSCRIBE else _Known.ABSENT
        self._forget_if_idle(subscription)
        return True

    def refused(self, kind: Kind, channel: str, request_id: str) -> bool:
        """Note a refusal. Tells whether it still counts.

        A refused subscribe ends the wish; a refused unsubscribe leaves the server as it was.
        """
        subscription = self._current(channel, request_id)
        if subscription is None:
            return False
        if kind is Kind.SUBSCRIBE:
            del self._by_channel[channel]
        else:
            subscription.known = _Known.SUBSCRIBED
        return True

    def lost(self, channel: str, request_id: str) -> bool:
        """Note that no reply will come, so that the server must be asked again.

        Subscribing is idempotent, which is why the wish may be repeated and a publish may not.
        What is asked then is what is wanted by then: the server may know of the channel though
        its reply was lost. Tells whether the request still counted.
        """
        subscription = self._current(channel, request_id)
        if subscription is None:
            return False
        subscription.known = _Known.UNCERTAIN
        return True

    def _current(self, channel: str, request_id: str) -> Subscription | None:
        subscription = self._by_channel.get(channel)
        if subscription is None or subscription.request_id != request_id:
            return None
        return subscription

    def _forget_if_idle(self, subscription: Subscription) -> None:
        if not subscription.wanted and subscription.known is _Known.ABSENT:
            del self._by_channel[subscription.channel]
