"""What a client counts, and what it tells of it."""

from rx_cometd.statistics.by_channel import by_channel
from rx_cometd.statistics.channel_traffic import ChannelTraffic, Traffic
from rx_cometd.statistics.counters import Counters
from rx_cometd.statistics.snapshot import BufferStatistics, ChannelStatistics, Statistics

__all__ = [
    "BufferStatistics",
    "ChannelStatistics",
    "ChannelTraffic",
    "Counters",
    "Statistics",
    "Traffic",
    "by_channel",
]
