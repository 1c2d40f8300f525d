"""The connection types that the client speaks, under their names on the wire."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ConnectionType"]


class ConnectionType(StrEnum):
    """How payloads travel (Bayeux specification, "connectionType")."""

    WEBSOCKET = "websocket"
    LONG_POLLING = "long-polling"
