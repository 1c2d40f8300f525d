"""Payloads that were received, through the operators of the extensions."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from rx_cometd._session.pipeline import Pipeline, malformed
from rx_cometd.exceptions import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reactivex import abc

    from rx_cometd._flow.payload import Payload
    from rx_cometd._session.listeners import Exchange, WireListener
    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message

__all__ = ["Inbound"]

_log = logging.getLogger("rx_cometd.wire")


class Inbound:
    """The inbound pipeline of a session, and what becomes of the payloads in it.

    Args:
        operators: The inbound operators, the one nearest to the wire first.
        listener: Told of the messages, and of what failed.
        timeout: Seconds that a payload may be inside.
        scheduler: What operators that take time run on.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        listener: WireListener,
        timeout: float,
        scheduler: abc.SchedulerBase,
    ) -> None:
        self._listener = listener
        self._pipeline: Pipeline[Exchange] = Pipeline(operators, self, timeout, scheduler)

    def receive(
        self, messages: list[Message], headers: Mapping[str, str] | None, exchange: Exchange
    ) -> None:
        """Have the extensions see messages; the listener is told what comes of it."""
        fields = None if headers is None else CIMultiDict(headers)
        replies = _replies(messages)
        owner = exchange if exchange or replies else None
        self._pipeline.push(messages, fields, owner, replies)

    def holds(self, reply: str) -> bool:
        """Tell whether a reply came, but is still with an extension."""
        return self._pipeline.holds(reply)

    def dispose(self) -> None:
        """End the pipeline."""
        self._pipeline.dispose()

    # -- what the pipeline tells -----------------------------------------------------------------

    def emitted(
        self, owners: tuple[Exchange, ...], payload: Payload, missing: tuple[str, ...]
    ) -> None:
        """Hand on the messages of a payload; replies that an extension dropped fail."""
        simple = not (owners or missing or payload.has_receipts)
        if simple and self._listener.received_events(payload.messages):
            return
        exchange = tuple(chain.from_iterable(owners))
        if missing:
            dropped = ExtensionError("an extension dropped the reply from its payload")
            self._listener.failed(missing, dropped)
        try:
            self._listener.received(payload.messages, exchange, payload)
        except Exception as error:
            # Only messages that an extension made, and that are no list of messages, get us here.
            failure = malformed(error)
            _log.exception("%s", failure, extra={"event": "payload_malformed"})
            self._listener.failed(exchange, failure)

    def failed(
        self,
        owners: tuple[Exchange, ...],
        payload: Payload | None,
        replies: tuple[str, ...],
        error: ExtensionError,
    ) -> None:
        """Deliver the events of a payload that an extension failed on, but fail its requests.

        Event messages are never lost in silence; replies that an extension did not finish
        with cannot be trusted. What an extension dropped on purpose stays dropped.
        """
        self._listener.failed((*chain.from_iterable(owners), *replies), error)
        messages = [] if payload is None else payload.messages
        events = [m for m in messages if "data" in m]
        if payload is not None and events:
            payload.messages = events
            self._listener.received(events, (), payload)


def _replies(messages: list[Message]) -> tuple[str, ...]:
    for message in messages:
        if "data" not in message:
            return tuple([str(m["id"]) for m in messages if "data" not in m and "id" in m])
    return ()  # most often
