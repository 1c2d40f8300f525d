"""Faults on demand: what networks and servers do to clients on bad days."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from rx_cometd.messages import CONNECT, HANDSHAKE
from rx_cometd.testing.errors import SUBSCRIBE_DENIED
from rx_cometd.testing.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    async def send_frame(self, payload: str | bytes) -> bool:
        """Send a frame over all WebSockets, if there are any."""
        ...

    def tear_frames(self) -> bool:
        """Begin a frame on all WebSockets, if there are any, and cut them."""
        ...


class Faults:
    """Makes a server misbehave.

    Where a ``count`` can be given, ``None`` means until `clear`. A ``channel`` can be a glob;
    ``None`` stands for any.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._statuses: Rules[int] = Rules()
        self._upgrades: Rules[int] = Rules()
        self._refusals: Rules[Json] = Rules()
        self._subscriptions: Rules[Json] = Rules()
        self._delays: Rules[float] = Rules()
        self._losses: Rules[bool] = Rules()
        self._cuts: Rules[float] = Rules()
        self._bodies: Rules[str | bytes] = Rules()
        self._rewrites: Rules[Json] = Rules()
        self._omissions: Rules[bool] = Rules()
        self._all: list[Rules[Any]] = [
            *(self._statuses, self._upgrades, self._refusals, self._subscriptions),
            *(self._delays, self._losses, self._cuts, self._bodies),
            *(self._rewrites, self._omissions),
        ]

    def clear(self) -> None:
        """End all faults."""
        self.resume()
        for rules in self._all:
            rules.clear()

    # The link

    def drop_link(self, client_id: str | None = None) -> None:
        """Cut the TCP connections of one session, or of all; sessions survive."""
        self._network.abort_connections(client_id)

    def stall(self) -> None:
        """Fall silent: read nothing, answer nothing, keep connections open, until `resume`."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a `stall`; requests that arrived during it are answered now."""
        self._flowing.set()

    @property
    def stalled(self) -> bool:
        """Whether the server is silent."""
        return not self._flowing.is_set()

    async def close_websockets(self, code: int = 1001, reason: str = "") -> None:
        """Close all WebSockets with a code; sessions survive."""
        await self._network.close_links(code, reason)

    # HTTP, and what is no Bayeux

    def respond_with(
        self, status: int, *, count: int | None = 1, channel: str | None = None
    ) -> None:
        """Answer HTTP requests with a status, unprocessed; WebSocket upgrades too.

        Args:
            status: The HTTP status.
            count: How many requests.
            channel: Only requests that hold a message of this channel; no upgrades then.
        """
        self._statuses.add(status, channel, count)

    def refuse_websocket(self, status: int = 404, *, count: int | None = None) -> None:
        """Answer WebSocket upgrades with a status, like a proxy that does not support them."""
        self._upgrades.add(status, None, count)

    async def garbage(self, payload: str | bytes, *, channel: str | None = None) -> None:
        """Send something that need not be Bayeux.

        Over every open WebSocket at once, as a frame of its own, binary for bytes. Where none
        is open, in place of the body of the next HTTP response, of a channel if one is given.
        """
        if not await self._network.send_frame(payload):
            self._bodies.add(payload, channel, 1)

    def truncate(self, *, channel: str | None = None) -> None:
        """Break off in the middle of something.

        On every open WebSocket at once, in a frame. Where none is open, in the body of the next
        HTTP response, of a channel if one is given; it is processed.
        """
        if not self._network.tear_frames():
            self._cuts.add(0.5, channel, 1)

    def lose_responses(self, channel: str | None = None, *, count: int | None = 1) -> None:
        """Cut the connection instead of responding to an HTTP request; it is processed."""
        self._cuts.add(0.0, channel, count)

    # Replies

    def delay_replies(
        self, seconds: float, channel: str | None = None, *, count: int | None = None
    ) -> None:
        """Send replies late, with all that came in one payload with what they reply to."""
        self._delays.add(seconds, channel, count)

    def lose_replies(self, channel: str | None = None, *, count: int | None = 1) -> None:
        """Omit replies; the requests are processed. HTTP responses come without."""
        self._losses.add(True, channel, count)

    def omit_ids(self, channel: str | None = None, *, count: int | None = None) -> None:
        """Send replies without their ids."""
        self._omissions.add(True, channel, count)

    def rewrite(self, channel: str | None, fields: Json, *, count: int | None = None) -> None:
        """Put fields into replies."""
        self._rewrites.add(fields, channel, count)

    def advise(
        self, advice: Json, channel: str | None = "/meta/*", *, count: int | None = None
    ) -> None:
        """Put an advice into replies, successful or not."""
        self.rewrite(channel, {"advice": advice}, count=count)

    # Sessions and requests

    def forget(self, client_id: str | None = None) -> None:
        """Lose a session, or all: clients get ``402::session_unknown``."""
        self._network.forget_sessions(client_id)

    def refuse_subscribe(
        self, subscription: str, error: str = SUBSCRIBE_DENIED, *, count: int | None = None
    ) -> None:
        """Refuse subscriptions to a name, or to all names that match a glob."""
        self._subscriptions.add({"error": error}, subscription, count)

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
        self._refusals.add(fields, channel, count)

    # What the server asks

    async def gate(self) -> None:
        """Wait while the server is silent."""
        await self._flowing.wait()

    def status_for(self, messages: Iterable[Json]) -> int | None:
        """Tell the status that a request shall be answered with."""
        return self._statuses.apply_any(m.get("channel") for m in messages)

    def status_for_upgrade(self) -> int | None:
        """Tell the status that a WebSocket upgrade shall be answered with."""
        status = self._upgrades.apply(None)
        return self._statuses.apply_unspecific() if status is None else status

    def refusal(self, message: Json) -> Json | None:
        """Tell the fields of the failed reply, if a message is to be refused."""
        return self._refusals.apply(message.get("channel"))

    def subscription_refusal(self, name: str) -> Json | None:
        """Tell the fields of the failed reply, if a subscription is to be refused."""
        return self._subscriptions.apply(name)

    def delay_for(self, replies: Iterable[Json]) -> float:
        """Tell how many seconds late a response shall be."""
        return self._delays.apply_any(r.get("channel") for r in replies) or 0.0

    def body_for(self, replies: Iterable[Json]) -> str | bytes | None:
        """Tell the body that an HTTP response shall have instead of its own."""
        return self._bodies.apply_any(r.get("channel") for r in replies)

    def cut_for(self, replies: Iterable[Json]) -> float | None:
        """Tell the part of an HTTP response after which the connection shall be cut."""
        return self._cuts.apply_any(r.get("channel") for r in replies)

    def alter(self, replies: Iterable[Json]) -> list[Json]:
        """Give the replies as they shall be sent."""
        altered: list[Json] = []
        for reply in replies:
            channel = reply.get("channel")
            if self._losses.apply(channel):
                continue
            sent = {**reply, **(self._rewrites.apply(channel) or {})}
            if self._omissions.apply(channel):
                sent.pop("id", None)
            altered.append(sent)
        return altered
