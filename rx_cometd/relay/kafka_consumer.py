"""Events out of Kafka (``pip install 'rx-cometd[kafka]'``)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from rx_cometd.relay.consuming import Consumed, consume
from rx_cometd.relay.kafka_client import aiokafka, errors
from rx_cometd.relay.kafka_connection import as_ours, client_of, client_options
from rx_cometd.relay.record import event_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from reactivex import Observable

    from rx_cometd.messages import Event

__all__ = ["from_kafka"]

_MILLISECONDS = 1000


def from_kafka(
    url: str,
    *topics: str,
    group: str,
    max_in_flight: int = 100,
    options: Mapping[str, Any] | None = None,
) -> Observable[Event]:
    """Make an observable of what a consumer group of Kafka topics gives.

    Only what was committed (``read_committed``), at least once, from the beginning of the topics
    at first. The offset that is committed moves past a record once that and all before it in its
    partition were processed.

    Args:
        url: ``kafka://host:port``, several of them with commas.
        topics: The topics.
        group: The name of the group.
        max_in_flight: How many events may be delivered and not processed.
        options: Further arguments of ``AIOKafkaConsumer``; ``ssl_context`` also as for
            `KafkaSink`.

    Raises:
        ValueError: ``max_in_flight`` is less than 1, or ``url`` no such address.
    """
    settings = {
        **client_options(url, options),
        "group_id": group,
        "auto_offset_reset": (options or {}).get("auto_offset_reset", "earliest"),
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
    }
    return consume(lambda: _KafkaConsumer(topics, settings), max_in_flight)


class _KafkaConsumer:
    """A member of a group."""

    def __init__(self, topics: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._consumer = client_of(aiokafka.AIOKafkaConsumer, *topics, **settings)
        self._started = False
        # By partition: what is not processed, in order; and what comes after the last one.
        self._outstanding: dict[Any, dict[int, None]] = {}
        self._next: dict[Any, int] = {}
        self._moved: set[Any] = set()

    async def fetch(self, count: int) -> Sequence[Consumed]:
        async with _kafka_errors(self._settings):
            if not self._started:
                await self._consumer.start()
                self._started = True
            found = await self._consumer.getmany(timeout_ms=_MILLISECONDS, max_records=count)
        return [
            self._consumed(partition, record)
            for partition, records in found.items()
            for record in records
        ]

    def _consumed(self, partition: Any, record: Any) -> Consumed:
        outstanding = self._outstanding.setdefault(partition, {})
        outstanding[record.offset] = None
        self._next[partition] = record.offset + 1

        def processed() -> None:
            outstanding.pop(record.offset, None)
            self._moved.add(partition)

        headers = {name: value.decode() for name, value in record.headers}
        channel = "/" + record.topic.replace(".", "/")
        return Consumed(event_of(headers, record.value or b"null", channel=channel), processed)

    async def settle(self) -> None:
        moved = self._moved & self._consumer.assignment() if self._started else None
        if moved:
            offsets = {p: next(iter(self._outstanding[p]), self._next[p]) for p in moved}
            async with _kafka_errors(self._settings):
                await self._consumer.commit(offsets)
            self._moved -= moved

    async def aclose(self) -> None:
        await self._consumer.stop()


@asynccontextmanager
async def _kafka_errors(options: Mapping[str, Any]) -> AsyncGenerator[None]:
    try:
        yield
    except (errors.KafkaError, OSError, TimeoutError) as error:
        raise await as_ours(error, options) from error
