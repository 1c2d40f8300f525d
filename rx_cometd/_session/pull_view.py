"""The pull view: messages one by one, for code that wants no Rx.

A thin layer over the observables. One observer is registered under every channel that was
subscribed to here, and takes as well what nobody else observes (service channels, most often);
it puts messages into one bounded buffer, and `receive` takes them out. A message that matches
several of the channels is received once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd._flow.dispatch import LastingObserver, is_on_wire
from rx_cometd._protocol.channel_names import is_meta, validate_channel
from rx_cometd._protocol.raw_data import complete
from rx_cometd.exceptions import ClientInvalidOperation, InvalidChannelError

if TYPE_CHECKING:
    from reactivex import abc

    from rx_cometd._flow.delivery import Hold
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.session import Session
    from rx_cometd._session.shared_session import SharedSession
    from rx_cometd.messages import Event

__all__ = ["PullView", "Received"]


class PullView(LastingObserver):
    """The observer behind ``Client.receive``.

    Args:
        shared: The client's shared session.
    """

    def __init__(self, shared: SharedSession) -> None:
        self._shared = shared
        self._session: Session | None = None
        self._channels: dict[str, abc.DisposableBase] = {}
        self._buffer: MessageBuffer[Event] | None = None
        #: Channels that the server has not confirmed since they were subscribed to here, and
        #: how many callers wait for that.
        self._confirming: dict[str, _Confirming] = {}
        self._failures: list[Exception] = []
        #: The hold on the message received last: it was processed when the next one is wanted.
        self._processing: Hold | None = None
        self._woken = asyncio.Event()
        #: Where the session lives that is received from.
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- the user's side -----------------------------------------------------------------------

    @property
    def pending_count(self) -> int:
        """Messages that wait to be received."""
        return 0 if self._buffer is None else self._buffer.pending_count

    async def subscribe(self, channel: str, fields: Fields) -> None:
        """Subscribe to a channel, and wait for the server to confirm it."""
        validate_channel(channel)
        if is_meta(channel):
            raise InvalidChannelError(channel, "meta channels are observed with Client.meta")
        session = self._begin()
        if session.refusal is not None:
            raise session.refusal
        if channel not in self._channels:
            self._channels[channel] = self._shared.observe(channel, self, fields)
            if is_on_wire(channel):
                self._confirming[channel] = _Confirming()
        if is_on_wire(channel):
            await self._confirm(session, channel)

    async def _confirm(self, session: Session, channel: str) -> None:
        # Whoever waits for an earlier subscribe, taken back since, has no say in this one.
        confirming = self._confirming.get(channel)
        if confirming is not None:
            confirming.callers += 1
        try:
            await session.requests.confirmed(channel)
        except BaseException:
            # Not confirmed, not subscribed: neither after a refusal nor for a caller who left,
            # unless another one waits for it too.
            if confirming is not None:
                confirming.callers -= 1
                if not confirming.callers and self._confirming.get(channel) is confirming:
                    self._forget(channel)
            raise
        if self._confirming.get(channel) is confirming:
            self._confirming.pop(channel, None)

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel, and wait for the server if it has to be asked."""
        validate_channel(channel)
        session = self._shared.open_session()
        if channel not in self._channels:
            return
        asked = is_on_wire(channel) and len(session.dispatch.observers(channel)) == 1
        if asked:
            session.requests.check_outside_batch()
        self._forget(channel)
        if asked:
            await session.requests.unsubscribed(channel)

    async def receive(self) -> Event:
        """Take the next message, waiting for it if there is none.

        Raises:
            ClientInvalidOperation: The client is closed, and nothing is pending.
            TransportTimeoutError: The session was given up, and nothing is pending.
            ServerError: The server ended the session, or refused to renew a subscription.
            BufferOverflowError: More messages came than the buffer takes.
        """
        return self.take() or await self._next_message()

    def take(self) -> Event | None:
        """Take the next message if one is pending: no task, future or coroutine is made."""
        if self._processing is not None:
            self._processing()
            self._processing = None
        buffer = self._buffer
        if buffer is None:
            return None
        try:
            # Taken at the moment of returning: a cancellation can never lose a message.
            message = buffer.take_nowait()
        except LookupError:
            return None
        self._processing = buffer.taken
        return message

    async def _next_message(self) -> Event:
        if self._is_behind():
            self._begin()
        while (message := self.take()) is None:
            if self._failures:
                raise self._failures.pop(0)
            self._raise_if_ended()
            self._woken.clear()
            if self._buffer is not None:
                self._buffer.workers = (asyncio.current_task(),)
            await self._woken.wait()
        return message

    def _is_behind(self) -> bool:
        """Tell whether a session was opened after the one that was received from ended.

        One whose event loop was closed under it has ended without a word.
        """
        buffer = self._buffer
        if buffer is None or self._loop is not asyncio.get_running_loop():
            return True
        drained = buffer.terminated and not buffer.pending_count
        return drained and self._shared.current not in (None, self._session)

    def _raise_if_ended(self) -> None:
        buffer = self._buffer
        if buffer is not None and not buffer.terminated:
            return
        error = None if buffer is None else buffer.error
        if buffer is not None and error is not None and self._session is self._shared.current:
            # Not the session ended but the buffer overflowed: this is said once, and the
            # subscriptions go on with an empty buffer.
            self._renew_buffer()
        raise error or ClientInvalidOperation("the client is closed")

    # -- the session's side --------------------------------------------------------------------

    def on_next(self, value: Event) -> None:
        """Take a message in."""
        if self._shared.leaves_raw:
            complete((value,))
        if self._buffer is not None:
            self._buffer.offer(value)

    def on_error(self, error: Exception) -> None:
        """Take the end of the session."""
        self._end(error)

    def on_completed(self) -> None:
        """Take the closing of the client."""
        self._end(None)

    def subscription_failed(self, channel: str, error: Exception) -> None:
        """Take the refusal of a channel in a new session; `receive` raises it, once."""
        if self._channels.pop(channel, None) is not None and channel not in self._confirming:
            self._failures.append(error)
            self._woken.set()

    def _begin(self) -> Session:
        """Begin to receive from the session that is open."""
        session = self._shared.open_session()
        if self._session is not session or self._buffer is None or self._buffer.terminated:
            self._leave()
            self._session = session
            # Anew, for it belongs to a loop, and the client may be used on one after another.
            self._loop = asyncio.get_running_loop()
            self._woken = asyncio.Event()
            self._renew_buffer()
            session.dispatch.set_fallback(self)
        return session

    def _renew_buffer(self) -> None:
        if self._buffer is not None:
            self._buffer.close()
        self._buffer = MessageBuffer(flow=self._shared.flow)
        self._buffer.wake = self._woken.set

    def _end(self, error: Exception | None) -> None:
        self._channels.clear()
        self._confirming.clear()
        if self._buffer is not None and not self._buffer.terminated:
            if error is None:
                self._buffer.complete()
            else:
                self._buffer.fail(error)
        self._woken.set()

    def _forget(self, channel: str) -> None:
        self._confirming.pop(channel, None)
        disposable = self._channels.pop(channel, None)
        if disposable is not None:
            disposable.dispose()

    def _leave(self) -> None:
        """Begin afresh: the session, or its buffer, is over."""
        for channel in list(self._channels):
            self._forget(channel)
        if self._buffer is not None:
            self._buffer.close()
            self._buffer = None
        self._failures.clear()


class _Confirming:
    """A subscribe that the server has not confirmed.

    Attributes:
        callers: How many wait for that.
    """

    def __init__(self) -> None:
        self.callers = 0


class Received(AsyncIterator["Event"]):
    """The messages of a pull view, until the client is closed.

    Args:
        view: The pull view.
    """

    __slots__ = ("_view",)

    def __init__(self, view: PullView) -> None:
        self._view = view

    async def __anext__(self) -> Event:
        message = self._view.take()
        if message is not None:
            return message
        try:
            return await self._view.receive()
        except ClientInvalidOperation:
            raise StopAsyncIteration from None
