"""Transports: they move payloads over aiohttp, and know no protocol."""

from rx_cometd.transports.base import Received, TransportOptions
from rx_cometd.transports.long_polling import LongPollingTransport
from rx_cometd.transports.websocket import WebSocketTransport

__all__ = ["LongPollingTransport", "Received", "TransportOptions", "WebSocketTransport"]
