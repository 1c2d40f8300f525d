"""A store of replay markers whose writes are spans."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from rx_cometd.extensions import SqliteStore, traced_store
from rx_cometd.extensions.replay_store import LockableStore
from tests.integration.telemetry.collected import Collected

if TYPE_CHECKING:
    from pathlib import Path

    from rx_cometd.extensions import ReplayId


class Remote:
    """A store whose methods are coroutine functions."""

    def __init__(self) -> None:
        self.saved: dict[str, ReplayId] = {}

    async def load(self, channel: str) -> ReplayId | None:
        return self.saved.get(channel)

    async def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        if replay_id == "bad":
            raise OSError("no connection")
        self.saved[channel] = replay_id


def test_a_store_that_can_be_locked_stays_one(tmp_path: Path) -> None:
    seen = Collected()
    with SqliteStore(tmp_path / "markers") as store:
        traced = traced_store(store, tracer_provider=seen.tracer_provider)
        assert isinstance(traced, LockableStore)
        traced.save("/a", 1)
        traced.save_at_once("/a", 2)
        assert store.load("/a") == 2
        assert traced.load_at_once("/a") == 2
    ids = [(span.attributes or {})["messaging.message.id"] for span in seen.spans("settle /a")]
    assert ids == ["1", "2"]


async def test_a_store_of_coroutines_stays_one() -> None:
    seen = Collected()
    store = Remote()
    traced = traced_store(store, tracer_provider=seen.tracer_provider)
    assert inspect.iscoroutinefunction(traced.save)
    await traced.save("/a", "x")
    assert await traced.load("/a") == "x"
    with pytest.raises(OSError, match="no connection"):
        await traced.save("/a", "bad")
    good, bad = seen.spans("settle /a")
    assert "error.type" not in (good.attributes or {})
    assert (bad.attributes or {})["error.type"] == "OSError"
