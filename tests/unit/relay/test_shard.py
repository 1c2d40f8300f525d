from __future__ import annotations

import pytest

from rx_cometd.relay import Shard

CHANNELS = [f"/event/{number}" for number in range(1000)]


def test_every_channel_belongs_to_exactly_one_part() -> None:
    for channel in CHANNELS:
        assert sum(Shard(n, 3).has(channel) for n in (1, 2, 3)) == 1


def test_the_parts_are_about_equal() -> None:
    for number in (1, 2, 3, 4):
        assert 200 < sum(map(Shard(number, 4).has, CHANNELS)) < 300


def test_with_one_part_more_only_what_that_one_gets_moves() -> None:
    for number in (1, 2, 3):
        before = set(filter(Shard(number, 3).has, CHANNELS))
        assert set(filter(Shard(number, 4).has, CHANNELS)) <= before


def test_it_is_read_from_text() -> None:
    assert Shard.parse("2/3") == Shard(2, 3)


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard.parse(text)
