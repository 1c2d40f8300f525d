from __future__ import annotations

import pytest

from rx_cometd.cli.table import age, si


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.26, "0.3"),
        (99.96, "100.0"),
        (999.4, "999"),
        (999.6, "1.0k"),
        (12_345, "12.3k"),
        (999_999, "1.0M"),
        (4.5e6, "4.5M"),
        (7.2e13, "72.0T"),
    ],
)
def test_figures_take_few_places(value: float | None, shown: str) -> None:
    assert si(value) == shown
    assert len(shown) <= 5


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "-"), (0.4, "0 s"), (59.9, "60 s"), (90.0, "2 min"), (7300.0, "2 h"), (2e5, "2 d")],
)
def test_ages(seconds: float | None, shown: str) -> None:
    assert age(seconds) == shown
