"""Which channels are desired, which the server has, and the requests that bring the two together.

A subscription is desired beyond a session: what is *desired* is set by `desire` and
`undesire`, what the server *has* by its replies, and `next_request` tells what to ask of the
server so that the two agree. Asking late therefore costs nothing: a dispose and a subscribe
within one turn of the event loop cancel out. `Reconciliation` makes those requests, in this session
and in all that follow, and tells the session what their replies mean.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from rx_cometd import messages as m
from rx_cometd._protocol.backoff import MOST_ASKED
from rx_cometd._protocol.outcomes import (
    Outcome,
    ResendDue,
    Subscribed,
    SubscriptionFailed,
    Unsubscribed,
)
from rx_cometd._protocol.refusals import not_subscribed
from rx_cometd._protocol.requests import Kind, Request, Requests
from rx_cometd._protocol.user_functions import call

if TYPE_CHECKING:
    from rx_cometd._protocol.backoff import Backoff

__all__ = ["Fields", "Reconciliation", "Subscription", "Subscriptions", "fields_of"]

Fields: TypeAlias = Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None


def fields_of(fields: Fields) -> dict[str, Any]:
    """Give extra fields, asking again where they are made by a callable.

    Raises:
        TypeError: They are no mapping.
        ClientError: The user's function raised what is no `Exception`, as a cancellation.
        Exception: What it raised otherwise.
    """
    if fields is None:
        return {}
    given: Any = call(fields, "fields") if callable(fields) else fields
    if not isinstance(given, Mapping):
        if inspect.iscoroutine(given):
            given.close()  # nobody awaits it, which Python would warn of besides
        # Its type only: fields may hold credentials.
        raise TypeError(
            "fields must be a mapping, or a plain function that gives one, "
            f"not a {type(given).__name__}"
        )
    return dict(cast("Mapping[str, Any]", given))


class _Known(Enum):
    """What the server was asked, or said, last."""

    ABSENT = "absent"
    SUBSCRIBING = "subscribing"
    SUBSCRIBED = "subscribed"
    UNSUBSCRIBING = "unsubscribing"
    UNCERTAIN = "uncertain"
    """A request was lost: the server may have acted on it, or not."""


@dataclass(slots=True, eq=False)
class Subscription:
    """One channel or glob.

    Attributes:
        channel: Its name.
        fields: Extra fields of its subscribe requests.
        desired: Whether anybody observes it.
        known: What the server knows of it.
        request_id: The request under way; replies to earlier ones no longer count.
        doubted: Whether an earlier request was lost, or may be yet, so that nobody knows what the
            server had when it refuses the next one.
    """

    channel: str
    fields: Fields = None
    desired: bool = True
    known: _Known = _Known.ABSENT
    request_id: str = ""
    doubted: bool = False


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

    def desired(self) -> list[str]:
        """Give the channels that are desired, in the order in which they first were."""
        return [s.channel for s in self._by_channel.values() if s.desired]

    def desire(self, channel: str, fields: Fields) -> None:
        """Desire a channel: somebody observes it."""
        subscription = self._by_channel.get(channel)
        if subscription is None:
            self._by_channel[channel] = Subscription(channel, fields)
        else:
            subscription.desired = True
            subscription.fields = fields

    def undesire(self, channel: str) -> None:
        """Desire a channel no longer."""
        subscription = self._by_channel.get(channel)
        if subscription is not None:
            subscription.desired = False
            self._forget_if_idle(subscription)

    def new_session(self) -> list[str]:
        """Note that the server knows nothing any more. Gives the channels no longer desired."""
        for subscription in self._by_channel.values():
            subscription.known = _Known.ABSENT
            subscription.doubted = False
        undesired = [s.channel for s in self._by_channel.values() if not s.desired]
        for channel in undesired:
            del self._by_channel[channel]
        return undesired

    def __contains__(self, channel: object) -> bool:
        return channel in self._by_channel

    def next_request(self, channel: str) -> tuple[Kind, Subscription] | None:
        """Tell what to ask of the server about a channel, ``None`` if nothing."""
        subscription = self._by_channel.get(channel)
        if subscription is None:
            return None
        asked = subscription.known in (_Known.SUBSCRIBING, _Known.SUBSCRIBED)
        if subscription.desired == asked and subscription.known is not _Known.UNCERTAIN:
            return None
        return (Kind.SUBSCRIBE if subscription.desired else Kind.UNSUBSCRIBE), subscription

    def requested(self, subscription: Subscription, kind: Kind, request_id: str) -> None:
        """Note that a request is under way."""
        subscription.doubted |= subscription.known not in (_Known.ABSENT, _Known.SUBSCRIBED)
        subscription.request_id = request_id
        subscription.known = _Known.SUBSCRIBING if kind is Kind.SUBSCRIBE else _Known.UNSUBSCRIBING

    def succeeded(self, kind: Kind, channel: str, request_id: str) -> bool:
        """Note a reply. Tells whether it still counts."""
        subscription = self._current(channel, request_id)
        if subscription is None:
            return False
        subscription.known = _Known.SUBSCRIBED if kind is Kind.SUBSCRIBE else _Known.ABSENT
        subscription.doubted = False
        self._forget_if_idle(subscription)
        return True

    def refused(self, kind: Kind, channel: str, request_id: str) -> bool:
        """Note a refusal. Tells whether it still counts.

        A refused subscribe is desired no longer; a refused unsubscribe leaves the server as it was.
        Where the server may have the channel from before, it stays to be unsubscribed from. Where
        it may never have had it, the unsubscribe may be refused for that, and who desires the
        channel again has to ask.
        """
        subscription = self._current(channel, request_id)
        if subscription is None:
            return False
        if kind is Kind.SUBSCRIBE and subscription.doubted:
            subscription.desired = False
            subscription.known = _Known.UNCERTAIN
        elif kind is Kind.SUBSCRIBE:
            del self._by_channel[channel]
        elif subscription.doubted:
            subscription.known = _Known.ABSENT
            self._forget_if_idle(subscription)
        else:
            subscription.known = _Known.SUBSCRIBED
        return True

    def lost(self, channel: str, request_id: str) -> bool:
        """Note that no reply will come, so that the server must be asked again.

        Subscribing is idempotent, which is why a subscribe may be repeated and a publish may not.
        What is asked then is what is desired by then: the server may know of the channel though
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
        if not subscription.desired and subscription.known is _Known.ABSENT:
            del self._by_channel[subscription.channel]


