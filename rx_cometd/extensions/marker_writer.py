"""Writing markers to a store: at once where the store can, in a task where it cannot."""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, NamedTuple, cast

from rx_cometd._flow.edge import failure_of_awaited, task_on
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.extensions.replay_store import LockableStore, StoreLockedError

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
    the newest marker of each channel, so that receiving never waits for the store. The same task
    writes to a plain store that is locked, in a thread that waits for the lock. What could not be
    written is kept, and tried again with the next marker; until then a restart would mean
    duplicates, never a loss.

    Attributes:
        asynchronous: Whether the store's methods are coroutine functions.
    """

    def __init__(self, store: ReplayStore | AsyncReplayStore) -> None:
        self.asynchronous = inspect.iscoroutinefunction(store.save)
        self._store = store
        self._lockable = store if isinstance(store, LockableStore) else None
        self._unsaved: dict[str, _Unsaved] = {}
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    def load(self, channel: str) -> ReplayId | None:
        """Give the marker of a channel, from a plain store.

        Raises:
            StoreLockedError: It is locked; `load_async` waits for it.
        """
        unsaved = self._unsaved.get(channel)
        if unsaved is not None:
            return unsaved.replay_id
        if self._lockable is not None:
            return self._lockable.load_at_once(channel)
        return cast("ReplayStore", self._store).load(channel)

    async def load_async(self, channel: str) -> ReplayId | None:
        """Give the marker of a channel, from a store that takes its time."""
        unsaved = self._unsaved.get(channel)
        if unsaved is not None:
            return unsaved.replay_id
        if self.asynchronous:
            return await cast("AsyncReplayStore", self._store).load(channel)
        return await asyncio.to_thread(cast("ReplayStore", self._store).load, channel)

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Have a marker written; what goes wrong is logged, and tried again later."""
        before = self._unsaved.get(channel)
        reset = reset or (before is not None and before.reset)
        self._unsaved[channel] = _Unsaved(replay_id, reset)
        if self.asynchronous or self._is_writing:
            self._start()
        else:
            self._write()

    async def flush(self) -> None:
        """Wait until all markers are written, or one could not be."""
        if not self.asynchronous and not self._is_writing:
            self._write()
        if self._unsaved and (self.asynchronous or self._is_writing):
            await asyncio.shield(self._start())

    @property
    def _is_writing(self) -> bool:
        task = self._task
        return task is not None and not task.done() and task.get_loop() is _running_loop()

    def _write(self) -> None:
        lockable = self._lockable
        save = cast("ReplayStore", self._store).save if lockable is None else lockable.save_at_once
        for channel, unsaved in list(self._unsaved.items()):
            try:
                save(channel, unsaved.replay_id, reset=unsaved.reset)
            except StoreLockedError as error:
                if _running_loop() is None:
                    self._failed(channel, error)
                else:
                    self._start()
                return
            except BaseException as error:
                self._failed(channel, failure_of(error, "save"))
                return
            self._saved(channel, unsaved)

    def _start(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        if self._task is None or not self._is_writing:
            self._task = task_on(loop, self._write_async(), "rx_cometd replay markers")
        return self._task

    async def _write_async(self) -> None:
        while self._unsaved:
            channel, unsaved = next(iter(self._unsaved.items()))
            try:
                await self._save_async(channel, unsaved)
            except BaseException as error:
                self._failed(channel, failure_of_awaited(error, "save"))
                return
            self._saved(channel, unsaved)

    async def _save_async(self, channel: str, unsaved: _Unsaved) -> None:
        if self.asynchronous:
            store = cast("AsyncReplayStore", self._store)
            await store.save(channel, unsaved.replay_id, reset=unsaved.reset)
        else:
            save = cast("ReplayStore", self._store).save
            await asyncio.to_thread(save, channel, unsaved.replay_id, reset=unsaved.reset)

    def _saved(self, channel: str, saved: _Unsaved) -> None:
        newest = self._unsaved.pop(channel)
        if newest is not saved:
            self._unsaved[channel] = newest  # behind the other channels
        if self._failing:
            self._failing = False
            _logger.info("replay markers are saved again", extra={"event": "markers_saved_again"})

    def _failed(self, channel: str, error: Exception) -> None:
        if not self._failing:  # once, not with every event
            self._failing = True
            _logger.error(
                "the replay marker of %s was not saved",
                channel,
                exc_info=error,
                extra={
                    "event": "marker_not_saved",
                    "channel": channel,
                    "error_type": type(error).__name__,
                },
            )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
