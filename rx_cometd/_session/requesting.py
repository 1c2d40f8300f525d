"""What a client sends for its user: publishes and calls, in batches or one by one."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from rx_cometd._flow.arguments import check_seconds
from rx_cometd._protocol.channel_names import is_service, validate_target
from rx_cometd._protocol.subscriptions import Fields, fields_of
from rx_cometd._session.accompanied import Accompanied
from rx_cometd._session.introspection import Introspection
from rx_cometd._transports import timeout_after
from rx_cometd.exceptions import InvalidChannelError, TransportTimeoutError
from rx_cometd.extension import Request

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Generator

    from rx_cometd._session.settings import Settings
    from rx_cometd._session.shared_session import SharedSession
    from rx_cometd.messages import Message

__all__ = ["Requesting"]


class Requesting(Introspection):
    """The requests of a client, which its extensions may accompany.

    Args:
        shared: The client's shared session.
        settings: The client's settings.
    """

    def __init__(self, shared: SharedSession, settings: Settings) -> None:
        super().__init__(shared, settings)
        accompanied = Accompanied(settings.extensions)
        #: The extensions that accompany requests, ``None`` where none does.
        self._accompanied = accompanied or None
        for extension in settings.extensions:
            extension.join(self)

    async def publish(self, channel: str, data: Any, *, fields: Fields = None) -> Message:
        """Publish a message, and return the server's reply.

        Messages published in one turn of the event loop travel in one payload. While the link
        is down a message waits for it; once sent it is never sent again, unless the server
        refused it because of its credentials.

        Args:
            channel: The channel, or service channel.
            data: Anything that the JSON function accepts (or an extension converts).
            fields: Extra fields of the message, ``ext`` for instance.

        Raises:
            InvalidChannelError: It is not a channel that can be published to.
            ClientInvalidOperation: The client is not open.
            ServerError: The server refused.
            TransportError: The message, or its reply, is lost.
            BufferOverflowError: ``max_outbox`` requests are waiting already.
            ExtensionError: An extension failed, or dropped the message.
        """
        validate_target(channel)
        requests = self._shared.open_session().requests
        if self._accompanied is None:
            given = {} if fields is None else fields_of(fields)
            return await requests.publish(channel, data, given)
        request = Request("publish", channel, dict(fields_of(fields)), self)
        with self._accompanied.within(request):
            return await requests.publish(channel, data, request.fields)

    async def call(
        self,
        channel: str,
        data: Any,
        *,
        timeout: float | None = 10.0,
    ) -> Message:
        """Call a service, and return its answer: the message with data and the id of the request.

        The convention is that of ``remoteCall`` in the reference clients.

        Args:
            channel: The service channel.
            data: What to send.
            timeout: Seconds that the answer may take, ``None`` for no limit.

        Raises:
            InvalidChannelError: It is not a service channel; only services answer.
            ClientInvalidOperation: The client is not open.
            TransportTimeoutError: There was no answer in time.
            TransportError: The request is lost.
            ServerError: The server refused.
            BufferOverflowError: ``max_outbox`` requests are waiting already.
            ExtensionError: An extension failed, or dropped the message.
            TypeError: ``timeout`` is not a number.
            ValueError: It is negative.
        """
        validate_target(channel)
        if not is_service(channel):
            raise InvalidChannelError(
                channel, "only services answer calls, on channels that begin with '/service/'"
            )
        if timeout is not None:
            check_seconds("timeout", timeout, zero=True)
        request = Request("call", channel, {}, self)
        with self._accompanied.within(request) if self._accompanied else nullcontext():
            requests = self._shared.open_session().requests
            try:
                async with timeout_after(timeout):
                    return await requests.publish(channel, data, request.fields, call=True)
            except TimeoutError:
                text = f"no answer on {channel} within {timeout} s"
                raise TransportTimeoutError(text) from None

    def publish_threadsafe(
        self, channel: str, data: Any, *, fields: Fields = None
    ) -> concurrent.futures.Future[Message]:
        """Publish from another thread.

        Raises:
            ClientInvalidOperation: The client was never opened.
        """
        loop = self._shared.living_loop()
        return asyncio.run_coroutine_threadsafe(self.publish(channel, data, fields=fields), loop)

    @contextmanager
    def batch(self) -> Generator[None]:
        """Hold publishes, subscribes and unsubscribes until the block ends.

        They then travel in one payload, so no reply comes within the block: create tasks for the
        publishes, and await them after it. Awaiting one within raises `ClientInvalidOperation`.

        Raises:
            ClientInvalidOperation: The client is not open.
        """
        requests = self._shared.open_session().requests
        task = asyncio.current_task()
        requests.hold_batch(task)
        try:
            yield
        finally:
            requests.release_batch(task)
