from __future__ import annotations

import pytest

from rx_cometd import InvalidChannelError
from rx_cometd.relay import KafkaSink, NatsSink, RedisSink, StdoutSink
from rx_cometd.relay.channels import check_apart, check_templates


def test_channels_apart_may_be_relayed_together() -> None:
    check_apart(["/a/b", "/a/c", "/b/*", "/b/c/*"])


@pytest.mark.parametrize("channels", [["/a/*", "/a/b"], ["/a/b", "/**"], ["/a/*", "/a/**"]])
def test_an_event_must_not_come_by_two_of_them(channels: list[str]) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        check_apart(channels)


def test_there_must_be_one() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        check_apart([])


def test_names_are_checked() -> None:
    with pytest.raises(InvalidChannelError):
        check_apart(["a"])


@pytest.mark.parametrize("template", ["cometd.{channel}", "{channel}", "all"])
def test_templates_make_what_every_broker_takes(template: str) -> None:
    sinks = (NatsSink("nats://a", "r"), RedisSink("redis://a", "r"), KafkaSink("kafka://a", "r"))
    for sink in (*sinks, StdoutSink()):
        check_templates(sink, template, "cometd-dead")


@pytest.mark.parametrize(
    ("template", "dead_letter", "told"),
    [
        ("", "dead", "must not be empty"),
        ("x.{channel}", "", "must not be empty"),
        ("x.{chanel}", "dead", "placeholder {chanel}"),
        ("x.{channel", "dead", "placeholder {channel:"),
        ("x.{channel}", "dead.{channel}", "of templates"),
    ],
)
def test_what_is_no_template_is_refused(template: str, dead_letter: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_templates(StdoutSink(), template, dead_letter)


@pytest.mark.parametrize("template", ["a b.{channel}", "a..{channel}", "*.{channel}", "a.>", ".a"])
def test_what_makes_no_subject_of_nats_is_refused(template: str) -> None:
    for told in ((template, "dead"), ("x.{channel}", template)):
        with pytest.raises(ValueError, match=r"no subject of NATS|of templates"):
            check_templates(NatsSink("nats://a", "r"), *told)


def test_what_makes_no_topic_of_kafka_is_refused() -> None:
    sink = KafkaSink("kafka://a", "r")
    with pytest.raises(ValueError, match="no topic of Kafka"):
        check_templates(sink, "..", "dead")
    with pytest.raises(ValueError, match="the broker forbids it"):
        check_templates(sink, "{channel}", "dead letters")
