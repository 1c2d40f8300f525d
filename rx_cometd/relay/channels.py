"""Which channels a relay may have together."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from rx_cometd._protocol.channel_names import matches, validate_channel

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_apart"]


def check_apart(channels: Sequence[str]) -> None:
    """Check that no event can arrive twice, by two of the channels.

    Raises:
        InvalidChannelError: One cannot be that of a channel.
        ValueError: One is matched by another.
    """
    for channel in channels:
        validate_channel(channel)
    for one, other in permutations(channels, 2):
        if matches(one, other):
            raise ValueError(f"{one} has the events of {other} already: leave one of them out")
