"""Who is there, and who is subscribed to what."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from rx_cometd.testing.globs import is_service, subscription_names
from rx_cometd.testing.session import Release, ServerSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.testing.session import Link

__all__ = ["SessionRegistry"]


class SessionRegistry:
    """The sessions of a server, and its index of subscriptions.

    Args:
        lifetime: How many seconds a session lives without a connect.
        changed: Called after each change.
    """

    def __init__(self, lifetime: float, changed: Callable[[], None]) -> None:
        self.sessions: dict[str, ServerSession] = {}
        self.lifetime = lifetime
        self._changed = changed
        self._subscribers: dict[str, dict[ServerSession, None]] = {}
        # Globs are resolved once per channel, until somebody subscribes or unsubscribes.
        self._routes: dict[str, tuple[ServerSession, ...]] = {}

    def create(self, connection_type: ConnectionType) -> ServerSession:
        """Make a session that nobody can address yet."""
        return ServerSession(secrets.token_hex(12), connection_type)

    def add(self, session: ServerSession) -> None:
        """Let a session in."""
        self.sessions[session.client_id] = session
        session.expire_in(self.lifetime)
        self._changed()

    def find(self, client_id: object) -> ServerSession | None:
        """Look up the living session of a ``clientId``."""
        session = self.sessions.get(client_id) if isinstance(client_id, str) else None
        if session is not None and session.expired:
            self.sweep()
            return None
        return session

    def remove(self, session: ServerSession) -> bool:
        """Take a session and its subscriptions out; tell whether it was there."""
        if self.sessions.pop(session.client_id, None) is None:
            return False
        for name in session.subscriptions:
            self._withdraw(session, name)
        self._changed()
        return True

    def forget(self, session: ServerSession) -> None:
        """Lose a session, as a server does that lost its memory."""
        self.remove(session)
        session.release(Release.FORGOTTEN)

    def clear(self) -> None:
        """Forget everybody."""
        for session in list(self.sessions.values()):
            self.forget(session)

    def unbind(self, link: Link) -> None:
        """Tell the sessions of a link that it is theirs no more."""
        for session in self.sessions.values():
            session.unbind(link, self.lifetime)
        self._changed()

    def subscribe(self, session: ServerSession, name: str) -> None:
        """Note a subscription. Service channels need none: their messages come anyway."""
        if is_service(name):
            return
        session.subscriptions[name] = None
        self._subscribers.setdefault(name, {})[session] = None
        self._routes.clear()
        self._changed()

    def unsubscribe(self, session: ServerSession, name: str) -> None:
        """Drop a subscription, if there is one."""
        if session.subscriptions.pop(name, self) is None:
            self._withdraw(session, name)
            self._changed()

    def _withdraw(self, session: ServerSession, name: str) -> None:
        subscribers = self._subscribers[name]
        del subscribers[session]
        if not subscribers:
            del self._subscribers[name]
        self._routes.clear()

    def subscribers(self, channel: str) -> tuple[ServerSession, ...]:
        """Tell who gets the messages of a channel, each session once."""
        route = self._routes.get(channel)
        if route is None:
            found: dict[ServerSession, None] = {}
            for name in subscription_names(channel):
                found.update(self._subscribers.get(name, {}))
            route = self._routes[channel] = tuple(found)
        return route

    def sweep(self) -> None:
        """End the sessions whose connect is overdue."""
        for session in [s for s in self.sessions.values() if s.expired]:
            self.remove(session)
            session.end()
            if session.link is not None:
                session.link.dismiss(1000, "Destroy")

    async def sweep_every(self, seconds: float) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(seconds)
            self.sweep()
