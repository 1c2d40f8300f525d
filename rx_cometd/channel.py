"""Channels: cold observables over the client's one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd._flow.observable import LoopObservable
from rx_cometd._protocol.channel_names import is_meta, validate_channel
from rx_cometd.exceptions import InvalidChannelError
from rx_cometd.messages import Message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import abc

    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.shared_session import SharedSession

__all__ = ["Channel", "Feed"]


class Feed(LoopObservable[Message]):
    """The messages that a client receives under one key: a channel, a glob, or everything.

    Args:
        shared: The client's shared session.
        key: The key.
        fields: Extra fields of the subscribe request.
    """

    def __init__(self, shared: SharedSession, key: str, fields: Fields = None) -> None:
        super().__init__(flow=shared.flow)
        self._shared = shared
        self._key = key
        self._fields = fields

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[Message],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - delivered on the loop
    ) -> abc.DisposableBase:
        return self._shared.observe(self._key, observer, self._fields)


class Channel(Feed):
    """A channel, or a glob, of a client: an ``Observable[Message]``; made by `Client.channel`.

    Cold: nothing is sent before it is subscribed to. Shared: the first observer sends one
    subscribe request, the last one to go one unsubscribe. Observers get the messages in the
    server's order, on the event loop, and go on over reconnects and new sessions.

    ::

        observers   ----s-----------s-------d--------d---
        on the wire     subscribe                    unsubscribe
        first           ----m1--m2----m3----|
        second                      --m3-------m4----|

    ``on_error`` is the end: the server refused the channel (`ServerError`), the session was
    given up (`TransportTimeoutError`) or ended by the server (`ServerError`). ``on_completed``
    comes when the client is closed. Operators such as ``retry`` subscribe anew.
    """

    def __init__(
        self,
        shared: SharedSession,
        name: str,
        fields: Fields,
        publish: Callable[..., Awaitable[Message]],
    ) -> None:
        validate_channel(name)
        if is_meta(name):
            raise InvalidChannelError(name, "meta channels are observed with Client.meta")
        super().__init__(shared, name, fields)
        self._publish = publish

    def __repr__(self) -> str:
        return f"<Channel {self.name}>"

    @property
    def name(self) -> str:
        """The name of the channel, or the glob."""
        return self._key

    # The contract's name; ReactiveX's multicasting `publish` is still there as an operator.
    async def publish(  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self, data: Any, *, fields: Fields = None
    ) -> Message:
        """Publish on this channel; see `Client.publish`."""
        return await self._publish(self.name, data, fields=fields)
