from __future__ import annotations

import subprocess
import sys

import pytest

from rx_cometd import relay
from rx_cometd.relay import KafkaSink, NatsSink, RedisSink, StdoutSink, sink_for


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("nats://localhost", NatsSink),
        ("tls://localhost", NatsSink),
        ("redis://localhost", RedisSink),
        ("rediss://localhost", RedisSink),
        ("kafka://a:9092,b:9092", KafkaSink),
        ("stdout:", StdoutSink),
    ],
)
def test_the_scheme_says_which_broker(url: str, kind: type) -> None:
    assert isinstance(sink_for(url, "orders"), kind)


def test_a_broker_that_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="'amqp': say nats"):
        sink_for("amqp://localhost", "orders")


@pytest.mark.parametrize("kind", ["nats", "redis"])
def test_credentials_are_not_shown(kind: str) -> None:
    assert "secret" not in repr(sink_for(f"{kind}://user:secret@localhost", "orders"))


@pytest.mark.parametrize(
    "url",
    [
        *("nats:localhost", "nats://", "nats://me:secret@a:port", "nats://a:99999", "nats://a,"),
        *("tls://a/path", "redis:localhost", "redis://:secret@a:port", "redis://a/name"),
        *("kafka://", "kafka://a:port", "kafka://a:1,:2", "kafka://me:secret@a"),
    ],
)
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="address") as refused:
        sink_for(url, "orders")
    assert "secret" not in str(refused.value)


def test_what_is_not_there_is_told() -> None:
    missing = "AmqpSink"
    with pytest.raises(AttributeError, match="no attribute 'AmqpSink'"):
        getattr(relay, missing)


@pytest.mark.parametrize(
    ("package", "name", "extra"),
    [
        ("nats", "NatsSink", "nats"),
        ("redis", "RedisSink", "redis"),
        ("aiokafka", "KafkaSink", "kafka"),
    ],
)
def test_the_extra_that_is_missing_is_named(package: str, name: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from rx_cometd import relay\n"
        f"try: relay.{name}\n"
        f"except ImportError as error: print(error)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert f"pip install 'rx-cometd[{extra}]'" in outcome.stdout
