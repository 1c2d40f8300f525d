"""Transports: they move payloads over aiohttp, and know no protocol."""

from rx_cometd._transports.base import LEAST_PROGRESS, Received, TransportOptions
from rx_cometd._transports.long_polling import LongPollingTransport
from rx_cometd._transports.timeout import timeout_after
from rx_cometd._transports.websocket import Arriving, WebSocketTransport

__all__ = [
    "LEAST_PROGRESS",
    "Arriving",
    "LongPollingTransport",
    "Received",
    "TransportOptions",
    "WebSocketTransport",
    "timeout_after",
]
