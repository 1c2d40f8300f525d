from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.unit.transports.clock import Clock

if TYPE_CHECKING:
    import pytest


@pytest_asyncio.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the running loop."""
    return Clock.of_running_loop(monkeypatch)
