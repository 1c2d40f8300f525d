"""The server's half of a session: its queue, its subscriptions, its held connect."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.testing.acknowledgements import Acknowledgements
    from rx_cometd.testing.wire import Event

__all__ = ["HeldConnect", "Link", "Release", "ServerSession"]


class Release(enum.Enum):
    """Why a held ``/meta/connect`` is held no longer."""

    MESSAGES = enum.auto()
    TIMEOUT = enum.auto()
    DISCONNECTED = enum.auto()
    FORGOTTEN = enum.auto()
    """The session does not exist any more."""
    REPLACED = enum.auto()
    """By a later connect of the same session."""
    ABANDONED = enum.auto()
    """Its connection is gone."""


class HeldConnect:
    """A ``/meta/connect`` that waits for messages, or for its time.

    Attributes:
        abort: Cuts the TCP connection it came over.
    """

    def __init__(self, timeout: float, abort: Callable[[], None]) -> None:
        self.abort = abort
        loop = asyncio.get_running_loop()
        self._released: asyncio.Future[Release] = loop.create_future()
        self._timer = loop.call_later(timeout, self.release, Release.TIMEOUT)

    def release(self, reason: Release) -> None:
        """End the wait; only the first reason counts."""
        self._timer.cancel()
        if not self._released.done():
            self._released.set_result(reason)

    async def released(self) -> Release:
        """Wait for the end of the hold."""
        try:
            return await asyncio.shield(self._released)
        except asyncio.CancelledError:
            self.release(Release.ABANDONED)
            raise


class Link(Protocol):
    """A connection that the server can push to."""

    @property
    def crowded(self) -> bool:
        """Whether so much waits to be sent that a publisher should wait as well."""
        ...

    def push(self, text: str) -> None:
        """Send an encoded message, soon."""
        ...

    async def drained(self) -> None:
        """Wait until it is crowded no more, or closed."""
        ...

    def dismiss(self, code: int, reason: str) -> None:
        """Close it in order, once all is sent."""
        ...

    def abort(self) -> None:
        """Cut the TCP connection."""
        ...


class ServerSession:
    """A client as the server knows it.

    Attributes:
        client_id: Its ``clientId``.
        subscriptions: The channels and globs it is subscribed to.
        connection_type: That of its last handshake or connect.
        connected: Whether it has sent a connect already; the first one is not held.
        deliver_only: Whether events travel with connect replies only.
        queue: Events that wait for a connect, or for a link.
        held: The connect that is being held.
        link: The WebSocket it is bound to.
        acknowledgements: What its client has not acknowledged, if it uses the ack extension.
        browser_id: The cookie it is bound to.
        advised: The connection type whose replies carried the advice last.
        ended: Whether it was disconnected, by either side, or has expired.
        attributes: For whatever a test wants to keep with it.
    """

    def __init__(self, client_id: str, connection_type: ConnectionType) -> None:
        self.client_id = client_id
        self.subscriptions: dict[str, None] = {}
        self.connection_type = connection_type
        self.connected = False
        self.deliver_only = False
        self.queue: list[Event] = []
        self.held: HeldConnect | None = None
        self.link: Link | None = None
        self.acknowledgements: Acknowledgements | None = None
        self.browser_id: str | None = None
        self.advised: ConnectionType | None = None
        self.ended = False
        self.attributes: dict[str, Any] = {}
        self._corked = 0
        self._expires_at: float | None = None

    def __repr__(self) -> str:
        state = "held" if self.held else "connected" if self.connected else "handshaken"
        return (
            f"<ServerSession {self.client_id} {self.connection_type.value} {state}, "
            f"{len(self.subscriptions)} subscriptions, {len(self.queue)} queued>"
        )

    # Delivery

    def deliver(self, event: Event) -> None:
        """Send an event to the client, at once or as soon as there is a way."""
        link = self.link
        if link is not None and not (self._corked or self.deliver_only or self.queue):
            link.push(event.text)
            return
        self.queue.append(event)
        self.flush()

    def flush(self) -> None:
        """Get queued events on their way."""
        if self._corked or not self.queue:
            return
        if self.link is not None and not self.deliver_only:
            for event in self.take():
                self.link.push(event.text)
        else:
            self.release(Release.MESSAGES)

    def take(self) -> list[Event]:
        """Empty the queue into a response."""
        events, self.queue = self.queue, []
        return events

    def cork(self) -> None:
        """Keep events back while a payload of the client is processed.

        They leave with its replies, in one response, instead of waking the held connect.
        """
        self._corked += 1

    def uncork(self) -> None:
        """Release what was kept back."""
        self._corked -= 1
        self.flush()

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait for the client's socket."""
        return self.link is not None and not self.deliver_only and self.link.crowded

    async def drained(self) -> None:
        """Wait while so much waits for the client's WebSocket that memory would be wasted."""
        while self.link is not None and self.crowded:
            await self.link.drained()

    # Life

    def hold(self, timeout: float, abort: Callable[[], None]) -> HeldConnect:
        """Hold a connect."""
        self.release(Release.REPLACED)
        self.held = HeldConnect(timeout, abort)
        self._expires_at = None
        return self.held

    def release(self, reason: Release) -> None:
        """Release the held connect, if there is one."""
        if self.held is not None:
            self.held.release(reason)

    def let_go(self, held: HeldConnect, lifetime: float) -> None:
        """Hold a connect no longer; from now on the session's days are counted."""
        if self.held is held:
            self.held = None
            self.expire_in(lifetime)

    def expire_in(self, seconds: float) -> None:
        """Let the session end unless a connect comes in time."""
        if self.held is None:
            self._expires_at = asyncio.get_running_loop().time() + seconds

    def expire_never(self) -> None:
        """Let the session live on until it is said when it ends."""
        self._expires_at = None

    @property
    def expired(self) -> bool:
        """Whether a connect is overdue."""
        return (
            self._expires_at is not None and asyncio.get_running_loop().time() >= self._expires_at
        )

    def unbind(self, link: Link, lifetime: float) -> None:
        """Tell that a link is gone."""
        if self.link is link:
            self.link = None
            self.release(Release.ABANDONED)
            self.expire_in(lifetime)

    def end(self, farewell: Event | None = None) -> None:
        """End the session: the client is told if there is a way, held connects are released."""
        self.ended = True
        if farewell is not None:
            if self.link is not None and not self.deliver_only:
                self.link.push(farewell.text)
            else:
                self.queue.append(farewell)
        self.release(Release.DISCONNECTED)
