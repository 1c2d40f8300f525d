"""Writing markers to a store: at once where the store can, behind the work where it cannot."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from rx_cometd.extensions.replay_store import AsyncReplayStore, ReplayId, ReplayStore

__all__ = ["MarkerWriter"]

_logger = logging.getLogger("rx_cometd.extensions.replay")


class _Unsaved(NamedTuple):
    replay_id: ReplayId
    reset: bool


class MarkerWriter:
    """The one that writes to a store, for all sessions of an extension.

    A plain store is written to within `save`. For a coroutine store one task writes, and only
    the newest marker of each channel: the work never waits for the store. What could not be
    written is kept, and tried again with the next marker; until then a restart would mean
    duplicates, never a loss.

    Attributes:
        asynchronous: Whether the store's methods are coroutine functions.
    """

    def __init__(self, store: ReplayStore | AsyncReplayStore) -> None:
        self.asynchronous = inspect.iscoroutinefunction(store.save)
        self._store = store
        self._unsaved: dict[str, _Unsaved] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def load(self, channel: str) -> ReplayId | None:
        """Give the marker of a channel, from a plain store."""
        unsaved = self._unsaved.get(channel)
        if unsaved is not None:
            return unsaved.replay_id
        return cast("ReplayStore", self._store).load(channel)

    async def load_async(self, channel: str) -> ReplayId | None:
        """Give the marker of a channel, from a coroutine store."""
        unsaved = self._unsaved.get(channel)
        if unsaved is not None:
            return unsaved.replay_id
        return await cast("AsyncReplayStore", self._store).load(channel)

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Have a marker written; what goes wrong is logged, and tried again later."""
        before = self._unsaved.get(channel)
        reset = reset or (before is not None and before.reset)
        self._unsaved[channel] = _Unsaved(replay_id, reset)
        if self.asynchronous:
            self._start()
        else:
            self._write()

    async def flush(self) -> None:
        """Wait until all markers are written, or one could not be."""
        if not self.asynchronous:
            self._write()
        elif self._unsaved:
            await asyncio.shield(self._start())

    def _write(self) -> None:
        store = cast("ReplayStore", self._store)
        for channel, unsaved in list(self._unsaved.items()):
            try:
                store.save(channel, unsaved.replay_id, reset=unsaved.reset)
            except Exception as error:
                self._failed(channel, error)
                return
            self._saved(channel, unsaved)

    def _start(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._write_async(), name="rx_cometd replay markers")
        return self._task

    async def _write_async(self) -> None:
        store = cast("AsyncReplayStore", self._store)
        while self._unsaved:
            channel, unsaved = next(iter(self._unsaved.items()))
            try:
                await store.save(channel, unsaved.replay_id, reset=unsaved.reset)
            except Exception as error:
                self._failed(channel, error)
                return
            self._saved(channel, unsaved)

    def _saved(self, channel: str, saved: _Unsaved) -> None:
        newest = self._unsaved.pop(channel)
        if newest is not saved:
            self._unsaved[channel] = newest  # behind the other channels
        if self._failing:
            self._failing = False
            _logger.info("replay markers are saved again")

    def _failed(self, channel: str, error: Exception) -> None:
        if not self._failing:  # once, not with every event
            self._failing = True
            _logger.error("the replay marker of %s was not saved", channel, exc_info=error)
