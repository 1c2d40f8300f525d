"""What the tests of the extensions share: an extension composed as a session composes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from multidict import CIMultiDict
from reactivex import Subject

from rx_cometd.extension import Extension, Payload

if TYPE_CHECKING:
    from rx_cometd.messages import Message


class Composed:
    """The two operators of one session of an extension, between subjects."""

    def __init__(self, extension: Extension) -> None:
        operators = extension.operators()
        self.errors: list[Exception] = []
        self.sent: list[Payload] = []
        self.received: list[Payload] = []
        self._to_send = Subject[Payload]()
        self._to_receive = Subject[Payload]()
        outbound = operators.outbound(self._to_send) if operators.outbound else self._to_send
        inbound = operators.inbound(self._to_receive) if operators.inbound else self._to_receive
        self._subscriptions = [
            outbound.subscribe(self.sent.append, self.errors.append),
            inbound.subscribe(self.received.append, self.errors.append),
        ]

    def send(self, *messages: dict[str, Any], headers: dict[str, str] | None = None) -> Payload:
        """Pass a payload through the outbound operator."""
        payload = Payload(cast("list[Message]", list(messages)), CIMultiDict(headers or {}))
        self._to_send.on_next(payload)
        return payload

    def receive(self, *messages: dict[str, Any], deliver: bool = True) -> Payload:
        """Pass a payload through the inbound operator, and say that it was delivered."""
        payload = Payload(cast("list[Message]", list(messages)))
        self._to_receive.on_next(payload)
        if deliver:
            payload.delivered()
        return payload

    def process(self, payload: Payload, index: int = 0) -> None:
        """Say that an event message of a payload was processed."""
        for callback in payload.processed_callbacks().get(id(payload.messages[index]), []):
            callback()

    def dispose(self) -> None:
        for subscription in self._subscriptions:
            subscription.dispose()
