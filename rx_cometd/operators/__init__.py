"""Pipeable operators beside those of ReactiveX: bounded buffers, asynchronous work, decoding."""

from rx_cometd.flow import Overflow
from rx_cometd.operators.map_async import map_async

__all__ = ["Overflow", "map_async"]
