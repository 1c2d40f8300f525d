"""All that is known of each channel, brought together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.statistics.channel_traffic import OTHER_CHANNELS, ChannelTraffic
from rx_cometd.statistics.snapshot import BufferStatistics, ChannelStatistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["by_channel"]


def by_channel(
    traffic: ChannelTraffic | None,
    buffers: Iterable[tuple[str | None, BufferStatistics]],
    marker_ages: Iterable[Mapping[str, float]],
    now: float,
) -> dict[str, ChannelStatistics]:
    """Give the statistics of each channel of which anything is known.

    Args:
        traffic: What came, if it is counted.
        buffers: The buffers, each with the channel or glob that it was made for.
        marker_ages: Of each extension, how long its markers have stood still.
        now: The time by the steady clock of `traffic`.
    """
    counted = {} if traffic is None else traffic.snapshot(now)
    found = {channel: ChannelStatistics(*of_channel) for channel, of_channel in counted.items()}
    nothing = ChannelStatistics()
    for name, buffer in buffers:
        channel = OTHER_CHANNELS if name is None else name
        known = found.get(channel, nothing)
        found[channel] = known._replace(buffers=(*known.buffers, buffer))
    for ages in marker_ages:
        for channel, age in ages.items():
            found[channel] = found.get(channel, nothing)._replace(marker_age=age)
    return found
