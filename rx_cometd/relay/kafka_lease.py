"""The lease of a relay in Kafka: who of a consumer group is given the only partition of a topic."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rx_cometd.relay.errors import LeaseLostError
from rx_cometd.relay.kafka_client import aiokafka, errors, sticky
from rx_cometd.relay.kafka_connection import as_ours, client_of
from rx_cometd.relay.kafka_log import ensure_compacted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KafkaLease"]

_HEARTBEATS = 6


class KafkaLease:
    """Membership in a consumer group of the topic of the markers.

    The group's session timeout is the time of the lease; Kafka allows 6 seconds and more, unless
    the broker is set up otherwise (``group.min.session.timeout.ms``). That nobody writes who
    should have stopped is up to the transactional id of `KafkaSink`.

    Args:
        options: Arguments of aiokafka's clients.
        topic: The topic of the markers.
        replication_factor: Of the topic, if it is created.
        seconds: How long the lease lasts.
    """

    def __init__(
        self, options: Mapping[str, Any], topic: str, replication_factor: int, seconds: float
    ) -> None:
        self._options = options
        self._topic = topic
        self._replication_factor = replication_factor
        self._milliseconds = round(seconds * 1000)
        self._consumer: Any = None

    async def acquire(self) -> bool:
        """Join the group; tell whether the partition is ours by now."""
        try:
            if self._consumer is None:
                await self._join()
        except (errors.KafkaError, OSError, TimeoutError) as error:
            await self._leave()
            raise await as_ours(error, self._options) from error
        consumer: Any = self._consumer
        return bool(consumer.assignment())

    async def renew(self) -> None:
        """See whether the partition is still ours; the consumer renews by itself.

        While the group is being rebalanced, nobody has it: that is waited for.
        """
        consumer = self._consumer
        if consumer is None:
            raise LeaseLostError("the group was left")
        while not consumer.assignment():
            coordinator = consumer._coordinator  # noqa: SLF001 - nothing public tells it
            if not coordinator.need_rejoin():
                raise LeaseLostError("another relay of this name has the partition")
            await asyncio.sleep(0.1)

    async def release(self) -> None:
        """Leave the group."""
        await self._leave()

    async def _join(self) -> None:
        await ensure_compacted(self._options, self._topic, self._replication_factor)
        self._consumer = client_of(
            aiokafka.AIOKafkaConsumer,
            self._topic,
            **self._options,
            group_id=f"lease-{self._topic}",
            enable_auto_commit=False,
            session_timeout_ms=self._milliseconds,
            rebalance_timeout_ms=self._milliseconds,
            heartbeat_interval_ms=self._milliseconds // _HEARTBEATS,
            partition_assignment_strategy=(_assignor(),),
        )
        await self._consumer.start()
        self._consumer.pause(*self._consumer.assignment())

    async def _leave(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with suppress(Exception):  # the broker may be away, which ends the membership too
                async with asyncio.timeout(2.0):
                    await consumer.stop()


def _assignor() -> type[Any]:
    """Make the assignor of one member: who has the partition keeps it when another one joins.

    A class of its own, for aiokafka keeps what a member has been given in the class: two members
    in one process would both say that they had the partition.
    """
    return type("LeaseAssignor", (sticky.StickyPartitionAssignor,), {})
