"""A Bayeux server inside the process: for demos, and for the tests of those who use rx_cometd."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing.core import Core
from rx_cometd.testing.faults import Faults
from rx_cometd.testing.http import LongPolling
from rx_cometd.testing.listener import Listener
from rx_cometd.testing.network import ServerNetwork
from rx_cometd.testing.options import Options, ServerOptions
from rx_cometd.testing.registry import SessionRegistry
from rx_cometd.testing.requests import Requests
from rx_cometd.testing.salesforce import salesforce_defaults
from rx_cometd.testing.services import Handler, Services
from rx_cometd.testing.tasks import Tasks
from rx_cometd.testing.websocket import WebSocketLink, WebSockets
from rx_cometd.testing.wire import Event, Json

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Unpack

    from rx_cometd.testing.session import ServerSession

__all__ = ["BayeuxServer"]

#: In how many parts `BayeuxServer.until` waits: an event loop that stands still uses up only one.
_SLICES: Final = 20


class BayeuxServer:
    """A real Bayeux server on aiohttp, modelled on that of CometD.

    Example::

        async with BayeuxServer(timeout=5.0) as server:
            async with Client(server.url) as client:
                client.channel("/news").subscribe(print)
                await server.until(lambda: server.subscribers("/news"))
                await server.publish("/news", "it works")

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one, and keeps it over restarts.
        options: See `Options`.

    Attributes:
        options: The options in effect.
        faults: What makes the server misbehave.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = 0, **options: Unpack[ServerOptions]
    ) -> None:
        if options.get("salesforce"):
            options = {**salesforce_defaults(), **options}
        self.options = Options(**options)
        self._tasks = Tasks()
        self._watchers: set[asyncio.Event] = set()
        lifetime = self.options.interval + self.options.max_interval
        links: set[WebSocketLink] = set()
        self._registry = SessionRegistry(lifetime, self._changed)
        self._listener = Listener(host, port, self.options, self._handle)
        self._services = Services(self.options.codec, self._tasks.spawn)
        self._network = ServerNetwork(self._listener, self._registry, links)
        self.faults = Faults(self._network)
        requests = Requests(
            self.options,
            self._registry,
            self._services,
            self.faults,
            self.options.all_extensions(),
        )
        self._core = Core(self.options, self._registry, requests, self.faults, self._changed)
        self._long_polling = LongPolling(self._core)
        self._websockets = WebSockets(self._core, links)

    def __repr__(self) -> str:
        state = f"at {self._listener.url}" if self.running else "stopped"
        return f"<BayeuxServer {state}, {len(self.sessions)} sessions>"

    # Life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def running(self) -> bool:
        """Whether the server is running."""
        return self._listener.running

    @property
    def port(self) -> int:
        """The port it listens on, or listened on last."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The address for clients.

        Raises:
            RuntimeError: The server was started on another event loop than the running one, so
                clients would wait forever.
        """
        self._listener.check_loop()
        return self._listener.url

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: It is running already.
            OSError: The port is taken.
        """
        await self._listener.start()
        self._tasks.spawn(self._registry.sweep_every(self.options.sweep_seconds))

    async def stop(self, *, forget: bool = True) -> None:
        """Close everything at once; a stopped server can be started again.

        Args:
            forget: Whether the sessions are lost.
        """
        if not self.running:
            return
        await self._listener.refuse()
        if not self.faults.stalled:
            await self._network.close_links(1001, "")
        await self._listener.stop()
        await self._tasks.end()
        if forget:
            self._registry.clear()

    async def restart(self, *, forget: bool = True) -> None:
        """Stop, and start again on the same port.

        Args:
            forget: Whether the sessions are lost.
        """
        await self.stop(forget=forget)
        await self.start()

    # What it serves

    @property
    def sessions(self) -> dict[str, ServerSession]:
        """The sessions by their ``clientId``."""
        return self._registry.sessions

    @property
    def received(self) -> list[tuple[ConnectionType, list[Json]]]:
        """All payloads received, each with its connection type; you may ``clear()`` it."""
        return self._core.received

    def subscribers(self, channel: str) -> tuple[ServerSession, ...]:
        """Return the sessions that get the messages of a channel."""
        return self._registry.subscribers(channel)

    async def publish(self, channel: str, data: Any, **fields: Any) -> int:
        """Send an event to all subscribers of a channel, each of them once.

        Waits for WebSockets that cannot keep up, so that a fast publisher does not fill the memory.

        Args:
            channel: The channel.
            data: The data.
            fields: Further fields of the message, such as ``ext`` or ``id``.

        Raises:
            TypeError: With ``replay``: the data is not a mapping, so it cannot hold an id.

        Returns:
            How many sessions it went to.
        """
        sessions = self._registry.subscribers(channel)
        if self.options.replay is not None:
            data = self.options.replay.record(channel, data, fields)
        event = Event({"channel": channel, "data": data, **fields}, self._core.codec)
        for session in sessions:
            session.deliver(event)
        for session in sessions:
            if session.crowded:
                await session.drained()
        return len(sessions)

    def deliver(self, client_id: str, channel: str, data: Any, **fields: Any) -> None:
        """Send an event to one session, subscribed or not.

        Raises:
            KeyError: There is no such session.
        """
        message: Json = {"channel": channel, "data": data, **fields}
        self.sessions[client_id].deliver(Event(message, self._core.codec))

    async def disconnect(self, client_id: str, *, advice: Json | None = None) -> None:
        """End a session from the server's side.

        The client is told by a ``/meta/disconnect`` without id: pushed over a WebSocket, with
        the held connect over long-polling, and not at all where none is held. The reply to the held
        connect advises ``reconnect: none``, as in CometD.

        Args:
            client_id: The session.
            advice: What the disconnect itself advises, ``{"reconnect": "handshake"}`` for instance,
                which a client follows rather than that of the connect.

        Raises:
            KeyError: There is no such session.
        """
        session = self.sessions[client_id]
        self._registry.remove(session)
        farewell: Json = {"channel": "/meta/disconnect", "successful": True}
        if advice is not None:
            farewell["advice"] = advice
        session.end(Event(farewell, self._core.codec))

    def service(self, channel: str) -> Callable[[Handler], Handler]:
        """Decorate the function that answers the messages of a service channel.

        It is called with a `ServiceRequest`; what it returns, unless ``None``, is delivered to
        the caller with the id of the request. It may be a coroutine function.
        """
        return self._services.register(channel)

    async def until(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        """Wait for the server to be in a state, without sleeping.

        Args:
            condition: Called after each payload, after each change of sessions, subscriptions,
                links and held connects, and a few times a second.
            timeout: Seconds until the wait is given up. Time during which the event loop could
                not run does not count: a machine that stalls fails no test.

        Raises:
            TimeoutError: The condition never held; the text describes the state of the server.
            RuntimeError: The server was started on another event loop than the running one.
        """
        self._listener.check_loop()
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            for _ in range(_SLICES):
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout / _SLICES):
                        while not condition():
                            changed.clear()
                            await changed.wait()
                        return
        finally:
            self._watchers.discard(changed)
        raise TimeoutError(f"the condition did not hold within {timeout} s; {self._described()}")

    # Inside

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        supported = self.options.connection_types
        if request.headers.get("Upgrade", "").lower() == "websocket":
            if ConnectionType.WEBSOCKET in supported:
                return await self._websockets.handle(request)
        elif request.method == "POST" and ConnectionType.LONG_POLLING in supported:
            return await self._long_polling.handle(request)
        return web.Response(status=400, text="Unknown Bayeux Transport")

    def _described(self) -> str:
        """Tell the state of the server, for whoever waits for another one."""
        life = ("stalled" if self.faults.stalled else "running") if self.running else "stopped"
        sessions = [
            f"{session.client_id} ({session.connection_type.value}, "
            f"{'holding a connect' if session.held else 'no connect held'}, "
            f"subscribed to {', '.join(session.subscriptions) or 'nothing'})"
            for session in self.sessions.values()
        ]
        payloads = len(self.received)
        return (
            f"the server is {life}, has received {payloads} payloads, "
            f"and has these sessions: {'; '.join(sessions) or 'none'}"
        )

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher.set()
