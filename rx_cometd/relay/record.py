"""What a relay writes to a broker for one event, and what becomes an event again there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from rx_cometd.exceptions import ClientError
from rx_cometd.relay.intact_data import IntactData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rx_cometd.extensions import ReplayId
    from rx_cometd.messages import Event

__all__ = [
    "CHANNEL",
    "ID",
    "RECEIVED",
    "REPLAY_ID",
    "TRACE",
    "Batch",
    "Record",
    "dead_letter",
    "encode",
    "event_of",
    "record_of",
]

#: The names of the headers, the same in every broker.
CHANNEL = "cometd-channel"
ID = "cometd-id"
REPLAY_ID = "cometd-replay-id"
RECEIVED = "cometd-received"
#: The trace of the event, named as everywhere (W3C, "Trace Context").
TRACE: Final = ("traceparent", "tracestate")

_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

#: How much of a refused record's data a dead letter shows, in bytes.
_HEAD = 1000


class Record(NamedTuple):
    """One event, ready to be written.

    Attributes:
        subject: The subject, stream or topic.
        channel: The channel of the event; also the key that keeps its events in order.
        replay_id: Its replay id, ``None`` if the source has none.
        unique: Names the event among all that the relay ever writes, ``None`` if nothing does.
        headers: ``cometd-channel``, ``cometd-id``, ``cometd-replay-id`` (JSON), ``cometd-received``
            (ISO 8601, UTC), and ``traceparent`` and ``tracestate`` from the event's ``ext``.
        value: The event's ``data`` as JSON: the bytes that the server sent, if the client of the
            relay kept them (`intact_json_loads`), else encoded again.
    """

    subject: str
    channel: str
    replay_id: ReplayId | None
    unique: str | None
    headers: Mapping[str, str]
    value: bytes


class Batch(NamedTuple):
    """Records that are written together, and the markers that are true once they are.

    Attributes:
        records: In order.
        markers: The last replay id of each channel.
        token: Names the attempt: a broker that has seen it has the whole batch.
    """

    records: Sequence[Record]
    markers: Mapping[str, ReplayId]
    token: str


def encode(data: Any) -> bytes:
    """Encode data, if that is not told otherwise."""
    try:
        return _encode(data).encode()
    except UnicodeEncodeError:  # half a surrogate pair is in no UTF-8, only escaped
        return json.dumps(data, separators=(",", ":")).encode()


def record_of(
    event: Event,
    subject: str,
    relay: str,
    came: float,
    json_dumps: Callable[[Any], str | bytes] = encode,
) -> Record:
    """Make the record of an event.

    Args:
        event: The event.
        subject: The subject, stream or topic.
        relay: The relay's name.
        came: When it was received, in seconds since the epoch.
        json_dumps: Encodes its data, unless they are `IntactData`.

    Raises:
        ClientError: That cannot encode them.
    """
    channel = _text(event["channel"])
    data = event.get("data")
    about = _about(data)
    replay_id = about.get("replayId")
    headers = {CHANNEL: channel, RECEIVED: _time_of(int(1000 * came))}
    if "id" in event:
        headers[ID] = _text(str(event["id"]))
    if type(replay_id) is int:  # not a boolean, as which JSON may have it as well
        headers[REPLAY_ID] = str(replay_id)
    elif isinstance(replay_id, str):
        replay_id = _text(replay_id)
        headers[REPLAY_ID] = _encode(replay_id)
    else:
        replay_id = None
    number = about.get("EventUuid") if replay_id is None else replay_id
    if "ext" in event:
        headers |= _trace_of(event["ext"])
    return Record(
        subject,
        channel,
        replay_id,
        None if number is None else _text(f"{relay}:{channel}:{number}"),
        headers,
        data.json if isinstance(data, IntactData) else _encoded(data, channel, json_dumps),
    )


def _text(text: str) -> str:
    """Give a text that can be written: half a surrogate pair, which JSON allows, is in no UTF-8.

    >>> _text("a" + chr(0xD800))
    'a?'
    """
    return text if text.isascii() else text.encode(errors="replace").decode()


@lru_cache(maxsize=16)  # events come in payloads, and so many in one millisecond
def _time_of(milliseconds: int) -> str:
    time = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return time.isoformat(timespec="milliseconds")


def _encoded(data: object, channel: str, json_dumps: Callable[[Any], str | bytes]) -> bytes:
    try:
        json_text = json_dumps(data)
        return json_text.encode() if isinstance(json_text, str) else json_text
    except Exception as error:
        raise ClientError(
            f"the data of an event of {channel} cannot be encoded as JSON ({error!r}): json_loads "
            "or an extension made of them what json_dumps does not know; give it one that does"
        ) from error


def _trace_of(ext: object) -> dict[str, str]:
    """Give the trace that a message belongs to, as `trace_context` put it into its ``ext``."""
    fields = cast("Mapping[str, object]", ext if isinstance(ext, dict) else {})
    found = ((name, fields.get(name)) for name in TRACE)
    # Nothing else is checked, but a line break could make a second header of it.
    return {n: v for n, v in found if isinstance(v, str) and v.isascii() and v.isprintable()}


def _about(data: object) -> Mapping[str, Any]:
    """Give what an event says of itself: ``data.event`` (Salesforce)."""
    about: object = data.get("event") if isinstance(data, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON's
    return cast("Mapping[str, Any]", about) if isinstance(about, dict) else {}


def dead_letter(record: Record, reason: object, subject: str) -> Record:
    """Make what is written in the place of a record that the broker refused."""
    told = {
        "reason": str(reason),
        "subject": record.subject,
        "bytes": len(record.value),
        "head": record.value[:_HEAD].decode(errors="replace"),
    }
    unique = None if record.unique is None else f"{record.unique}:refused"
    # It may be a header that is too large.
    headers = {name: text[:_HEAD] for name, text in record.headers.items()}
    return record._replace(
        subject=subject, unique=unique, headers=headers, value=json.dumps(told).encode()
    )


def event_of(headers: Mapping[str, str], value: bytes, *, channel: str) -> Event:
    """Make the event of a record again; what is no JSON becomes text.

    Args:
        headers: Those of the record, if it was a relay that wrote it.
        value: Its data, JSON.
        channel: What to call the channel where no header tells.
    """
    try:
        data = json.loads(value)
    except ValueError:
        data = value.decode(errors="replace")
    event: dict[str, Any] = {"channel": headers.get(CHANNEL, channel), "data": data}
    if ID in headers:
        event["id"] = headers[ID]
    if trace := {name: headers[name] for name in TRACE if name in headers}:
        event["ext"] = trace
    return cast("Event", event)
