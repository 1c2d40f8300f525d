"""What the server does with each message of a client (``BayeuxServerImpl`` of CometD)."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from rx_cometd.connection_types import ConnectionType
from rx_cometd.messages import CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, UNSUBSCRIBE
from rx_cometd.testing import errors
from rx_cometd.testing.globs import is_meta, is_service, is_valid, is_wild
from rx_cometd.testing.server_extension import InFlight
from rx_cometd.testing.session import Release
from rx_cometd.testing.wire import Event, Json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from rx_cometd.testing.exchange import Exchange
    from rx_cometd.testing.faults import Faults
    from rx_cometd.testing.options import Options
    from rx_cometd.testing.registry import SessionRegistry
    from rx_cometd.testing.server_extension import ServerExtension
    from rx_cometd.testing.services import Services
    from rx_cometd.testing.session import ServerSession

__all__ = ["Requests"]

_logger = logging.getLogger(__name__)
_Answer: TypeAlias = "Callable[[InFlight], Awaitable[Json]]"


class Requests:
    """Turns the messages of an exchange into replies."""

    def __init__(
        self,
        options: Options,
        registry: SessionRegistry,
        services: Services,
        faults: Faults,
        extensions: Sequence[ServerExtension],
    ) -> None:
        self._options = options
        self._registry = registry
        self._services = services
        self._faults = faults
        self._extensions = extensions
        self._answers: dict[str, _Answer] = {
            CONNECT: self._connect,
            SUBSCRIBE: self._subscribe,
            UNSUBSCRIBE: self._unsubscribe,
            DISCONNECT: self._disconnect,
        }

    async def process(self, exchange: Exchange) -> None:
        """Answer all messages of a payload, in order."""
        for message in exchange.messages:
            reply = self._outline(message)
            fields = self._faults.refusal(message)
            if fields is None:
                session, fields = await self._answer(message, exchange)
            else:
                session = None
            reply.update(fields)
            if session is not None:
                for extension in self._extensions:
                    extension.outgoing(InFlight(session, message, exchange), reply)
            if message.get("channel") == CONNECT:
                exchange.connect = reply
            exchange.replies.append(reply)

    def _outline(self, message: Json) -> Json:
        reply: Json = {"channel": message.get("channel"), "successful": True}
        if "id" in message:
            reply["id"] = message["id"]
        if message.get("channel") in (SUBSCRIBE, UNSUBSCRIBE) and "subscription" in message:
            reply["subscription"] = message["subscription"]
        return reply

    async def _answer(self, message: Json, exchange: Exchange) -> tuple[ServerSession | None, Json]:
        """Give the session of a message, and the fields of its reply."""
        channel = message.get("channel")
        if channel is None:
            return None, _failed(errors.CHANNEL_MISSING)
        if not is_valid(channel):
            return None, _failed(errors.CHANNEL_INVALID)
        if channel == HANDSHAKE:
            session = self._registry.create(exchange.connection_type)
            answer: _Answer = self._handshake
        else:
            found = self._session(message, exchange)
            if found is None:
                return None, self.unknown(channel)
            session = found
            exchange.take_in(session)
            answer = self._answers.get(channel, self._publish)
        in_flight = InFlight(session, message, exchange)
        for extension in self._extensions:
            refused = await extension.incoming(in_flight)
            if refused is not None:
                return session, {"successful": False, **refused}
        return session, await answer(in_flight)

    def unknown(self, channel: str) -> Json:
        """Give the fields of the reply to a session that is not there."""
        error = errors.UNKNOWN_CLIENT if self._options.salesforce else errors.SESSION_UNKNOWN
        advice = {"advice": errors.HANDSHAKE_AGAIN} if channel == CONNECT else {}
        return {**_failed(error), **advice}

    def _session(self, message: Json, exchange: Exchange) -> ServerSession | None:
        session = self._registry.find(message.get("clientId"))
        if session is None or not self._options.require_cookie:
            return session
        foreign = session.browser_id is not None and session.browser_id != exchange.browser_id
        return None if foreign and exchange.link is None else session

    async def _handshake(self, in_flight: InFlight) -> Json:
        session, message, exchange = in_flight
        refused = await self._ask(
            self._options.can_handshake, errors.HANDSHAKE_DENIED, session, message
        )
        if refused is not None:
            return {"successful": False, "advice": errors.NO_MORE, **refused}
        session.browser_id = exchange.browser_id
        session.deliver_only = self._options.meta_connect_deliver_only
        session.advised = None if self._options.salesforce else exchange.connection_type
        self._registry.add(session)
        exchange.take_in(session)
        if exchange.link is not None:
            # Sessions that a client left behind would send it their events, too.
            self._registry.unbind(exchange.link)
            session.link = exchange.link
        if self._options.on_handshake is not None:
            pending = self._options.on_handshake(session)
            if inspect.isawaitable(pending):
                await pending
        reply: Json = {
            "clientId": session.client_id,
            "version": "1.0",
            "minimumVersion": "1.0",
            "supportedConnectionTypes": [t.value for t in self._options.connection_types],
        }
        if not self._options.salesforce:
            reply["advice"] = self._options.advice()
        return reply

    async def _connect(self, in_flight: InFlight) -> Json:
        session, message, exchange = in_flight
        session.release(Release.REPLACED)
        session.link = exchange.link
        session.connection_type = exchange.connection_type
        asked = _asked_timeout(message)
        timeout = self._options.timeout if asked is None else asked
        reply: Json = {}
        if (
            exchange.urgent
            or "advice" in message
            or session.advised is not exchange.connection_type
        ):
            session.advised = exchange.connection_type
            reply["advice"] = self._options.advice()
        # AbstractHttpTransport and AbstractWebSocketEndPoint: the first connect, and one that
        # came with other messages, is not held; nor one that finds what it would wait for.
        waits = session.connected and len(exchange.messages) == 1
        delivers = exchange.connection_type is ConnectionType.LONG_POLLING or session.deliver_only
        if waits and not (exchange.urgent or (delivers and session.queue)):
            exchange.hold = timeout
        session.connected = True
        session.expire_in(self._registry.lifetime)
        return reply

    async def _subscribe(self, in_flight: InFlight) -> Json:
        session, message, _ = in_flight
        names = _names(message)
        if names is None:
            return _failed(errors.SUBSCRIPTION_MISSING)
        for name in names:
            if not is_valid(name):
                return _failed(errors.SUBSCRIPTION_INVALID)
            refused = self._faults.subscription_refusal(name) or (
                {"error": errors.SUBSCRIBE_DENIED}
                if is_meta(name)
                else await self._ask(
                    self._options.can_subscribe, errors.SUBSCRIBE_DENIED, session, name, message
                )
            )
            if refused is not None:
                return {"successful": False, **refused}
        # All of an array or nothing: a client can tell which ones it has.
        for name in names:
            self._registry.subscribe(session, name)
        return {}

    async def _unsubscribe(self, in_flight: InFlight) -> Json:
        session, message, _ = in_flight
        names = _names(message)
        if names is None:
            return _failed(errors.SUBSCRIPTION_MISSING)
        for name in names:
            self._registry.unsubscribe(session, name)
        return {}

    async def _disconnect(self, in_flight: InFlight) -> Json:
        session = in_flight.session
        self._registry.remove(session)
        session.end()
        return {}

    async def _publish(self, in_flight: InFlight) -> Json:
        session, message, _ = in_flight
        channel: str = message["channel"]
        if is_meta(channel):
            return _failed(errors.UNKNOWN_META)
        if is_wild(channel):
            return _failed(errors.CREATE_DENIED)
        refused = await self._ask(
            self._options.can_publish, errors.PUBLISH_DENIED, session, channel, message
        )
        if refused is not None:
            return {"successful": False, **refused}
        if not is_service(channel):
            self._broadcast(session, message)
            return {}
        try:
            self._services.call(session, message)
        except Exception:
            # A handler of the user's failed: its caller is told, the others are served.
            _logger.exception("the handler of %s failed", channel)
            return _failed(errors.SERVICE_FAILED)
        return {}

    def _broadcast(self, publisher: ServerSession, message: Json) -> None:
        # BayeuxServerImpl: neither the id nor the clientId of a publisher leaks to others.
        kept = {key: value for key, value in message.items() if key not in ("id", "clientId")}
        event = Event(kept, self._options.codec)
        for session in self._registry.subscribers(message["channel"]):
            if session is not publisher or self._options.broadcast_to_publisher:
                session.deliver(event)

    @staticmethod
    async def _ask(policy: Callable[..., Any] | None, default: str, *facts: Any) -> Json | None:
        return None if policy is None else await errors.refusal(policy(*facts), default)


def _failed(error: str) -> Json:
    return {"successful": False, "error": error}


def _names(message: Json) -> list[str] | None:
    subscription = message.get("subscription")
    if isinstance(subscription, list) and subscription:
        return cast("list[str]", subscription)
    return [subscription] if isinstance(subscription, str) else None


def _asked_timeout(message: Json) -> float | None:
    """Read ``advice.timeout`` of a connect, in seconds."""
    advice = message.get("advice")
    timeout = cast("Json", advice).get("timeout") if isinstance(advice, dict) else None
    return timeout / 1000 if isinstance(timeout, int | float) and timeout >= 0 else None
