"""Which broker an address means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rx_cometd.relay.extras import load
from rx_cometd.relay.stdout_sink import StdoutSink

if TYPE_CHECKING:
    from rx_cometd.relay.sink import Sink

__all__ = ["sink_for"]

_BROKERS: Final = {
    "nats": ("nats_sink", "NatsSink"),
    "tls": ("nats_sink", "NatsSink"),
    "redis": ("redis_sink", "RedisSink"),
    "rediss": ("redis_sink", "RedisSink"),
    "kafka": ("kafka_sink", "KafkaSink"),
}


def sink_for(url: str, name: str, **options: Any) -> Sink:
    """Make the sink for an address.

    Args:
        url: ``nats://host:port``, ``redis://host:port/0``, ``kafka://host:port,host:port`` or
            ``stdout:``.
        name: The relay's name.
        options: Further arguments of `NatsSink`, `RedisSink` or `KafkaSink`.

    Raises:
        ValueError: The address is of no broker that is known.
        ImportError: The package for the broker is not installed; the text says which extra.
    """
    scheme = url.partition(":")[0]
    if scheme == "stdout":
        return StdoutSink(**options)
    if scheme not in _BROKERS:
        raise ValueError(f"no broker is known for {scheme!r}: say nats, redis, kafka or stdout")
    sink: Sink = load(*_BROKERS[scheme])(url, name, **options)
    return sink
