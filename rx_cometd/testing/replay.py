"""Durable events as Salesforce has them: numbered, kept, and sent again on request."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from rx_cometd.messages import HANDSHAKE, SUBSCRIBE
from rx_cometd.testing.server_extension import InFlight, ServerExtension
from rx_cometd.testing.wire import Codec, Event, Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rx_cometd.testing.session import ServerSession

__all__ = ["ReplayExtension", "ReplayLog"]

NEW_ONLY = -1
ALL = -2


class ReplayLog:
    """Events by channel, each with its replay id.

    Ids rise, but with gaps, as Salesforce's do: clients must not count on the next number.

    Args:
        gaps: What is added from one id to the next, over and over again.
        max_events: How many events a channel keeps; older ones age out.
    """

    def __init__(self, *, gaps: Iterable[int] = (1, 2, 1, 4), max_events: int = 10_000) -> None:
        self._gaps = itertools.cycle(gaps)
        self._max_events = max_events
        self._events: dict[str, list[tuple[int, Json]]] = {}
        self._issued: dict[str, list[int]] = {}
        self._gone: dict[str, int] = {}

    def record(self, channel: str, data: Any, fields: Mapping[str, Any]) -> Json:
        """Keep an event, and give its data with ``event.replayId`` put in.

        Raises:
            TypeError: The data is not a mapping, so it cannot hold an id.
        """
        if not isinstance(data, dict):
            raise TypeError("events with replay ids need a mapping for data")
        content = cast("Json", data)
        number = self.last_id(channel) + next(self._gaps)
        about = {"createdDate": datetime.now(UTC).isoformat(), **content.get("event", {})}
        stamped = {**content, "event": {**about, "replayId": number}}
        events = self._events.setdefault(channel, [])
        events.append((number, {"channel": channel, "data": stamped, **fields}))
        self._issued.setdefault(channel, []).append(number)
        if len(events) > self._max_events:
            self.age_out(channel, events[0][0])
        return stamped

    def last_id(self, channel: str) -> int:
        """Tell the last replay id of a channel, 0 if there is none."""
        issued = self._issued.get(channel)
        return issued[-1] if issued else 0

    def age_out(self, channel: str, replay_id: int | None = None) -> None:
        """Lose the events of a channel up to an id, or all; their ids are invalid from now on."""
        last = self.last_id(channel) if replay_id is None else replay_id
        events = self._events.get(channel, [])
        self._gone[channel] = last
        self._events[channel] = [entry for entry in events if entry[0] > last]

    def is_valid(self, channel: str, replay_id: object) -> bool:
        """Tell whether a client may ask for what came after an id."""
        if not isinstance(replay_id, int) or isinstance(replay_id, bool):
            return False
        if replay_id in (NEW_ONLY, ALL):
            return True
        return replay_id > self._gone.get(channel, -1) and (
            replay_id == 0 or replay_id in self._issued.get(channel, ())
        )

    def after(self, channel: str, replay_id: int) -> list[Json]:
        """Give the events of a channel that came after an id, which is valid."""
        if replay_id == NEW_ONLY:
            return []
        return [message for number, message in self._events.get(channel, []) if number > replay_id]


class ReplayExtension(ServerExtension):
    """Offers replay to clients that ask for it with ``ext.replay`` in the handshake."""

    def __init__(self, log: ReplayLog, codec: Codec) -> None:
        self._log = log
        self._codec = codec

    async def incoming(self, in_flight: InFlight) -> Json | None:
        """Refuse subscriptions from ids that were never issued, or whose events are gone."""
        for channel, replay_id in _positions(in_flight):
            if not self._log.is_valid(channel, replay_id):
                return {
                    "error": f"400::The replayId {{{replay_id}}} you provided was invalid.  "
                    "Please provide a valid ID, -2 to replay all events, "
                    "or -1 to replay only new events."
                }
        return None

    def outgoing(self, in_flight: InFlight, reply: Json) -> None:
        """Agree on replay; after a subscription send what is asked for."""
        session, message, exchange = in_flight
        if not reply["successful"]:
            return
        if message["channel"] == HANDSHAKE and _ext(message).get("replay") is True:
            session.attributes["replay"] = True
            reply.setdefault("ext", {}).update({"replay": True, "payload.format": True})
        events = [
            Event(event, self._codec)
            for channel, replay_id in _positions(in_flight)
            for event in self._log.after(channel, replay_id)
        ]
        # Not before the reply: only then does the client know the subscription.
        exchange.after.append(lambda: _deliver(session, events))


def _deliver(session: ServerSession, events: list[Event]) -> None:
    for event in events:
        session.deliver(event)


def _positions(in_flight: InFlight) -> list[tuple[str, Any]]:
    """Tell the channels of a subscribe request, and from where each is to be replayed."""
    session, message, _ = in_flight
    asked = _ext(message).get("replay")
    if message["channel"] != SUBSCRIBE or not isinstance(asked, dict):
        return []
    if not session.attributes.get("replay"):
        return []
    positions = cast("Json", asked)
    subscription = message.get("subscription")
    names = cast("list[str]", subscription if isinstance(subscription, list) else [subscription])
    return [(name, positions[name]) for name in names if name in positions]


def _ext(message: Json) -> Json:
    ext = message.get("ext")
    return cast("Json", ext) if isinstance(ext, dict) else {}
