"""One payload of a client, and what is to be answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rx_cometd.messages import CONNECT, HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        urgent: Whether the connect is to be answered at once.
        after: Called when the response is made.
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
    urgent: bool = False
    after: list[Callable[[], None]] = field(default_factory=list["Callable[[], None]"])

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

    def finish(self) -> None:
        """Release the sessions, and do what is to be done after the response."""
        self.let_go()
        after, self.after = self.after, []
        for action in after:
            action()

    def events(self, *, during_handshake: bool) -> list[Event]:
        """Take the events that leave with the response.

        Args:
            during_handshake: Whether a handshake's response may hold some.
        """
        events: list[Event] = []
        for session in self.sessions:
            handshake = self._reply_to(HANDSHAKE)
            if handshake is None:
                events += self._later_events(session)
            elif during_handshake:
                events += self._first_events(session, handshake)
        return events

    def _first_events(self, session: ServerSession, handshake: Json) -> list[Event]:
        events = session.take()
        handshake["x-messages"] = len(events)
        if session.acknowledgements is not None:
            number, events = session.acknowledgements.close_batch(events)
            handshake["ext"]["ack"] = {"enabled": True, "batch": number}
        return events

    def _later_events(self, session: ServerSession) -> list[Event]:
        connect = self._reply_to(CONNECT)
        refused = connect is not None and not connect["successful"]
        if refused or (session.deliver_only and connect is None):
            return []
        events = session.take()
        if session.acknowledgements is not None and connect is not None:
            number, events = session.acknowledgements.close_batch(events)
            connect.setdefault("ext", {})["ack"] = number
        return events

    def _reply_to(self, channel: str) -> Json | None:
        return next((r for r in self.replies if r.get("channel") == channel), None)
