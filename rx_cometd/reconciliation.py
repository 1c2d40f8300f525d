"""Asking the server for the subscriptions that are wanted, until it has them.

`subscriptions` knows what is wanted and what the server has; here the requests are made that
bring the two together, in this session and in all that follow, and what their replies mean is
told to the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd import messages as m
from rx_cometd.outcomes import Outcome, ResendDue, Subscribed, SubscriptionFailed, Unsubscribed
from rx_cometd.requests import Kind, Request, Requests
from rx_cometd.subscriptions import Subscriptions, fields_of

if TYPE_CHECKING:
    from rx_cometd.backoff import Backoff

__all__ = ["Reconciliation"]


class Reconciliation:
    """Makes subscribes and unsubscribes, and takes what comes of them.

    Args:
        requests: Where requests are registered.
        backoff: Delays between lost requests.
        outcomes: Where what happened is put.

    Attributes:
        subscriptions: What is wanted, and what the server has.
    """

    def __init__(self, requests: Requests, backoff: Backoff, outcomes: list[Outcome]) -> None:
        self.subscriptions = Subscriptions()
        self._requests = requests
        self._backoff = backoff
        self._outcomes = outcomes
        #: Channels whose request was lost; asked for again when the link is back, or a bit later.
        self._lost: list[str] = []

    def ask(self, channel: str) -> Request | None:
        """Make the request for what is wanted of a channel, if the server does not know."""
        wish = self.subscriptions.next_request(channel)
        if wish is None:
            if channel not in self.subscriptions:
                self._outcomes.append(Unsubscribed(channel))
            return None
        kind, subscription = wish
        try:
            fields = fields_of(subscription.fields) if kind is Kind.SUBSCRIBE else {}
        except Exception as error:  # the user's function; its observers are told
            self.subscriptions.requested(subscription, kind, "")
            self.subscriptions.refused(kind, channel, "")
            self._outcomes.append(SubscriptionFailed(channel, error))
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
        return [self.ask(channel) for channel in self.subscriptions.wanted()]

    def succeeded(self, request: Request) -> None:
        """Take a successful reply."""
        self._backoff.reset()
        channel = _channel_of(request)
        if self.subscriptions.succeeded(request.kind, channel, request.id):
            done = Subscribed if request.kind is Kind.SUBSCRIBE else Unsubscribed
            self._outcomes.append(done(channel))

    def failed(self, request: Request, error: Exception) -> None:
        """Take a refusal, or a failure that asking again would not mend."""
        channel = _channel_of(request)
        if self.subscriptions.refused(request.kind, channel, request.id):
            failed = SubscriptionFailed if request.kind is Kind.SUBSCRIBE else Unsubscribed
            self._outcomes.append(failed(channel, error))

    def lost(self, request: Request) -> None:
        """Take it that no reply will come: the request is made anew, a bit later."""
        channel = _channel_of(request)
        if self.subscriptions.lost(channel, request.id):
            if not self._lost:
                self._outcomes.append(ResendDue(self._backoff.next_delay()))
            self._lost.append(channel)

    def take_lost(self) -> list[str]:
        """Take and clear the channels whose requests were lost."""
        lost, self._lost = self._lost, []
        return lost


def _channel_of(request: Request) -> str:
    return str(request.message.get("subscription"))
