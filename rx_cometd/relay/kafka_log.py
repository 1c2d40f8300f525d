"""A topic of one partition whose last record is all that counts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rx_cometd.relay.errors import BrokerUnavailableError
from rx_cometd.relay.kafka_client import admin as administration
from rx_cometd.relay.kafka_client import aiokafka, errors
from rx_cometd.relay.kafka_connection import client_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

__all__ = ["creation_error", "ensure_compacted", "last_value"]

#: How many offsets are looked at, from the end; ten times as many if no record is among them,
#: for aborted transactions and the marks of transactions take offsets as well.
_TAIL = 20
_FACTOR = 10


async def ensure_compacted(options: Mapping[str, Any], topic: str, replication_factor: int) -> None:
    """Create the topic, if there is none."""
    async with _administering(options) as admin:
        if topic in await admin.list_topics():
            return
        config = {"cleanup.policy": "compact", "segment.bytes": str(16 * 1024 * 1024)}
        new = administration.NewTopic(topic, 1, replication_factor, topic_configs=config)
        response = await admin.create_topics([new])
        for _, code, reason, *_ in response.topic_errors:
            if code and code != errors.TopicAlreadyExistsError.errno:
                raise BrokerUnavailableError(
                    f"the topic {topic} could not be created: {reason or errors.for_code(code)}"
                )


async def creation_error(options: Mapping[str, Any], topic: str) -> type[Exception] | None:
    """Ask why a topic could not be created, without creating it; ``None`` if it could."""
    async with _administering(options) as admin:
        new = administration.NewTopic(topic, 1, 1)
        response = await admin.create_topics([new], validate_only=True)
        ((_, code, *_),) = response.topic_errors
        return errors.for_code(code) if code else None


@asynccontextmanager
async def _administering(options: Mapping[str, Any]) -> AsyncGenerator[Any]:
    admin = client_of(administration.AIOKafkaAdminClient, **options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def last_value(options: Mapping[str, Any], topic: str) -> bytes | None:
    """Give the value of the last record that was committed, ``None`` if there is none."""
    consumer = client_of(
        aiokafka.AIOKafkaConsumer,
        **options,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    partition = aiokafka.TopicPartition(topic, 0)
    try:
        await consumer.start()
        consumer.assign([partition])
        # Those of read_committed: nothing is open when this is asked.
        end: int = (await consumer.end_offsets([partition]))[partition]
        begin: int = (await consumer.beginning_offsets([partition]))[partition]
        count, value = _TAIL, None
        while value is None and begin < end:
            start = max(begin, end - count)
            consumer.seek(partition, start)
            while await consumer.position(partition) < end:
                found = await consumer.getmany(partition, timeout_ms=200)
                for record in found.get(partition, ()):
                    value = record.value
            if start == begin:
                break
            count *= _FACTOR
        return value
    finally:
        await consumer.stop()
