"""Events of channels that were left, which must not count as processed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reactivex import operators as ops

from rx_cometd import Extension
from rx_cometd.messages import SUBSCRIBE

if TYPE_CHECKING:
    from rx_cometd import Payload
    from rx_cometd.messages import Message

__all__ = ["Departures"]


class Departures:
    """Drops the events of channels that were left, until they are subscribed to again.

    Between the unsubscribe and its reply the server may still send events. Nobody observes them,
    so that the extension `replay` would take them for processed, and its marker would pass them.
    The extension of this one stands before it, so that it never sees them.

    Attributes:
        channels: The channels that were left, without queries.
    """

    def __init__(self) -> None:
        self.channels: set[str] = set()

    def extension(self) -> Extension:
        """Make the extension that drops them."""
        return Extension.of(inbound=ops.do_action(self._receive))

    def _receive(self, payload: Payload) -> None:
        if self.channels:
            # One by one: what follows the reply to a subscribe is of the new subscription.
            payload.messages[:] = [m for m in payload.messages if self._is_wanted(m)]

    def _is_wanted(self, message: Message) -> bool:
        channel = message.get("channel", "")
        if channel == SUBSCRIBE and message.get("successful") is True:
            names = message.get("subscription", [])
            for name in [names] if isinstance(names, str) else names:
                self.channels.discard(name.partition("?")[0])
        return channel not in self.channels
