"""Events out of NATS JetStream (``pip install 'rx-cometd[nats]'``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nats.errors import TimeoutError as NothingCame
from nats.js.api import AckPolicy, ConsumerConfig

from rx_cometd.relay.addresses import servers_of
from rx_cometd.relay.consuming import Consumed, consume
from rx_cometd.relay.nats_connection import NatsConnection
from rx_cometd.relay.record import event_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext
    from reactivex import Observable

    from rx_cometd.messages import Event

__all__ = ["from_nats"]

#: Seconds after which a record that nobody works on any more comes again.
_ACK_WAIT = 30.0


def from_nats(
    url: str,
    subject: str,
    durable: str,
    *,
    stream: str = "cometd",
    max_in_flight: int = 100,
    options: Mapping[str, Any] | None = None,
) -> Observable[Event]:
    """Make an observable of what a durable consumer of a JetStream stream gives.

    Events come at least once, from the beginning of the stream at first. Several subscriptions of
    one ``durable``, on any number of machines, share them. What was not processed when a process
    died comes again after half a minute, behind what came meanwhile.

    Args:
        url: ``nats://host:port``, several servers of one cluster with commas.
        subject: The subject, or a wildcard: ``cometd.event.>``.
        durable: The name of the consumer; made if there is none.
        stream: The stream.
        max_in_flight: How many events may be delivered and not processed.
        options: Further arguments of nats-py's ``connect``.

    Raises:
        ValueError: ``max_in_flight`` is less than 1, or ``url`` no such address.
    """
    servers_of(url)  # what is wrong with the address is to be known at once
    return consume(lambda: _NatsConsumer(url, subject, durable, stream, options), max_in_flight)


class _NatsConsumer:
    """A pull consumer. What is under way is kept from coming again, however long it takes."""

    def __init__(
        self,
        url: str,
        subject: str,
        durable: str,
        stream: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._connection = NatsConnection(url, options)
        self._subject = subject
        self._durable = durable
        self._stream = stream
        self._seen_by: Client | None = None
        self._subscription: JetStreamContext.PullSubscription | None = None
        # By where their acknowledgements go, which names a delivery.
        self._outstanding: dict[str, Msg] = {}
        self._processed: list[Msg] = []
        #: When it was last told what is under way.
        self._told = 0.0

    async def fetch(self, count: int) -> Sequence[Consumed]:
        async with self._connection.jetstream() as (client, js):
            if self._subscription is None or self._seen_by is not client:
                self._seen_by = client
                self._subscription = await js.pull_subscribe(
                    self._subject,
                    durable=self._durable,
                    stream=self._stream,
                    config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=_ACK_WAIT),
                )
            try:
                messages = await self._subscription.fetch(count, timeout=1.0)
            except NothingCame:
                return []
            self._outstanding |= {message.reply: message for message in messages}
            return [self._consumed(message) for message in messages]

    def _consumed(self, message: Msg) -> Consumed:
        def processed() -> None:
            self._outstanding.pop(message.reply, None)
            self._processed.append(message)

        channel = "/" + message.subject.replace(".", "/")
        return Consumed(event_of(message.headers or {}, message.data, channel=channel), processed)

    async def settle(self) -> None:
        if self._seen_by is None:
            return
        now = asyncio.get_running_loop().time()
        async with self._connection.jetstream():
            if now - self._told >= _ACK_WAIT / 3:
                for message in self._outstanding.values():
                    await message.in_progress()
                self._told = now
            for message in self._processed:
                await message.ack()
            self._processed.clear()

    async def aclose(self) -> None:
        await self._connection.aclose()
