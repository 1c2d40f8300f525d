"""Channels: cold observables over the client's one session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rx_cometd.channels import is_meta, validate_channel
from rx_cometd.exceptions import InvalidChannelError
from rx_cometd.messages import Message
from rx_cometd.observable import LoopObservable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import abc

    from rx_cometd.sessions import Sessions
    from rx_cometd.subscriptions import Fields

__all__ = ["Channel", "Feed"]


class Feed(LoopObservable[Message]):
    """The messages that a client receives under one key: a channel, a glob, or everything.

    Args:
        sessions: The client's sessions.
        key: The key.
        fields: Extra fields of the subscribe request.
    """

    def __init__(self, sessions: Sessions, key: str, fields: Fields = None) -> None:
        super().__init__(flow=sessions.flow)
        self._sessions = sessions
        self._key = key
        self._fields = fields

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[Message],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - delivered on the loop
    ) -> abc.DisposableBase:
        return self._sessions.observe(self._key, observer, self._fields)


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
        sessions: Sessions,
        name: str,
        fields: Fields,
        publish: Callable[..., Awaitable[Message]],
    ) -> None:
        validate_channel(name)
        if is_meta(name):
            raise InvalidChannelError(name, "meta channels are observed with Client.meta")
        super().__init__(sessions, name, fields)
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
