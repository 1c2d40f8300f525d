"""The markers of a relay at work, as the replay extension asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.extensions.replay_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rx_cometd.extensions import ReplayId

__all__ = ["Markers"]


class Markers(MemoryStore):
    """The store of the extension `replay`: begins with what the broker has.

    What moves here was confirmed by the broker, which keeps the markers itself: the writer hands
    them over together with the records.

    Args:
        kept: The markers that the broker had.
        reset: Called with a channel whose marker the source refused.
    """

    def __init__(self, kept: Mapping[str, ReplayId], reset: Callable[[str], None]) -> None:
        super().__init__()
        self._reset = reset
        for channel, replay_id in kept.items():
            super().save(channel, replay_id)

    def save(self, channel: str, replay_id: ReplayId, *, reset: bool = False) -> None:
        """Keep the marker of a channel."""
        super().save(channel, replay_id, reset=reset)
        if reset:
            self._reset(channel)
