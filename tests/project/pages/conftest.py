from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.project.pages.fragment import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def every_block_was_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that was given fragments and did not run each of them."""
    yield
    callspec = getattr(request.node, "callspec", None)
    blocks = callspec.params.get("blocks", []) if callspec else []
    assert [block.name for block in blocks if block not in RUN] == []
