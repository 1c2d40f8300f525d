"""The server's connections, as the faults see them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from rx_cometd.testing.listener import Listener
    from rx_cometd.testing.registry import SessionRegistry
    from rx_cometd.testing.websocket import WebSocketLink

__all__ = ["ServerNetwork"]


class ServerNetwork:
    """What faults do to connections and sessions."""

    def __init__(
        self, listener: Listener, registry: SessionRegistry, links: Collection[WebSocketLink]
    ) -> None:
        self._listener = listener
        self._registry = registry
        self._links = links

    def abort_connections(self, client_id: str | None) -> None:
        """Cut TCP connections: all, or those of one session."""
        if client_id is None:
            self._listener.abort_all()
            return
        session = self._registry.sessions[client_id]
        if session.link is not None:
            session.link.abort()
        if session.held is not None:
            session.held.abort()

    def forget_sessions(self, client_id: str | None) -> None:
        """Lose sessions: all, or one."""
        if client_id is None:
            self._registry.clear()
        else:
            self._registry.forget(self._registry.sessions[client_id])

    async def close_links(self, code: int, reason: str) -> None:
        """Close all WebSockets."""
        await asyncio.gather(*(link.close(code, reason) for link in list(self._links)))

    async def send_frame(self, payload: str | bytes) -> bool:
        """Send a frame over all WebSockets, if there are any."""
        await asyncio.gather(*(link.send_raw(payload) for link in list(self._links)))
        return bool(self._links)

    def tear_frames(self) -> bool:
        """Begin a frame on all WebSockets, if there are any, and cut them."""
        for link in self._links:
            link.tear_frame()
        return bool(self._links)
