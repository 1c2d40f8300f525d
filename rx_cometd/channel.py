"""Channels: cold observables over the client's one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from rx_cometd._flow.arguments import check_coroutine_function
from rx_cometd._flow.data_observers import Completing, Decoding
from rx_cometd._flow.observable import LoopObservable
from rx_cometd._flow.subscriber import Subscriber
from rx_cometd._protocol.channel_names import is_meta, validate_channel
from rx_cometd._session.channel_flow import ChannelFlow
from rx_cometd.exceptions import InvalidChannelError
from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import abc

    from rx_cometd._flow.decoders import Decoder
    from rx_cometd._flow.flow import Overflow
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.shared_session import SharedSession
    from rx_cometd.messages import Event, Message

__all__ = ["Channel", "Feed"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedTypeVar

    # ``Channel`` by itself is ``Channel[Event]``.
    _T = DefaultedTypeVar("_T", default=Event)
else:
    _T = TypeVar("_T")


class Feed(LoopObservable[_T]):
    """The messages that a client receives under one key: a channel, a glob, or everything.

    Args:
        shared: The client's shared session.
        key: The key.
        fields: Extra fields of the subscribe request.
        decoder: Makes values of the data of messages, to be handed on in their place.
    """

    def __init__(
        self,
        shared: SharedSession,
        key: str,
        fields: Fields = None,
        decoder: Decoder | None = None,
    ) -> None:
        super().__init__(flow=ChannelFlow(shared.flow, key))
        self._shared = shared
        self._key = key
        self._fields = fields
        self._decoder = decoder

    def _begin(
        self,
        on_next: abc.ObserverBase[_T] | abc.OnNext[_T] | None,
        on_error: abc.OnError | None,
        on_completed: abc.OnCompleted | None,
        scheduler: abc.SchedulerBase | None,  # noqa: ARG002 - delivered on the loop
    ) -> abc.DisposableBase:
        subscriber = Subscriber(on_next, on_error, on_completed)
        subscriber.begin(self._subscribe_core)
        return subscriber

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[_T],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - delivered on the loop
    ) -> abc.DisposableBase:
        told: abc.ObserverBase[Any] = observer
        if self._decoder is not None:
            told = Decoding(observer, self._decoder, raw=self._shared.leaves_raw)
        elif self._shared.leaves_raw:
            told = Completing(observer)
        return self._shared.observe(self._key, told, self._fields)

    def _check_subscribable(self) -> None:
        super()._check_subscribable()
        self._shared.check_loop()

    def subscribe_async(
        self,
        on_next: Callable[[_T], Awaitable[object]],
        on_error: Callable[[Exception], None] | None = None,
        on_completed: Callable[[], None] | None = None,
        *,
        max_pending_count: int | None = None,
        overflow: Overflow | None = None,
    ) -> abc.DisposableBase:
        """Subscribe a coroutine function, which is awaited for one message after the other.

        Short for ``map_async(on_next)`` and a subscription to that: messages that arrive while it
        runs wait in a bounded buffer, and an exception in it ends the subscription.

        Args:
            on_next: The coroutine function.
            on_error: Called when the stream fails; default: the event loop's exception handler.
            on_completed: Called when the client was closed and the last message was processed.
            max_pending_count: How many messages may wait; ``None`` is the client's bound.
            overflow: What a full buffer does; ``None`` is the client's policy.

        Errors:
            As `map_async`.

        Returns:
            A disposable that ends the subscription, and cancels the call under way.

        Raises:
            RuntimeError: No event loop is running.
            TypeError: An argument is of the wrong kind.
        """
        check_coroutine_function("on_next", on_next)
        results = self.pipe(
            map_async(on_next, max_pending_count=max_pending_count, overflow=overflow)
        )
        return results.subscribe(None, on_error, on_completed)


class Channel(Feed[_T]):
    """A channel, or a glob, of a client, made by `Client.channel`.

    It is an ``Observable[Event]``, or an observable of the data if its type was given:
    a ``Channel[Quote]`` emits the data of each message as a ``Quote``.

    Cold: nothing is sent before it is subscribed to. Shared: the first observer sends one
    subscribe request, and the end of the last subscription sends one unsubscribe. Observers get the
    messages in the server's order, on the event loop, across reconnects and new sessions.

    ::

        observers   ----s-----------s-------d--------d---
        on the wire     subscribe                    unsubscribe
        first           ----m1--m2----m3----|
        second                      --m3-------m4----|

    ``on_error`` is the end: the server refused the channel (`ServerError`), the session was
    given up (`TransportTimeoutError`) or ended by the server (`ServerError`). ``on_completed``
    comes when the client is closed. Operators such as `retry_with_backoff`
    subscribe again.

    On a typed channel, data that is not of the type is an error as well (`DecodeError`,
    with the channel and the place in the data), for the observers of that type.
    """

    def __init__(
        self,
        shared: SharedSession,
        name: str,
        fields: Fields,
        publish: Callable[..., Awaitable[Message]],
        decoder: Decoder | None = None,
    ) -> None:
        validate_channel(name)
        if is_meta(name):
            raise InvalidChannelError(name, "meta channels are observed with Client.meta")
        super().__init__(shared, name, fields, decoder)
        self._publish = publish

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"

    @property
    def name(self) -> str:
        """The name of the channel, or the glob."""
        return self._key

    # The contract's name, which hides the fluent method that multicasts.
    async def publish(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, data: Any, *, fields: Fields = None
    ) -> Message:
        """Publish on this channel; see `Client.publish`.

        This hides ReactiveX's fluent method ``publish()``, which multicasts; use
        ``channel.pipe(ops.publish())`` for that.
        """
        return await self._publish(self.name, data, fields=fields)
