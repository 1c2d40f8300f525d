"""What the user asks of a session: publishes, calls, subscribes, and who waits for them.

All of it is sent at the end of the turn of the event loop in which it was asked for, in one
payload, unless a batch holds it back for longer. The protocol knows what became of a request; here
is who is told of it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from rx_cometd._session.waiters import Waiters
from rx_cometd.exceptions import (
    BufferOverflowError,
    ClientInvalidOperation,
    TransportConnectionClosed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rx_cometd._protocol.outcomes import Settled
    from rx_cometd._protocol.protocol import Protocol
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.lanes import Lanes
    from rx_cometd.messages import Message

__all__ = ["UserRequests"]

_log = logging.getLogger("rx_cometd.session")


class UserRequests:
    """The requests of one session's user.

    Args:
        protocol: Told of what is asked for.
        lanes: Sends it.
        max_outbox: How many publishes and calls may wait; ``<= 0`` is unbounded.
        call_begins: Called when a call begins, whose answer comes by a connect.
    """

    def __init__(
        self,
        protocol: Protocol,
        lanes: Lanes,
        max_outbox: int,
        *,
        call_begins: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._lanes = lanes
        self._max_outbox = max_outbox
        self._call_begins = call_begins
        #: Who waits for the reply to a request, by its id.
        self._replies: dict[str, asyncio.Future[Message]] = {}
        self._confirmations: Waiters[None] = Waiters()
        #: Who holds batches back.
        self._batching: list[asyncio.Task[Any] | None] = []
        #: Whether nothing more is taken for sending, for the client is being drained.
        self._draining = False
        self._ended = False
        #: Why the session ended, ``None`` where it was closed in order.
        self._error: Exception | None = None

    # -- what is asked for ---------------------------------------------------------------------

    async def publish(
        self, channel: str, data: object, fields: Mapping[str, Any], *, call: bool = False
    ) -> Message:
        """Publish, or call a service, and give the reply.

        Raises:
            ServerError: The server refused.
            TransportError: It was not sent, or the reply is lost.
            ExtensionError: An extension failed, or dropped the message.
            ClientError: The data cannot be encoded.
            ClientInvalidOperation: The session is over, or being drained.
            BufferOverflowError: ``max_outbox`` requests wait already.
        """
        if self._ended:
            raise self._error or ClientInvalidOperation("the client is closed")
        if self._draining:
            raise ClientInvalidOperation("the client is being drained: nothing more is sent")
        if self._batching:
            self.check_outside_batch()
        limit = self._max_outbox
        if 0 < limit <= len(self._replies):
            raise BufferOverflowError(limit, outbox=True)
        request_id = self._protocol.publish(channel, data, fields, call=call)
        reply: asyncio.Future[Message] = self._loop.create_future()
        self._replies[request_id] = reply
        if call:
            self._call_begins()
        self._lanes.gather_soon()
        try:
            return await reply
        except BaseException:
            if self._replies.pop(request_id, None) is not None:  # the caller gave up
                self._protocol.cancel(request_id)
            raise

    def subscribe(self, channel: str, fields: Fields = None) -> None:
        """Have a channel subscribed to; an unsubscribe not sent yet is settled by it."""
        self._confirmations.settle(_without(channel), None)
        self._protocol.subscribe(channel, fields)
        self.flush_soon()

    def unsubscribe(self, channel: str) -> None:
        """Have a channel unsubscribed from."""
        if not self._ended:
            self._protocol.unsubscribe(channel)
            self.flush_soon()

    async def confirmed(self, channel: str) -> None:
        """Wait for the server to confirm the subscription to a channel.

        Raises:
            ServerError: It refused.
        """
        if not self._protocol.is_subscribed(channel):
            self.check_outside_batch()
            await self._confirmations.wait(channel)

    async def unsubscribed(self, channel: str) -> None:
        """Wait for the server to confirm an unsubscribe.

        Raises:
            ServerError: It refused.
        """
        await self._confirmations.wait(_without(channel))

    # -- when it is sent -----------------------------------------------------------------------

    def hold_batch(self, task: asyncio.Task[Any] | None) -> None:
        """Hold ordinary payloads back, for the batch of a task."""
        self._batching.append(task)
        self._lanes.hold_batch()

    def release_batch(self, task: asyncio.Task[Any] | None) -> None:
        """Send ordinary payloads again, if no other batch holds them back."""
        self._batching.remove(task)
        if not self._ended:
            self._lanes.release_batch()

    def check_outside_batch(self) -> None:
        """Refuse to wait for what this task itself holds back.

        Raises:
            ClientInvalidOperation: It is within `batch`.
        """
        if self._batching and asyncio.current_task() in self._batching:
            raise ClientInvalidOperation(
                "no reply can come within batch(), which holds the requests back: make a task "
                "within it, asyncio.create_task(client.publish(...)), and await that after it"
            )

    def flush_soon(self) -> None:
        """Send what was asked for, at the end of this turn of the event loop."""
        if not self._ended:
            self._lanes.gather_soon()

    async def flushed(self) -> None:
        """Take nothing more for sending, and wait until all that waits is answered."""
        self._draining = True
        while self._replies:
            await asyncio.wait(list(self._replies.values()))

    # -- what became of it ---------------------------------------------------------------------

    def settle(self, outcome: Settled) -> None:
        """Tell who waits for the reply to a request."""
        reply = self._replies.pop(outcome.request_id, None)
        if reply is None or reply.done():
            return
        if outcome.reply is not None:
            reply.set_result(outcome.reply)
        else:
            reply.set_exception(outcome.error or TransportConnectionClosed("the reply is lost"))

    def answered(self, replies: list[Message]) -> None:
        """Tell who waits for the replies to publishes that the server took."""
        for message in replies:
            reply = self._replies.pop(message.get("id", ""), None)
            if reply is not None and not reply.done():
                reply.set_result(message)

    def settle_subscribe(self, channel: str, error: Exception | None) -> None:
        """Tell who waits for the subscription to a channel."""
        self._settle_confirmation(channel, error)

    def settle_unsubscribe(self, channel: str, error: Exception | None) -> None:
        """Tell who waits for an unsubscribe."""
        self._settle_confirmation(_without(channel), error)
        if error is not None:
            _log.info(
                "the unsubscribe from %s failed: %s",
                channel,
                error,
                extra={
                    "event": "unsubscribe_failed",
                    "channel": channel,
                    "error_type": type(error).__name__,
                },
            )
        elif not self._protocol.is_known(channel):
            # Who still waits for the subscribe that was taken back would do so for ever.
            gone = ClientInvalidOperation(f"{channel} was unsubscribed from meanwhile")
            self._confirmations.fail(channel, gone)

    def _settle_confirmation(self, key: str, error: Exception | None) -> None:
        if error is None:
            self._confirmations.settle(key, None)
        else:
            self._confirmations.fail(key, error)

    def end(self, error: Exception | None) -> None:
        """Tell everybody that the session is over, ``None`` if it was closed in order."""
        self._ended = True
        self._error = error
        gone = error or ClientInvalidOperation("the client was closed")
        self._confirmations.fail_all(gone)
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            if not reply.done():
                reply.set_exception(gone)


def _without(channel: str) -> str:
    """Give the key under which an unsubscribe is waited for; no channel begins like this."""
    return f"-{channel}"
