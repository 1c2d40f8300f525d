from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest_asyncio

from tests.unit.transports.clock import Clock

if TYPE_CHECKING:
    import pytest


@pytest_asyncio.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the running loop."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop.time)
    monkeypatch.setattr(loop, "time", clock.time)
    return clock
