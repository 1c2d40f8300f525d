"""Feeds faster than their consumers, and what comes of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from reactivex import operators as ops

from rx_cometd import ConnectionType, Extension
from tests.conformance.differences import Target
from tests.servers import requires

if TYPE_CHECKING:
    from rx_cometd import Client
    from rx_cometd.extension import Payload
    from tests.conformance.differences import Name
    from tests.conformance.serving import Server

__all__ = [
    "ALL",
    "LONG_POLLING",
    "SLOWER",
    "WEBSOCKETS",
    "Feed",
    "Payloads",
    "Watch",
    "number_of",
    "only",
]

#: How much slower than the feed the consumers are.
SLOWER: Final = 100


def _parameter(target: Target) -> Any:
    marks = [] if target.name == "embedded" else [requires(target.name)]
    return pytest.param(target, id=str(target), marks=marks)


_NAMES: Final[tuple[Name, ...]] = ("embedded", "java")
_FOUND: Final = [Target(name, kind) for name in _NAMES for kind in ConnectionType]
_TARGETS: Final = [(target, _parameter(target)) for target in _FOUND]
#: Servers, each over a transport.
ALL: Final = [parameter for _, parameter in _TARGETS]
EMBEDDED: Final = [parameter for target, parameter in _TARGETS if target.name == "embedded"]
WEBSOCKETS: Final = [parameter for target, parameter in _TARGETS if target.websocket]
LONG_POLLING: Final = [parameter for target, parameter in _TARGETS if not target.websocket]


def only(parameters: list[Any]) -> pytest.MarkDecorator:
    """Run a test against these servers, over these transports."""
    return pytest.mark.parametrize("target", parameters)


def number_of(message: Any) -> int:
    """Give the number that a feed put into a message."""
    number: int = message["data"]["n"]
    return number


class Payloads:
    """How many event messages come in one piece.

    Over long-polling that is a response. Over a WebSocket with the ack extension it is what
    comes between two connect replies, in whatever frames.

    Attributes:
        sizes: One number for each piece.
        received: Event messages in all.
    """

    def __init__(self, connection_type: ConnectionType) -> None:
        self.sizes: list[int] = []
        self.received = 0
        self._whole = connection_type is ConnectionType.LONG_POLLING
        self._open = 0
        self.extension = Extension.of(inbound=ops.do_action(self._count))

    @property
    def largest(self) -> int:
        return max(*self.sizes, self._open, 0)

    def _count(self, payload: Payload) -> None:
        connected = self._whole
        for message in payload.messages:
            channel = message.get("channel", "")
            if channel.startswith("/meta/"):
                connected |= channel == "/meta/connect"
            elif "data" in message:
                self._open += 1
                self.received += 1
        if connected:
            self.sizes.append(self._open)
            self._open = 0


class Feed:
    """Publishes numbered messages from the server's side, as fast as it can.

    Attributes:
        published: How many so far; the numbers begin with 0.
    """

    def __init__(self, server: Server, channel: str, *, burst: int = 50) -> None:
        self.published = 0
        self._server = server
        self._channel = channel
        self._burst = burst
        self._over = False
        self._progress = asyncio.Event()

    async def publish(self, count: int) -> None:
        last = self.published + count
        while self.published < last:
            burst = min(self._burst, last - self.published)
            await self._server.control(
                "publish", channel=self._channel, count=burst, first=self.published
            )
            self.published += burst
            self._progress.set()
            # The embedded server shares this loop, and never waits for a client that polls.
            await asyncio.sleep(0)

    async def run(self, count: int) -> None:
        """Publish everything there will be."""
        await self.publish(count)
        self._over = True
        self._progress.set()

    async def work(self, taken: int) -> None:
        """Be as slow as a consumer is that took so many messages, while the feed goes on."""
        while not self._over and self.published < SLOWER * taken:
            self._progress.clear()
            await self._progress.wait()


class Watch:
    """Looks at a client with every message that is delivered, and at its sessions.

    To be made after the buffer that is watched was subscribed, so that each message has been
    offered to it by then.

    Attributes:
        delivered: Messages on the channel, those that a buffer drops included.
        peak: The most that were pending.
        client_ids: The sessions that there were.
    """

    def __init__(self, client: Client, channel: str) -> None:
        self.delivered = 0
        self.peak = 0
        self.client_ids: set[str] = set()
        self._client = client
        self._changed = asyncio.Event()
        client.state_changes.subscribe(lambda change: self._note(change.client_id))
        client.channel(channel).subscribe(self._look)

    def _note(self, client_id: str | None) -> None:
        if client_id is not None:
            self.client_ids.add(client_id)

    def _look(self, _: object) -> None:
        self.delivered += 1
        self.peak = max(self.peak, self._client.pending_count)
        self._changed.set()

    async def until_delivered(self, count: int) -> None:
        async with asyncio.timeout(30):
            while self.delivered < count:
                self._changed.clear()
                await self._changed.wait()
