from __future__ import annotations

import re

import pytest

from rx_cometd.relay.names import legal


@pytest.mark.parametrize(
    "name", ["a b", "ü", "a.b", "a/b", 'the "first"', "x" * 129, "x" * 300, ".", "a*>"]
)
def test_every_name_is_made_one_that_brokers_take(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", legal(name))


def test_no_two_names_are_made_the_same() -> None:
    names = ["a_b", "a b", "a.b", "a/b", "a*b", "x" * 128, "x" * 129, "x" * 130]
    assert len({legal(name) for name in names}) == len(names)
