"""One payload of a client, and what is to be answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rx_cometd.messages import CONNECT, HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.testing.session import Link, ServerSession
    from rx_cometd.testing.wire import Event, Json

__all__ = ["Exchange"]


@dataclass(slots=True)
class Exchange:
    """A payload on its way through the server.

    Attributes:
        messages: What came.
        connection_type: How it came.
        headers: Of the HTTP request, or of the upgrade.
        link: The WebSocket it came over.
        browser_id: The cookie it came with, or will be given.
        replies: The answers, in the order of the messages.
        sessions: The sessions that the messages belong to.
        hold: How many seconds the connect among the messages is to be held.
        connect: The reply to the connect among the messages.
    """

    messages: list[Json]
    connection_type: ConnectionType
    headers: Mapping[str, str]
    link: Link | None = None
    browser_id: str | None = None
    replies: list[Json] = field(default_factory=list["Json"])
    sessions: dict[ServerSession, None] = field(default_factory=dict["ServerSession", None])
    hold: float = 0.0
    connect: Json | None = None

    def take_in(self, session: ServerSession) -> None:
        """Keep the events of a session back for the response."""
        if session not in self.sessions:
            self.sessions[session] = None
            session.cork()

    def let_go(self) -> None:
        """Let the events of the sessions flow again."""
        for session in self.sessions:
            session.uncork()
        self.sessions.clear()

    def events(self, *, during_handshake: bool) -> list[Event]:
        """Take the events that leave with the response."""
        events: list[Event] = []
        for session in self.sessions:
            if self._delivers(session, during_handshake=during_handshake):
                events += session.take()
        return events

    def _delivers(self, session: ServerSession, *, during_handshake: bool) -> bool:
        if any(m.get("channel") == HANDSHAKE for m in self.messages):
            return during_handshake
        if session.deliver_only:
            return self.connect is not None and self.connect.get("channel") == CONNECT
        return True
