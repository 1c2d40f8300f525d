"""Durable subscriptions: going on after the last event that was processed (Salesforce's).

What happens on the wire (Salesforce's Streaming API, "Message Durability"):

- the handshake says ``ext.replay: true``, and so does the reply of a server that can replay;
- a subscribe carries ``ext.replay: {<channel>: <id>}``, the channel without its query: the
  server first sends the events after that one. ``-1`` asks for new events only, ``-2`` for all;
- an event names itself in ``data.event.replayId``;
- an id that the server no longer keeps is refused: ``400::The replayId {82} you provided was
  invalid. ...``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from reactivex import operators as ops

from rx_cometd._flow.arguments import check_methods, check_plain_function
from rx_cometd._protocol.channel_names import (
    is_glob,
    is_meta,
    is_service,
    matches,
    validate_channel,
)
from rx_cometd._protocol.requests import subscriptions_of
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.exceptions import ServerError
from rx_cometd.extension import Extension, Operators
from rx_cometd.extensions.ext import as_object, get_ext, put_ext
from rx_cometd.extensions.in_turn import in_turn
from rx_cometd.extensions.marker import Marker
from rx_cometd.extensions.marker_writer import MarkerWriter
from rx_cometd.extensions.replay_store import ReplayId, ReplayOption, StoreLockedError
from rx_cometd.messages import HANDSHAKE, SUBSCRIBE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rx_cometd.extension import Payload
    from rx_cometd.extensions.replay_store import AsyncReplayStore, ReplayStore
    from rx_cometd.messages import Message

    _OnFallback: TypeAlias = Callable[[str, ReplayId, ServerError], object]

__all__ = ["Replay", "replay"]

_logger = logging.getLogger("rx_cometd.extensions.replay")


def replay(
    store: ReplayStore | AsyncReplayStore,
    *,
    initial: ReplayId = ReplayOption.NEW_EVENTS,
    fallback: ReplayId | None = None,
    channels: Iterable[str] | None = None,
    on_fallback: _OnFallback | None = None,
) -> Replay:
    """Make the extension that continues after the last processed event.

    The marker of a channel moves past an event once that event and all that arrived before it
    were processed: every observer returned, and the buffers and asynchronous operators of
    rx_cometd that hold the event are done with it. It only moves forward, and never past an event
    that arrived when nobody observed the channel any more. After a new session or a restart, events
    come again from the marker on: at least once, and only events that were in flight can come
    twice.

    A glob uses the markers that its channels have in this process. After a restart
    it has none: where that matters, subscribe to the channels themselves.

    Args:
        store: Where the markers are kept: `MemoryStore`, `SqliteStore`, `RedisStore`,
            `PostgresStore`, or your own. Never closed by the extension.
        initial: Where to begin on a channel that has no marker.
        fallback: Where to begin when the server refuses the marker, at any subscribe of any
            session; tried once each time. ``None``: the observers get the `ServerError`.
        channels: Names and globs of the channels that take part; by default all but meta and
            service channels.
        on_fallback: Called with the channel, the id that was refused and the `ServerError` when
            the fallback is taken. It is logged as a warning in any case.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``.

    Raises:
        TypeError: An argument is of the wrong kind.
        InvalidChannelError: One of the channels is not a valid channel name.

    Example:
        >>> from rx_cometd.extensions import MemoryStore
        >>> replay(MemoryStore(), fallback=ReplayOption.ALL_EVENTS)
        <Replay>
    """
    check_methods("store", store, "load", "save")
    _check_id("initial", initial)
    if fallback is not None:
        _check_id("fallback", fallback)
    if on_fallback is not None:
        check_plain_function("on_fallback", on_fallback)
    named: Any = channels
    if isinstance(named, str) or not isinstance(named, Iterable | None):
        raise TypeError(f"channels must be a list of names, not {channels!r}")
    return Replay(
        MarkerWriter(store),
        _Choice(initial, fallback, None if channels is None else tuple(channels)),
        on_fallback,
    )


def _check_id(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{name} must be a replay id or a ReplayOption, not {value!r}")


class _Choice(NamedTuple):
    """What the user chose."""

    initial: ReplayId
    fallback: ReplayId | None
    channels: tuple[str, ...] | None

    def takes_part(self, channel: str) -> bool:
        if is_meta(channel) or is_service(channel):
            return False
        return self.channels is None or any(matches(name, channel) for name in self.channels)


class Replay(Extension):
    """The extension that `replay` makes; the markers in its store are shared by its sessions."""

    def __init__(
        self, writer: MarkerWriter, choice: _Choice, on_fallback: _OnFallback | None
    ) -> None:
        for channel in choice.channels or ():
            validate_channel(channel)
        self._writer = writer
        self._choice = choice
        self._on_fallback = on_fallback
        #: The latest session: in use, or the last one.
        self._session: _Session | None = None

    def __repr__(self) -> str:
        return "<Replay>"

    def operators(self) -> Operators:
        """Make the operators of one session."""
        session = self._session = _Session(self._writer, self._choice, self._on_fallback)
        return Operators(inbound=ops.do_action(session.receive), outbound=in_turn(session.send))

    def marker_ages(self) -> Mapping[str, float]:
        """Tell for how many seconds the marker of each channel has stood still."""
        return {} if self._session is None else self._session.marker_ages()

    async def finish(self) -> None:
        """Wait until the markers are written, or could not be (which is logged)."""
        await self._writer.flush()


class _Session:
    """The markers of one pipeline."""

    def __init__(
        self, writer: MarkerWriter, choice: _Choice, on_fallback: _OnFallback | None
    ) -> None:
        self._writer = writer
        self._choice = choice
        self._on_fallback = on_fallback
        self._markers: dict[str, Marker] = {}
        # Those of channels that only a glob was subscribed for; nobody looked into the store.
        self._globbed: dict[str, Marker] = {}
        self._asked: dict[str, ReplayId] = {}
        # Taken for granted until a handshake reply says otherwise: the pipeline may have been
        # made again within a session, whose handshake it has not seen.
        self._granted = True

    def marker_ages(self) -> dict[str, float]:
        markers = {**self._globbed, **self._markers}
        return {channel: marker.age for channel, marker in markers.items()}

    def send(self, payload: Payload) -> Awaitable[None] | None:
        new = {
            channel
            for message in payload.messages
            if message.get("channel") == SUBSCRIBE
            for channel in self._channels(message)
            if channel not in self._markers and not is_glob(channel)
        }
        if new and self._writer.asynchronous:
            return self._load_and_ask(payload, new)
        try:
            loaded = {channel: self._writer.load(channel) for channel in new}
        except StoreLockedError:
            return self._load_and_ask(payload, new)
        for channel, replay_id in loaded.items():
            self._markers[channel] = self._marker(channel, replay_id)
        self._ask(payload)
        return None

    async def _load_and_ask(self, payload: Payload, new: set[str]) -> None:
        for channel in new:
            loaded = await self._writer.load_async(channel)
            self._markers[channel] = self._marker(channel, loaded)
        self._ask(payload)

    def _marker(self, channel: str, loaded: ReplayId | None) -> Marker:
        value = self._choice.initial if loaded is None else loaded
        return Marker(value, lambda moved: self._writer.save(channel, moved))

    def _ask(self, payload: Payload) -> None:
        for message in payload.messages:
            channel = message.get("channel")
            if channel == SUBSCRIBE and self._granted:
                ids = self._ids(message)
                if ids:
                    put_ext(message, "replay", {**as_object(get_ext(message, "replay")), **ids})
            elif channel == HANDSHAKE:
                put_ext(message, "replay", True)
                for marker in (*self._markers.values(), *self._globbed.values()):
                    marker.begin()

    def _ids(self, message: Message) -> dict[str, ReplayId]:
        """Give what to ask for in a subscribe, by channel, and begin their orders."""
        ids: dict[str, ReplayId] = {}
        for asked in self._channels(message):
            if is_glob(asked):
                known = {**self._globbed, **self._markers}
                ids |= {name: known[name].value for name in known if matches(asked, name)}
            else:
                marker = self._markers[asked]
                marker.begin()
                ids[asked] = self._asked[asked] = marker.value
        # JSON callables of the user's need not know enumerations.
        return {name: int(i) if isinstance(i, int) else i for name, i in ids.items()}

    def receive(self, payload: Payload) -> None:
        for message in payload.messages:
            channel: object = message.get("channel")
            if channel == HANDSHAKE:
                self._handshaken(message)
            elif channel == SUBSCRIBE:
                if message.get("successful") is False and self._choice.fallback is not None:
                    self._refused(payload, message, self._choice.fallback)
            elif self._granted and isinstance(channel, str):
                self._arrived(payload, message, _plain(channel))

    def _handshaken(self, reply: Message) -> None:
        if reply.get("successful") is True:
            self._granted = get_ext(reply, "replay") is True
            if not self._granted:
                _logger.warning(
                    "the server cannot replay: events may be missed or repeated",
                    extra={"event": "replay_not_granted"},
                )

    def _arrived(self, payload: Payload, message: Message, channel: str) -> None:
        event = as_object(as_object(message.get("data")).get("event"))
        replay_id: Any = event.get("replayId")
        if not isinstance(replay_id, int | str) or isinstance(replay_id, bool):
            return
        marker = self._markers.get(channel) or self._globbed.get(channel)
        if marker is None:
            if not self._choice.takes_part(channel):
                return
            marker = self._globbed[channel] = self._marker(channel, None)
        payload.on_processed(message, marker.arrived(replay_id))

    def _refused(self, payload: Payload, reply: Message, fallback: ReplayId) -> None:
        error = ServerError("the replay id was refused", reply)
        if error.error_code != 400 or "replay" not in error.error.lower():
            return
        for channel in self._channels(reply):
            refused = self._asked.pop(channel, fallback)
            if refused == fallback:
                continue  # that is what was asked for: nothing is left to try
            self._markers[channel].reset(fallback)
            # Written too: a crash before the next event must not lead back to the marker that
            # is refused, nor to the initial one.
            self._writer.save(channel, fallback, reset=True)
            payload.retry(reply)
            _logger.warning(
                "%s: %s; subscribing again with %s",
                channel,
                error,
                fallback,
                extra={
                    "event": "replay_fallback",
                    "channel": channel,
                    "refused": refused,
                    "fallback": fallback,
                },
            )
            self._tell(channel, refused, error)

    def _tell(self, channel: str, refused: ReplayId, error: ServerError) -> None:
        if self._on_fallback is not None:
            try:
                self._on_fallback(channel, refused, error)
            except BaseException as raised:
                failure = failure_of(raised, "on_fallback")
                _logger.error(  # noqa: TRY400 - the failure, not what it was made of
                    "on_fallback failed",
                    exc_info=failure,
                    extra={"event": "callback_failed", "callback": "on_fallback"},
                )

    def _channels(self, message: Message) -> list[str]:
        """Give the channels that take part, of those that a subscribe or its reply names."""
        names = [_plain(name) for name in subscriptions_of(message) if isinstance(name, str)]
        return [name for name in names if self._choice.takes_part(name)]


def _plain(channel: str) -> str:
    """Give a channel without its query: markers belong to the channel."""
    return channel.partition("?")[0]
