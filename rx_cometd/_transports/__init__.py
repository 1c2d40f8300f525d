"""Transports: they move payloads over aiohttp, and know no protocol."""

from rx_cometd._transports.base import Received, TransportOptions
from rx_cometd._transports.long_polling import LongPollingTransport
from rx_cometd._transports.websocket import WebSocketTransport

__all__ = ["LongPollingTransport", "Received", "TransportOptions", "WebSocketTransport"]
