"""Drives clients against the embedded server: observers that remember, and short times."""

from __future__ import annotations

import asyncio
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from reactivex import abc

from rx_cometd import Client, ConnectionType
from rx_cometd.testing import InFlight, ServerExtension

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reactivex import Observable

    from rx_cometd import ClientState
    from rx_cometd._session.settings import Settings
    from rx_cometd.testing import BayeuxServer

Json: TypeAlias = dict[str, Any]

#: Runs a test over each transport.
BOTH = pytest.mark.parametrize("kind", list(ConnectionType), ids=str)
#: The advice of a server that ends a session for good.
NO_MORE: Json = {"reconnect": "none"}
COME_BACK: Json = {"reconnect": "handshake"}
WEBSOCKET = ConnectionType.WEBSOCKET
LONG_POLLING = ConnectionType.LONG_POLLING


def quickly() -> Iterator[float]:
    """Back off by next to nothing."""
    return repeat(0.01)


def client_of(
    server: BayeuxServer | str,
    kind: ConnectionType | Sequence[ConnectionType] | None = None,
    **settings: Any,
) -> Client:
    """Make a client that is impatient."""
    impatient: dict[str, Any] = {
        "connection_timeout": 5.0,
        "max_network_delay": 1.0,
        "backoff": quickly,
    }
    url = server if isinstance(server, str) else server.url
    return Client(url, kind, **(impatient | settings))


def settings_of(client: Client) -> Settings:
    """Give what a client was told to do."""
    return client._shared._settings  # pyright: ignore[reportPrivateUsage]


def facts(client: Client) -> tuple[bool, ClientState, ConnectionType | None]:
    """Give what changes in the life of a client: closed, state, connection type."""
    return client.closed, client.state, client.connection_type


def data_of(message: Any) -> Any:
    """Give the data of a message."""
    return message["data"]


class Gate(ServerExtension):
    """Keeps the messages of a channel at the server, received and not processed, until it opens.

    Args:
        channel: The channel.
        count: How many it keeps; those that follow pass.
    """

    def __init__(self, channel: str, count: int | None = None) -> None:
        self._channel = channel
        self._count = count
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let everything pass."""
        self._opened.set()

    def close(self) -> None:
        """Keep what comes."""
        self._opened.clear()

    async def incoming(self, in_flight: InFlight) -> Json | None:
        if in_flight.message["channel"] == self._channel and self._count != 0:
            if self._count is not None:
                self._count -= 1
            await self._opened.wait()
        return None


class Recorder(abc.ObserverBase[Any]):
    """An observer that keeps what it is told, and can be waited for."""

    def __init__(self, source: Observable[Any] | None = None) -> None:
        self.items: list[Any] = []
        self.error: Exception | None = None
        self.completed = False
        self._told = asyncio.Event()
        if source is not None:
            self.subscription = source.subscribe(self)

    def on_next(self, value: Any) -> None:
        self.items.append(value)
        self._told.set()

    def on_error(self, error: Exception) -> None:
        self.error = error
        self._told.set()

    def on_completed(self) -> None:
        self.completed = True
        self._told.set()

    @property
    def data(self) -> list[Any]:
        """The data of the messages that came."""
        return [item["data"] for item in self.items]

    @property
    def ended(self) -> bool:
        return self.completed or self.error is not None

    async def until(self, condition: Callable[[], object], timeout: float = 30.0) -> None:
        """Wait for something to be true after one of the calls."""
        async with asyncio.timeout(timeout):
            while not condition():
                self._told.clear()
                await self._told.wait()

    async def count(self, count: int) -> list[Any]:
        """Wait for so many items; gives them."""
        await self.until(lambda: len(self.items) >= count or self.ended)
        assert len(self.items) == count, (self.items, self.error, self.completed)
        return self.items

    async def fails(self, timeout: float = 30.0) -> Exception:
        """Wait for the error."""
        await self.until(lambda: self.ended, timeout)
        assert self.error is not None
        return self.error


def requests(server: BayeuxServer, channel: str) -> list[Json]:
    """Give the messages that a server received on a channel."""
    return [m for _, payload in server.received for m in payload if m["channel"] == channel]


def names(server: BayeuxServer, channel: str = "/meta/subscribe") -> list[str]:
    """Give the names that a server was asked to subscribe, or unsubscribe."""
    return [m["subscription"] for m in requests(server, channel)]


def payloads_with(server: BayeuxServer, channel: str) -> list[list[Json]]:
    """Give the payloads with at least one message on a channel."""
    return [p for _, p in server.received if any(m["channel"] == channel for m in p)]


async def subscribed(server: BayeuxServer, channel: str, count: int = 1) -> None:
    """Wait for the server to have so many subscribers to a channel."""
    await server.until(lambda: len(server.subscribers(channel)) == count, 15.0)


async def held(server: BayeuxServer) -> None:
    """Wait until the only session's connect is held."""
    await server.until(lambda: any(s.held for s in server.sessions.values()), 15.0)


async def lingering(server: BayeuxServer) -> None:
    """Wait until no session is left on the server."""
    await server.until(lambda: not server.sessions, 15.0)