class Reconciliation:
    """Makes subscribes and unsubscribes, and takes what comes of them.

    Args:
        requests: Where requests are registered.
        backoff: Delays between lost requests.
        outcomes: Where what happened is put.

    Attributes:
        subscriptions: What is desired, and what the server has.
    """

    def __init__(self, requests: Requests, backoff: Backoff, outcomes: list[Outcome]) -> None:
        self.subscriptions = Subscriptions()
        self._requests = requests
        self._backoff = backoff
        self._outcomes = outcomes
        #: Channels whose request was lost; asked for again when the link is back, or a bit later.
        self._lost: list[str] = []
        self._delay = 0.0

    def ask(self, channel: str) -> Request | None:
        """Make the request for what is desired of a channel, if the server does not know."""
        needed = self.subscriptions.next_request(channel)
        if needed is None:
            if channel not in self.subscriptions:
                self._outcomes.append(Unsubscribed(channel))
            return None
        kind, subscription = needed
        try:
            fields = fields_of(subscription.fields) if kind is Kind.SUBSCRIBE else {}
        except Exception as error:  # the user's function; its observers are told
            self.subscriptions.requested(subscription, kind, "")
            self._refused(kind, channel, "", error)
            return None
        meta = m.SUBSCRIBE if kind is Kind.SUBSCRIBE else m.UNSUBSCRIBE
        message: Any = {**fields, "channel": meta, "subscription": channel}
        request = self._requests.add(kind, message)
        self.subscriptions.requested(subscription, kind, request.id)
        return request

    def ask_all(self) -> list[Request | None]:
        """Make the requests for a new session, which knows of nothing."""
        for request in self._requests.of(Kind.SUBSCRIBE, Kind.UNSUBSCRIBE):
            self._requests.settle(request)
        self._lost.clear()
        self._outcomes += [Unsubscribed(channel) for channel in self.subscriptions.new_session()]
        return [self.ask(channel) for channel in self.subscriptions.desired()]

    def succeeded(self, request: Request) -> None:
        """Take a successful reply."""
        self._backoff.reset()
        channel = _channel_of(request)
        if self.subscriptions.succeeded(request.kind, channel, request.id):
            done = Subscribed if request.kind is Kind.SUBSCRIBE else Unsubscribed
            self._outcomes.append(done(channel))

    def failed(self, request: Request, error: Exception) -> None:
        """Take a refusal, or a failure that asking again would not mend.

        An unsubscribe from what the server does not know of, for the subscribe was lost, is done.
        """
        if request.kind is Kind.UNSUBSCRIBE and not_subscribed(error):
            self.succeeded(request)
            return
        self._refused(request.kind, _channel_of(request), request.id, error)

    def _refused(self, kind: Kind, channel: str, request_id: str, error: Exception) -> None:
        if not self.subscriptions.refused(kind, channel, request_id):
            return
        failed = SubscriptionFailed if kind is Kind.SUBSCRIBE else Unsubscribed
        self._outcomes.append(failed(channel, error))
        if kind is Kind.SUBSCRIBE and channel in self.subscriptions:
            self._ask_later(channel)

    def lost(self, request: Request, asked: float = 0.0) -> tuple[int, float]:
        """Take note that no reply will come: the request is made again, a bit later.

        Gives which attempt in a row that is, and in how many seconds it is made.

        Args:
            request: The request.
            asked: Seconds that the server asked to wait.
        """
        channel = _channel_of(request)
        if self.subscriptions.lost(channel, request.id):
            self._ask_later(channel, asked)
        return self._backoff.count, self._delay

    def _ask_later(self, channel: str, asked: float = 0.0) -> None:
        if not self._lost:
            self._delay = max(self._backoff.next_delay(), min(asked, MOST_ASKED))
            self._outcomes.append(ResendDue(self._delay))
        self._lost.append(channel)

    def take_lost(self) -> list[str]:
        """Take and clear the channels whose requests were lost."""
        lost, self._lost = self._lost, []
        return lost


def _channel_of(request: Request) -> str:
    return str(request.message.get("subscription"))
