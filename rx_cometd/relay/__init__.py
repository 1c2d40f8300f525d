"""Relays: from the channels of a CometD server into a broker, and on from there.

A `Relay` writes every event of some channels into NATS JetStream, Redis Streams or Kafka; the
replay markers are kept there, and move with what the broker has confirmed. See docs/relay.md.
"""

from rx_cometd.relay.counts import Counts
from rx_cometd.relay.destinations import sink_for
from rx_cometd.relay.errors import (
    BrokerError,
    BrokerUnavailableError,
    LeaseLostError,
    RecordRefusedError,
)
from rx_cometd.relay.record import Batch, Record
from rx_cometd.relay.relay import Relay
from rx_cometd.relay.shard import Shard
from rx_cometd.relay.sink import Lease, Sink

__all__ = [
    "Batch",
    "BrokerError",
    "BrokerUnavailableError",
    "Counts",
    "Lease",
    "LeaseLostError",
    "Record",
    "RecordRefusedError",
    "Relay",
    "Shard",
    "Sink",
    "sink_for",
]
