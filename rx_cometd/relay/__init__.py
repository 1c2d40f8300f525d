"""Relays: from the channels of a CometD server into a broker, and on from there.

A `Relay` writes every event of some channels into NATS JetStream, Redis Streams or Kafka; the
replay markers are kept there, and move with what the broker has confirmed. See docs/relay.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rx_cometd.relay.configuration import relays_of
from rx_cometd.relay.counts import Counts
from rx_cometd.relay.destinations import sink_for
from rx_cometd.relay.errors import (
    BrokerError,
    BrokerUnavailableError,
    LeaseLostError,
    RecordRefusedError,
)
from rx_cometd.relay.extras import load
from rx_cometd.relay.intact_data import intact_json_loads
from rx_cometd.relay.operations import operations
from rx_cometd.relay.record import Batch, Record
from rx_cometd.relay.relay import Relay
from rx_cometd.relay.shard import Shard
from rx_cometd.relay.sink import Lease, Sink
from rx_cometd.relay.stdout_sink import StdoutSink

if TYPE_CHECKING:
    from rx_cometd.relay.demonstration import demo
    from rx_cometd.relay.kafka_consumer import from_kafka
    from rx_cometd.relay.kafka_sink import KafkaSink
    from rx_cometd.relay.nats_consumer import from_nats
    from rx_cometd.relay.nats_sink import NatsSink
    from rx_cometd.relay.redis_consumer import from_redis
    from rx_cometd.relay.redis_sink import RedisSink
    from rx_cometd.relay.tracing import traced_sink

__all__ = [
    "Batch",
    "BrokerError",
    "BrokerUnavailableError",
    "Counts",
    "KafkaSink",
    "Lease",
    "LeaseLostError",
    "NatsSink",
    "Record",
    "RecordRefusedError",
    "RedisSink",
    "Relay",
    "Shard",
    "Sink",
    "StdoutSink",
    "demo",
    "from_kafka",
    "from_nats",
    "from_redis",
    "intact_json_loads",
    "operations",
    "relays_of",
    "sink_for",
    "traced_sink",
]

#: What needs an extra, or is seldom wanted, and so is imported when it is first asked for.
_HOMES: Final = {
    "demo": "demonstration",
    "KafkaSink": "kafka_sink",
    "NatsSink": "nats_sink",
    "RedisSink": "redis_sink",
    "from_kafka": "kafka_consumer",
    "from_nats": "nats_consumer",
    "from_redis": "redis_consumer",
    "traced_sink": "tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return load(_HOMES[name], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
