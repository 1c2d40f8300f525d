"""What the package promises to have."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

import rx_cometd
from rx_cometd import exceptions

PACKAGES = [
    "rx_cometd",
    "rx_cometd.operators",
    "rx_cometd.extensions",
    "rx_cometd.testing",
    "rx_cometd.relay",
    "rx_cometd._transports",
]

#: The public contract, by name.
PROMISED = {
    "rx_cometd": "AuthExtension AuthenticationError BufferOverflowError Channel Client "
    "ClientError ClientInvalidOperation ClientState CometDError ConnectionType DecodeError "
    "Extension ExtensionError InvalidChannelError Message Overflow Payload ProtocolError "
    "ServerError StateChange Statistics TransportConnectionClosed TransportError "
    "TransportTimeoutError raw_json_loads",
    "rx_cometd.operators": (
        "DeadLetter Overflow ack_after bounded_buffer buffer_bounded by_channel conflate data "
        "decode dedupe detect_gaps exhaust_map_async from_async_iterable last_value map_async "
        "on_loop publish_to rate_limit retry_with_backoff share switch_map_async to_async_iterable "
        "traced watch_quiet window_stats"
    ),
    "rx_cometd.extensions": "Joined Operators PayloadOperator Request "
    "ack bearer_auth binary log_payloads replay telemetry timestamp "
    "timesync trace_context traced_store",
    "rx_cometd.testing": "BayeuxServer",
    "rx_cometd.relay": "KafkaSink NatsSink RedisSink Relay Shard Sink StdoutSink demo from_kafka "
    "from_nats from_redis intact_json_loads operations relays_of sink_for traced_sink",
}


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_exported_is_there(name: str) -> None:
    package = import_module(name)
    exported: list[str] = package.__all__
    assert len(set(exported)) == len(exported)
    for item in exported:
        assert hasattr(package, item), item


def test_what_is_loaded_late_is_told() -> None:
    assert set(rx_cometd.__all__) <= set(dir(rx_cometd))
    missing = "Clinet"
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        getattr(rx_cometd, missing)


@pytest.mark.parametrize(("name", "promised"), PROMISED.items())
def test_what_is_promised_is_exported(name: str, promised: str) -> None:
    package = import_module(name)
    assert set(promised.split()) <= set(package.__all__)


@pytest.mark.parametrize("name", PACKAGES)
def test_what_is_exported_is_documented(name: str) -> None:
    package = import_module(name)
    for item in package.__all__:
        thing = getattr(package, item)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            assert inspect.getdoc(thing), item


def test_the_tree_of_errors() -> None:
    tree = {
        "ClientError": "CometDError",
        "ClientInvalidOperation": "ClientError",
        "InvalidChannelError": "ClientError",
        "BufferOverflowError": "ClientError",
        "ExtensionError": "ClientError",
        "TransportError": "CometDError",
        "TransportTimeoutError": "TransportError",
        "TransportConnectionClosed": "TransportError",
        "ProtocolError": "TransportError",
        "DecodeError": "CometDError",
        "ServerError": "CometDError",
        "AuthenticationError": "ServerError",
    }
    for name, base in tree.items():
        assert getattr(exceptions, name).__bases__[0] is getattr(exceptions, base)
        assert getattr(rx_cometd, name) is getattr(exceptions, name)
    assert issubclass(exceptions.InvalidChannelError, ValueError)
    assert set(exceptions.__all__) == {*tree, "CometDError"}
