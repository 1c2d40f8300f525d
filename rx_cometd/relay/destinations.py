"""Which broker an address means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd.relay.stdout_sink import StdoutSink

if TYPE_CHECKING:
    from rx_cometd.relay.sink import Sink

__all__ = ["sink_for"]


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
    if scheme in {"nats", "tls"}:
        from rx_cometd.relay.nats_sink import NatsSink  # noqa: PLC0415 - an extra

        return NatsSink(url, name, **options)
    if scheme in {"redis", "rediss"}:
        from rx_cometd.relay.redis_sink import RedisSink  # noqa: PLC0415 - an extra

        return RedisSink(url, name, **options)
    raise ValueError(f"no broker is known for {scheme!r}: nats, redis, kafka or stdout")
