"""Pipeable operators beside those of ReactiveX: bounded, on the loop, aware of their client."""

from rx_cometd._flow.async_iteration import ObservableIterator
from rx_cometd._flow.flow import Overflow
from rx_cometd._flow.work import DeadLetter
from rx_cometd.operators.ack_after import ack_after
from rx_cometd.operators.bounded_buffer import BufferedObservable, bounded_buffer
from rx_cometd.operators.buffer_bounded import buffer_bounded
from rx_cometd.operators.by_channel import ChannelGroup, by_channel
from rx_cometd.operators.conflate import conflate
from rx_cometd.operators.data import data
from rx_cometd.operators.decode import decode
from rx_cometd.operators.dedupe import dedupe
from rx_cometd.operators.detect_gaps import Gap, detect_gaps
from rx_cometd.operators.exhaust_map_async import exhaust_map_async
from rx_cometd.operators.from_async_iterable import from_async_iterable
from rx_cometd.operators.last_value import last_value
from rx_cometd.operators.map_async import map_async
from rx_cometd.operators.on_loop import on_loop
from rx_cometd.operators.publish_to import Publisher, publish_to
from rx_cometd.operators.rate_limit import rate_limit
from rx_cometd.operators.retry_with_backoff import retry_with_backoff
from rx_cometd.operators.share import share
from rx_cometd.operators.switch_map_async import switch_map_async
from rx_cometd.operators.to_async_iterable import ObservableIterable, to_async_iterable
from rx_cometd.operators.traced import Traced, traced
from rx_cometd.operators.watch_quiet import WatchedObservable, watch_quiet
from rx_cometd.operators.window_stats import WindowStats, window_stats

__all__ = [
    "BufferedObservable",
    "ChannelGroup",
    "DeadLetter",
    "Gap",
    "ObservableIterable",
    "ObservableIterator",
    "Overflow",
    "Publisher",
    "Traced",
    "WatchedObservable",
    "WindowStats",
    "ack_after",
    "bounded_buffer",
    "buffer_bounded",
    "by_channel",
    "conflate",
    "data",
    "decode",
    "dedupe",
    "detect_gaps",
    "exhaust_map_async",
    "from_async_iterable",
    "last_value",
    "map_async",
    "on_loop",
    "publish_to",
    "rate_limit",
    "retry_with_backoff",
    "share",
    "switch_map_async",
    "to_async_iterable",
    "traced",
    "watch_quiet",
    "window_stats",
]
