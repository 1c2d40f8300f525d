"""Service channels: messages for the server alone, and its answers to their senders alone."""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from rx_cometd.testing.globs import subscription_names
from rx_cometd.testing.wire import Codec, Event, Json

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Coroutine

    from rx_cometd.testing.session import ServerSession

__all__ = ["Handler", "ServiceFailure", "ServiceRequest", "Services"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceRequest:
    """What a service handler is called with.

    Attributes:
        session: The sender.
        message: The message as it came.
    """

    session: ServerSession
    message: Json

    @property
    def channel(self) -> str:
        """The channel it was sent on."""
        return str(self.message["channel"])

    @property
    def data(self) -> Any:
        """Its data."""
        return self.message.get("data")


class ServiceFailure(Exception):  # noqa: N818 - the word of RemoteCall.failure
    """Raised by a service handler to answer with ``"successful": false``.

    Args:
        data: The data of the answer.
    """

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.data = data


Handler: TypeAlias = "Callable[[ServiceRequest], Any | Awaitable[Any]]"
_H = TypeVar("_H", bound="Callable[[ServiceRequest], Any]")


class Services:
    """The service handlers of a server.

    What a handler returns is delivered to the sender, on the same channel and with the id of
    the request, as ``RemoteCall.result`` of the CometD server does. Answers of coroutine
    functions come when they are ready; the publish reply does not wait for them. A handler that
    raises `ServiceFailure` answers as ``RemoteCall.failure`` does; any other exception fails the
    publish, or is logged if the publish reply is sent already.

    Args:
        codec: Encodes the answers.
        spawn: Runs a coroutine as a task that ends with the server.
    """

    def __init__(
        self, codec: Codec, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self._handlers: dict[str, Handler] = {}
        self._codec = codec
        self._spawn = spawn

    def register(self, name: str) -> Callable[[_H], _H]:
        """Make a decorator that has a function handle a channel or glob."""

        def decorate(handler: _H) -> _H:
            self._handlers[name] = handler
            return handler

        return decorate

    def call(self, session: ServerSession, message: Json) -> None:
        """Hand a message to its handler, if there is one.

        Raises:
            Exception: Whatever a plain function raises; a coroutine's failure is logged.
        """
        names = (n for n in subscription_names(message["channel"]) if n in self._handlers)
        name = next(names, None)
        if name is None:
            return
        try:
            result = self._handlers[name](ServiceRequest(session, message))
        except ServiceFailure as failure:
            self._deliver(session, message, failure.data, successful=False)
            return
        if inspect.isawaitable(result):
            self._spawn(self._answer_later(session, message, result))
        else:
            self._answer(session, message, result)

    async def _answer_later(
        self, session: ServerSession, message: Json, result: Awaitable[Any]
    ) -> None:
        try:
            self._answer(session, message, await result)
        except ServiceFailure as failure:
            self._deliver(session, message, failure.data, successful=False)
        except Exception:
            # The publish reply is long sent; there is nobody left to tell but the log.
            _logger.exception("the handler of %s failed", message["channel"])

    def _answer(self, session: ServerSession, message: Json, result: Any) -> None:
        if result is not None:
            self._deliver(session, message, result, successful=True)

    def _deliver(
        self, session: ServerSession, message: Json, data: Any, *, successful: bool
    ) -> None:
        answer: Json = {"channel": message["channel"], "data": data, "successful": successful}
        if "id" in message:
            answer["id"] = message["id"]
        session.deliver(Event(answer, self._codec))
