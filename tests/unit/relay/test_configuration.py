from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rx_cometd.relay import relays_of

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
to = "stdout:"
initial = "all"
max_batch = 100

[[source]]
name = "crm"
url = "http://localhost/cometd"
channels = ["/event/Order__e", "/event/Invoice__e"]
client = { headers = { Authorization = "Bearer ${TOKEN}" }, connection_types = ["long-polling"] }

[[source]]
name = "phones"
url = "http://localhost/phones"
channels = ["/call/*"]
initial = 7
shard = "1/1"
"""


def test_each_source_is_a_relay(tmp_path: Path) -> None:
    path = tmp_path / "relays.toml"
    path.write_text(GOOD)
    relays = relays_of(path, {"TOKEN": "s3cret"})
    assert [relay.name for relay in relays] == ["crm", "phones"]
    assert "s3cret" not in repr(relays)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('name = "crm"', "", "source 1: it needs 'name'"),
        ('name = "phones"', 'name = "crm"', "the same name"),
        ('initial = "all"', "intial = 1", "'intial' is unknown"),
        ("max_batch = 100", 'max_batch = "x"', "max_batch cannot be 'x'"),
        ('shard = "1/1"', 'shard = "2/1"', "no shard 2/1"),
        ("${TOKEN}", "${NOBODY}", "the environment has no 'NOBODY'"),
        ("[[source]]", "[[sources]]", "no \\[\\[source"),
        ('"stdout:"', '"amqp:"', "no broker"),
        ('to = "stdout:"', "to =", "relays.toml: Invalid value"),
        ('to = "stdout:"', 'to = "redis://a:b"', "source 1: .* a port is a number"),
        ("max_batch = 100", "broker = { nope = 1 }", "source 1: StdoutSink.* takes no arguments"),
        ("connection_types = [", "connection_kinds = [", "source 1: .*'connection_kinds'"),
        ('"http://localhost/cometd"', '"localhost"', "source 1: not an absolute http"),
        ('["/call/*"]', "[]", "source 2: channels must not be empty"),
        ('"/call/*"', '"call"', "source 2: invalid channel 'call'"),
        ('name = "phones"', 'name = ""', "source 2: name must not be empty"),
        ("max_batch = 100", 'template = "x.{c}"', "source 1: .*placeholder {c}"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "relays.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=told):
        relays_of(path, {"TOKEN": "s3cret"})
