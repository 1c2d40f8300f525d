from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.project.pages.fragment import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.project.docs import Block


@pytest.fixture(autouse=True)
def every_block_was_run(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that was given fragments and did not run each of them."""
    blocks: list[Block] = []
    if "blocks" in request.fixturenames:
        blocks = request.getfixturevalue("blocks")
    yield
    assert [block.name for block in blocks if block not in RUN] == []
