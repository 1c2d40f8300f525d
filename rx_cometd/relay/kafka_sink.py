"""Kafka as the broker of a relay (``pip install 'rx-cometd[kafka]'``)."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rx_cometd.relay.errors import (
    BrokerUnavailableError,
    LeaseLostError,
    RecordRefusedError,
)
from rx_cometd.relay.first import until_first
from rx_cometd.relay.kafka_client import aiokafka, errors, partitioner
from rx_cometd.relay.kafka_connection import as_ours, client_of, client_options, unreachable
from rx_cometd.relay.kafka_lease import KafkaLease
from rx_cometd.relay.kafka_log import creation_error, ensure_compacted, last_value
from rx_cometd.relay.kafka_producer import batches_of, look_at, throw_away
from rx_cometd.relay.names import legal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch, Record

__all__ = ["KafkaSink"]

#: Seconds that a transaction may take. aiokafka would try for ever.
_TIMEOUT = 10.0
#: After how many it is looked, again and again, whether there is a broker at all.
_LOOK = 1.0
_LONGEST_TOPIC = 249


class KafkaSink:
    """A Kafka cluster: each channel a topic, each batch a transaction, the markers in it.

    The key of a record is its channel, so that a channel stays in one partition and in order. The
    markers are in the compacted topic ``cometd-markers-<name>`` of one partition. The name is also
    the transactional id, so that whoever begins to be at work fences off whoever was.

    Args:
        url: ``kafka://host:port``, several of them with commas.
        name: The relay's name.
        replication_factor: Of the topic of the markers, if it is created.
        options: Further arguments of aiokafka's clients: ``security_protocol``,
            ``sasl_mechanism``, ``ssl_context`` (also as arguments of its ``create_ssl_context``:
            ``{"cafile": ...}``)...
        producer: Further arguments of ``AIOKafkaProducer`` alone: ``compression_type``,
            ``max_request_size``...

    Raises:
        ValueError: ``url`` is no such address.
    """

    system = "kafka"

    def __init__(
        self,
        url: str,
        name: str,
        *,
        replication_factor: int = 1,
        options: Mapping[str, Any] | None = None,
        producer: Mapping[str, Any] | None = None,
    ) -> None:
        self._options = client_options(
            url, {"request_timeout_ms": 5000, "retry_backoff_ms": 200, **(options or {})}
        )
        self._name = legal(name)
        self._markers_topic = f"cometd-markers-{self._name}"
        self._replication_factor = replication_factor
        self._producer_options: dict[str, Any] = {
            "transactional_id": f"cometd-{self._name}",
            "transaction_timeout_ms": 30_000,
            "max_batch_size": 128 * 1024,
            "max_request_size": 1024 * 1024,
            "partitioner": partitioner.DefaultPartitioner(),
            **(producer or {}),
        }
        self._partitioner = self._producer_options["partitioner"]
        self._max_bytes: int = self._producer_options["max_request_size"]
        self._producer: Any = None
        self._token: str | None = None
        #: Topics that cannot be, and why.
        self._refused: dict[str, str] = {}
        self._markers: dict[str, ReplayId] = {}

    def __repr__(self) -> str:
        return f"<KafkaSink {self._name}>"

    def subject(self, template: str, channel: str) -> str:
        """Give the topic: segments with dots between them, what Kafka forbids in them ``_``.

        Raises:
            ValueError: The template makes no topic.
        """
        topic = _legal(template.replace("{channel}", channel[1:].replace("/", ".")))
        if topic in ("", ".", ".."):
            raise ValueError(f"{template!r} makes no topic of Kafka: {topic!r} cannot be one")
        return topic

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give the markers; whoever was at work before can write no more."""
        async with self._working():
            await self._discard()
            self._token = await self._open()
            return dict(self._markers)

    async def write(self, batch: Batch) -> None:
        """Write the records and the markers in one transaction."""
        if batch.token == self._token:
            return
        for topic in {record.subject for record in batch.records} & self._refused.keys():
            raise RecordRefusedError(self._refused[topic])
        if any(len(record.value) > self._max_bytes for record in batch.records):
            raise RecordRefusedError(f"it is larger than max_request_size, {self._max_bytes} bytes")
        async with self._working():
            if self._producer is None:
                stored = await self._open()
                if stored == batch.token:
                    # It was committed, though the answer was lost.
                    self._token = stored
                    return
                if stored != self._token:
                    raise LeaseLostError("another relay of this name has written since")
            markers = {**self._markers, **batch.markers}
            told = json.dumps({"token": batch.token, "markers": markers}).encode()
            async with asyncio.timeout(_TIMEOUT):
                await until_first(self._transact(batch, told), self._watch())
            self._token, self._markers = batch.token, markers

    async def _transact(self, batch: Batch, markers: bytes) -> None:
        producer = self._producer
        by_partition = await self._by_partition(batch.records)
        # Not its context manager: that aborts what failed, which takes a broker. What is left
        # open here is aborted when the next producer begins.
        await producer.begin_transaction()
        sent: list[asyncio.Future[Any]] = []
        for (topic, partition), records in by_partition.items():
            for built in batches_of(producer, records):
                sent.append(await producer.send_batch(built, topic, partition=partition))
                sent[-1].add_done_callback(look_at)
        sent.append(await producer.send(self._markers_topic, markers, key=b"markers"))
        sent[-1].add_done_callback(look_at)
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def _watch(self) -> None:
        """Raise what tells that the cluster is gone: aiokafka would seek it for ever."""
        while True:
            await asyncio.sleep(_LOOK)
            error = await unreachable(self._options)
            if error is not None:
                raise error

    async def _by_partition(
        self, records: Sequence[Record]
    ) -> Mapping[tuple[str, int], Sequence[Record]]:
        """Put records that go to one partition together: it is looked up once a channel."""
        by_channel: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            by_channel.setdefault((record.subject, record.channel), []).append(record)
        by_partition: dict[tuple[str, int], list[Record]] = {}
        for (topic, channel), those in by_channel.items():
            partitions = sorted(await self._partitions(topic))
            partition: int = self._partitioner(channel.encode(), partitions, partitions)
            by_partition.setdefault((topic, partition), []).extend(those)
        return by_partition

    async def _partitions(self, topic: str) -> set[int]:
        try:
            found: set[int] = await self._producer.partitions_for(topic)
        except (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError) as error:
            reason = await creation_error(self._options, topic)
            if reason is errors.InvalidTopicError:
                # To find that out takes seconds each time.
                self._refused[topic] = (
                    f"Kafka takes no topic of the name {topic}, or has one like it"
                )
                raise RecordRefusedError(self._refused[topic]) from error
            raise BrokerUnavailableError(
                f"Kafka: there is no topic {topic}, and the broker creates none: create it"
            ) from error
        return found

    async def _open(self) -> str | None:
        """Begin an epoch of the producer; give the token of the last batch that was committed."""
        await ensure_compacted(self._options, self._markers_topic, self._replication_factor)
        options = {**self._options, **self._producer_options}
        producer = client_of(aiokafka.AIOKafkaProducer, **options)
        self._producer = producer
        async with asyncio.timeout(_TIMEOUT):
            # What the one before left open is committed or aborted when this returns.
            await producer.start()
        value = await last_value(self._options, self._markers_topic)
        stored: dict[str, Any] = {} if value is None else json.loads(value)
        self._markers = stored.get("markers", {})
        return stored.get("token")

    @asynccontextmanager
    async def _working(self) -> AsyncGenerator[None]:
        """Tell errors of aiokafka as ours. The producer goes with them."""
        try:
            yield
        except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as error:
            await self._discard()
            raise RecordRefusedError("it is larger than Kafka or its topic takes") from error
        except (errors.ProducerFenced, errors.InvalidProducerEpoch) as error:
            await self._discard()
            raise LeaseLostError("another relay of this name is at work") from error
        except (errors.IllegalArgumentError, errors.IllegalStateError):
            await self._discard()
            raise
        except (errors.KafkaError, OSError, TimeoutError) as error:
            await self._discard()
            raise await as_ours(error, self._options) from error
        except BaseException:
            await self._discard()
            raise

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await throw_away(producer)

    def lease(self, seconds: float) -> KafkaLease:
        """Make the lease: to be given the only partition of the markers."""
        return KafkaLease(self._options, self._markers_topic, self._replication_factor, seconds)

    async def aclose(self) -> None:
        """Close the producer."""
        await self._discard()


def _legal(name: str) -> str:
    """Give a name as Kafka allows it in topics.

    >>> _legal("event.Order v2?")
    'event.Order_v2_'
    """
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:_LONGEST_TOPIC]
