from __future__ import annotations

import importlib

import pytest

from rx_cometd import testing


def test_all_names_are_there_and_public_at_home() -> None:
    homes = vars(testing)["_HOMES"]
    assert sorted(homes) == sorted(testing.__all__)
    for name, home in homes.items():
        module = importlib.import_module(f"rx_cometd.testing.{home}")
        assert name in module.__all__
        assert getattr(testing, name) is getattr(module, name)


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match=r"rx_cometd\.testing"):
        testing.nothing  # noqa: B018
