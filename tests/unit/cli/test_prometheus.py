from __future__ import annotations

import pytest

from rx_cometd.cli.prometheus import Sample, samples

TEXT = r"""
# HELP rx_cometd_up Whether it is up.
# TYPE rx_cometd_up gauge
rx_cometd_up 1
rx_cometd_messages_total{channel="/a \"b\"\\c",shard="0"} 1.5e3 1395066363000
rx_cometd_age_seconds{channel="/a",} NaN
process_cpu_seconds_total 7
rx_cometd_nonsense{channel="/a" 3
rx_cometd_bad x
"""


def test_samples_of_ours_are_read() -> None:
    up, messages, age = samples(TEXT)
    assert up == Sample("rx_cometd_up", {}, 1.0)
    assert messages == Sample(
        "rx_cometd_messages_total", {"channel": '/a "b"\\c', "shard": "0"}, 1500.0
    )
    assert age.labels == {"channel": "/a"}
    assert age.value != age.value


@pytest.mark.parametrize("text", ["", "rx_cometd_", "{}", "rx_cometd_a{=} 1", "\x00"])
def test_what_is_no_sample_is_left_out(text: str) -> None:
    assert list(samples(text)) == []
