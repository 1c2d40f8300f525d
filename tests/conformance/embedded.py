"""The embedded server in the clothes of a real one: same life, same control commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from rx_cometd.testing import BayeuxServer, Event, Json, ServiceRequest
from tests.servers import ControlError, Counters, ReservedPort

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rx_cometd.testing import Faults, ServerSession
    from rx_cometd.testing.options import Verdict
    from tests.conformance.serving import Server

__all__ = ["EmbeddedServer", "faults_of"]


class EmbeddedServer:
    """A `BayeuxServer` with the interface of `tests.servers.ServerProcess`.

    Args:
        options: Its options, other than policies.

    Attributes:
        bayeux: The server itself.
    """

    def __init__(self, **options: Any) -> None:
        self._denials: dict[tuple[str, str], Json] = {}
        self._greeting: Json | None = None
        self._counted_from = 0
        self._reserved: ReservedPort | None = ReservedPort()
        self.bayeux = BayeuxServer(
            can_handshake=lambda session, message: self._verdict("handshake", "*"),
            can_subscribe=lambda session, channel, message: self._verdict("subscribe", channel),
            can_publish=lambda session, channel, message: self._verdict("publish", channel),
            on_handshake=self._greet,
            max_received=None,
            port=self._reserved.port,
            **options,
        )
        self.bayeux.service("/service/echo")(lambda request: request.data)
        self.bayeux.service("/service/refuse")(self._refuse)

    @property
    def url(self) -> str:
        return self.bayeux.url

    @property
    def port(self) -> int:
        return self.bayeux.port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._reserved = self._reserved or ReservedPort(self.port)
        self._reset_counters()
        await self.bayeux.start()

    async def stop(self) -> None:
        self.unpause()
        await self.bayeux.stop()
        if self._reserved is not None:
            self._reserved.release()
            self._reserved = None

    async def kill(self) -> None:
        """Be gone as after SIGKILL: no goodbyes, sockets closed by the kernel."""
        self.bayeux.faults.drop_link()
        await self.bayeux.stop()
        self.unpause()

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    def pause(self) -> None:
        """Be silent as after SIGSTOP."""
        self.bayeux.faults.stall()

    def unpause(self) -> None:
        self.bayeux.faults.resume()

    async def control(self, command: str, **arguments: Any) -> Any:
        """Do what the control channel of a real server does."""
        commands: dict[str, Callable[..., Any]] = {
            "publish": self._publish,
            "deliver": self.bayeux.deliver,
            "disconnect": self.bayeux.disconnect,
            "forget": self._forget,
            "deny": self._deny,
            "allow": self._allow,
            "greet": self._set_greeting,
            "drop": self.bayeux.faults.drop_link,
            "reset_counters": self._reset_counters,
            "ping": lambda: asyncio.sleep(0, result=True),
        }
        if command not in commands:
            raise ControlError(command)
        outcome = commands[command](**arguments)
        return await outcome if hasattr(outcome, "__await__") else outcome

    async def sessions(self) -> list[str]:
        return list(self.bayeux.sessions)

    async def subscribers(self, channel: str) -> list[str]:
        sessions = self.bayeux.sessions.values()
        return [session.client_id for session in sessions if channel in session.subscriptions]

    async def counters(self) -> Counters:
        payloads = [payload for _, payload in self.bayeux.received[self._counted_from :]]
        messages = [message for payload in payloads for message in payload]
        subscribes = [_count(payload, "/meta/subscribe") for payload in payloads]
        return Counters(
            payloads=len(payloads),
            messages=len(messages),
            handshakes=_count(messages, "/meta/handshake"),
            connects=_count(messages, "/meta/connect"),
            disconnects=_count(messages, "/meta/disconnect"),
            publishes=sum(not m["channel"].startswith("/meta/") for m in messages),
            subscribes=sum(subscribes),
            unsubscribes=_count(messages, "/meta/unsubscribe"),
            subscribed_channels=sum(subscribes),
            subscribe_payloads=sum(count > 0 for count in subscribes),
            largest_subscribe_payload=max(subscribes, default=0),
        )

    def _reset_counters(self) -> bool:
        self._counted_from = len(self.bayeux.received)
        return True

    async def _publish(
        self, channel: str, data: Any = None, count: int | None = None, first: int = 0
    ) -> int:
        if count is None:
            await self.bayeux.publish(channel, data)
            return 1
        for number in range(first, first + count):
            await self.bayeux.publish(channel, {"n": number})
        return count

    def _forget(self, client_id: str) -> bool:
        self.bayeux.faults.forget(client_id)
        return True

    def _deny(self, operation: str, channel: str = "*", advice: Json | None = None) -> bool:
        self._denials[operation, channel] = {} if advice is None else {"advice": advice}
        return True

    def _allow(self, operation: str, channel: str = "*") -> bool:
        self._denials.pop((operation, channel), None)
        return True

    def _verdict(self, operation: str, channel: str) -> Verdict:
        for denied in (channel, "*"):
            if (operation, denied) in self._denials:
                return self._denials[operation, denied] or False
        return True

    def _set_greeting(self, channel: str, count: int) -> bool:
        self._greeting = {"channel": channel, "count": count} if count else None
        return True

    def _greet(self, session: ServerSession) -> None:
        if self._greeting is not None:
            for number in range(self._greeting["count"]):
                message: Json = {"channel": self._greeting["channel"], "data": {"n": number}}
                session.deliver(Event(message, self.bayeux.options.codec))

    def _refuse(self, request: ServiceRequest) -> None:
        fields = {"id": request.message["id"], "successful": False}
        self.bayeux.deliver(request.session.client_id, request.channel, request.data, **fields)


def faults_of(server: Server) -> Faults:
    """Give the faults of a server that has them."""
    assert isinstance(server, EmbeddedServer)
    return server.bayeux.faults


def _count(messages: list[Json], channel: str) -> int:
    return sum(message.get("channel") == channel for message in messages)
