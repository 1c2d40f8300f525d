"""A topic of one partition whose last record is all that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd.relay.kafka_client import admin as administration
from rx_cometd.relay.kafka_client import aiokafka, errors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ensure_compacted", "last_value", "servers_of"]

#: How many offsets are looked at, from the end; ten times as many if no record is among them,
#: for aborted transactions and the marks of transactions take offsets as well.
_TAIL = 20
_FACTOR = 10


def servers_of(url: str) -> list[str]:
    """Give the bootstrap servers of ``kafka://host:port,host:port``.

    >>> servers_of("kafka://a:9092,b:9092")
    ['a:9092', 'b:9092']
    """
    return url.removeprefix("kafka://").rstrip("/").split(",")


async def ensure_compacted(options: Mapping[str, Any], topic: str, replication_factor: int) -> None:
    """Create the topic, if there is none."""
    admin = administration.AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        if topic in await admin.list_topics():
            return
        config = {"cleanup.policy": "compact", "segment.bytes": str(16 * 1024 * 1024)}
        new = administration.NewTopic(topic, 1, replication_factor, topic_configs=config)
        response = await admin.create_topics([new])
        for _, code, *_ in response.topic_errors:
            if code and code != errors.TopicAlreadyExistsError.errno:
                raise ConnectionError(f"the topic {topic} could not be created (error {code})")
    finally:
        await admin.close()


async def last_value(options: Mapping[str, Any], topic: str) -> bytes | None:
    """Give the value of the last record that was committed, ``None`` if there is none."""
    consumer = aiokafka.AIOKafkaConsumer(
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
