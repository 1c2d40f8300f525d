"""Faults on demand: what networks and servers do to clients on bad days."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from rx_cometd.messages import CONNECT, HANDSHAKE
from rx_cometd.testing.errors import SUBSCRIBE_DENIED
from rx_cometd.testing.globs import is_valid, matches

if TYPE_CHECKING:
    from rx_cometd.testing.wire import Json

__all__ = ["Faults", "Network"]


class Network(Protocol):
    """What faults need of the server."""

    def abort_connections(self, client_id: str | None) -> None:
        """Cut TCP connections: all, or those of one session."""
        ...

    def forget_sessions(self, client_id: str | None) -> None:
        """Lose sessions: all, or one."""
        ...

    async def close_links(self, code: int, reason: str) -> None:
        """Close all WebSockets."""
        ...


@dataclass(slots=True)
class _Rule:
    """A fault that strikes what it fits, a number of times or until `Faults.clear`."""

    channel: str | None
    count: int | None
    fields: Json = field(default_factory=dict[str, object])
    status: int = 0
    subscription: str | None = None

    def strikes(self, channel: object) -> bool:
        """Tell whether it strikes a message of a channel, and count that."""
        if self.count == 0 or not self._fits(channel):
            return False
        if self.count is not None:
            self.count -= 1
        return True

    def _fits(self, channel: object) -> bool:
        if self.channel is None or self.channel == channel:
            return True
        return isinstance(channel, str) and is_valid(channel) and matches(self.channel, channel)


class Faults:
    """Makes a server misbehave; each method says for how long.

    Where a ``count`` can be given, ``None`` means until `clear`. A ``channel`` can be a glob;
    ``None`` stands for any.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._statuses: list[_Rule] = []
        self._upgrades: list[_Rule] = []
        self._refusals: list[_Rule] = []
        self._subscriptions: list[_Rule] = []

    def clear(self) -> None:
        """End all faults."""
        self.resume()
        for rules in (self._statuses, self._upgrades, self._refusals, self._subscriptions):
            rules.clear()

    # The link

    def drop_link(self, client_id: str | None = None) -> None:
        """Cut the TCP connections of one session, or all there are; sessions live on."""
        self._network.abort_connections(client_id)

    def stall(self) -> None:
        """Fall silent: read nothing, answer nothing, keep connections open, until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a `stall`; what was asked meanwhile is answered now."""
        self._flowing.set()

    @property
    def stalled(self) -> bool:
        """Whether the server is silent."""
        return not self._flowing.is_set()

    async def gate(self) -> None:
        """Wait while the server is silent."""
        await self._flowing.wait()

    async def close_websockets(self, code: int = 1001, reason: str = "") -> None:
        """Close all WebSockets with a code; sessions live on."""
        await self._network.close_links(code, reason)

    # HTTP

    def respond_with(
        self, status: int, *, count: int | None = 1, channel: str | None = None
    ) -> None:
        """Answer HTTP requests with a status, unread; WebSocket upgrades too.

        Args:
            status: The HTTP status.
            count: How many requests.
            channel: Only requests that hold a message of this channel; no upgrades then.
        """
        self._statuses.append(_Rule(channel, count, status=status))

    def refuse_websocket(self, status: int = 404, *, count: int | None = None) -> None:
        """Answer WebSocket upgrades with a status, as a proxy that does not know them."""
        self._upgrades.append(_Rule(None, count, status=status))

    def status_for(self, messages: list[Json]) -> int | None:
        """Tell the status that a request shall be answered with."""
        for rule in self._statuses:
            if any(rule.strikes(m.get("channel")) for m in messages):
                return rule.status
        return None

    def status_for_upgrade(self) -> int | None:
        """Tell the status that a WebSocket upgrade shall be answered with."""
        anywhere = [rule for rule in self._statuses if rule.channel is None]
        return next((r.status for r in [*self._upgrades, *anywhere] if r.strikes(None)), None)

    # Sessions and requests

    def forget(self, client_id: str | None = None) -> None:
        """Lose a session, or all: the client learns by ``402::session_unknown``."""
        self._network.forget_sessions(client_id)

    def refuse_subscribe(
        self, subscription: str, error: str = SUBSCRIBE_DENIED, *, count: int | None = None
    ) -> None:
        """Refuse subscriptions to a name, which may be a glob itself."""
        self._subscriptions.append(_Rule(subscription, count, {"error": error}))

    def refuse_connect(
        self, error: str, advice: Json | None = None, *, count: int | None = 1
    ) -> None:
        """Refuse ``/meta/connect``."""
        self.refuse(CONNECT, error, advice, count=count)

    def refuse_handshake(
        self, error: str, advice: Json | None = None, *, count: int | None = 1
    ) -> None:
        """Refuse ``/meta/handshake``."""
        self.refuse(HANDSHAKE, error, advice, count=count)

    def refuse(
        self, channel: str, error: str, advice: Json | None = None, *, count: int | None = 1
    ) -> None:
        """Refuse the messages of a channel, publishes included."""
        fields: Json = {"successful": False, "error": error}
        if advice is not None:
            fields["advice"] = advice
        self._refusals.append(_Rule(channel, count, fields))

    def refusal(self, message: Json) -> Json | None:
        """Tell the fields of the failed reply, if a message is to be refused."""
        channel = message.get("channel")
        return next((r.fields for r in self._refusals if r.strikes(channel)), None)

    def subscription_refusal(self, name: str) -> Json | None:
        """Tell the fields of the failed reply, if a subscription is to be refused."""
        return next((r.fields for r in self._subscriptions if r.strikes(name)), None)
