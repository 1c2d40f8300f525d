"""NATS JetStream as the broker of a relay (``pip install 'rx-cometd[nats]'``)."""

from __future__ import annotations

import json
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nats.errors import NoRespondersError
from nats.js.errors import APIError, KeyNotFoundError, NoStreamResponseError, NotFoundError

from rx_cometd.relay.errors import BrokerError, RecordRefusedError
from rx_cometd.relay.names import legal
from rx_cometd.relay.nats_connection import TIMEOUT, NatsConnection, bucket_of
from rx_cometd.relay.nats_lease import NatsLease

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch, Record

__all__ = ["NatsSink"]

_MARKERS = "cometd-markers"
#: The error codes of JetStream for a message above the stream's max_msg_size, and for headers of
#: more than 64 kB.
_TOO_LARGE = (10054, 10097)
#: The error code for subjects that no stream may take in, or that another one takes in.
_WRONG_SUBJECTS = (10052, 10065)
#: Characters of a subject. It is part of a line, of which a server takes 4096 (max_control_line),
#: and closes the connection of who sends a longer one.
_LONGEST_SUBJECT = 3500
#: How many messages the server takes in one atomic batch (ADR-50), and the bytes of its headers.
_MAX_ATOMIC, _BATCH_HEADERS = 1000, 128


class NatsSink:
    """A JetStream stream, with the markers in a key-value bucket.

    A batch is published atomically where the stream allows that (``allow_atomic``, NATS 2.12; a
    stream that the relay creates does), and record by record elsewhere: slower, but in order as
    well. A record with a replay id has a ``Nats-Msg-Id``, so that the stream drops what it was
    given already within its ``duplicate_window``.

    Args:
        url: ``nats://host:port``, several servers of one cluster with commas.
        name: The relay's name.
        stream: The stream; created if there is none of this name.
        subjects: What a stream that is created takes in; what the relay's template and dead
            letters need if ``None``.
        duplicate_window: Seconds for which a stream that is created knows repeats.
        options: Further arguments of nats-py's ``connect``: ``user_credentials``, ``tls``...

    Raises:
        ValueError: ``url`` is no such address.
    """

    system = "nats"

    def __init__(
        self,
        url: str,
        name: str,
        *,
        stream: str = "cometd",
        subjects: Sequence[str] | None = None,
        duplicate_window: float = 120.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._url = url
        self._name = name
        self._stream = stream
        self._subjects = subjects
        #: Those of the templates that were asked about.
        self._needed: dict[str, None] = {}
        self._duplicate_window = duplicate_window
        self._options = options
        self._connection = NatsConnection(url, options)
        self._seen_by: Client | None = None
        self._atomic = False
        self._markers: dict[str, ReplayId] = {}

    def __repr__(self) -> str:
        return f"<NatsSink {self._stream}>"  # the URL may hold a password

    def subject(self, template: str, channel: str) -> str:
        """Give the subject: segments become tokens, what NATS forbids in them ``%XX``.

        Raises:
            ValueError: The template makes no subject.
        """
        subject = template.replace("{channel}", ".".join(map(_token, channel[1:].split("/"))))
        if not re.fullmatch(r"[^\s.*>]+(\.[^\s.*>]+)*", subject):
            raise ValueError(
                f"{template!r} makes no subject of NATS: it takes words with a dot between them,"
                " without spaces, * and >"
            )
        before, placeholder, _ = template.partition("{channel}")
        if placeholder:  # the tokens of the channel, and what follows them
            before = before[: before.rfind(".") + 1] + ">"
        self._needed[before] = None
        return subject

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give the markers."""
        self._markers = {}
        async with self._connection.jetstream() as (_, js):
            bucket = await bucket_of(js, _MARKERS)
            with suppress(KeyNotFoundError):
                entry = await bucket.get(legal(self._name))
                self._markers = json.loads(entry.value or b"{}")
        return dict(self._markers)

    async def write(self, batch: Batch) -> None:
        """Publish the records, then put the markers."""
        async with self._connection.jetstream() as (client, js):
            if self._seen_by is not client:
                await self._see_to_stream(js)
                self._seen_by = client
            if not await self._published_at_once(client, js, batch.records):
                for record in batch.records:
                    await _publish(client, js, record)
            if batch.markers:
                self._markers |= batch.markers
                bucket = await bucket_of(js, _MARKERS)
                await bucket.put(legal(self._name), json.dumps(self._markers).encode())

    async def _see_to_stream(self, js: JetStreamContext) -> None:
        try:
            info = await js.stream_info(self._stream)
        except NotFoundError:
            info = await self._created(js)
        self._atomic = bool(info.config.allow_atomic)

    async def _created(self, js: JetStreamContext) -> Any:
        untyped: Any = js
        subjects = list(self._subjects or _apart(self._needed or ("cometd.>", "cometd-dead")))
        try:
            return await untyped.add_stream(
                name=self._stream,
                subjects=subjects,
                duplicate_window=self._duplicate_window,
                allow_atomic=True,
            )
        except APIError as error:
            if error.err_code in _WRONG_SUBJECTS:
                raise BrokerError(
                    f"the stream {self._stream} for the subjects {', '.join(subjects)} could not"
                    f" be created ({error.description}): give it `subjects` or another template"
                ) from error
            raise

    async def _published_at_once(
        self, client: Client, js: JetStreamContext, records: Sequence[Record]
    ) -> bool:
        """Publish all or none (ADR-50); ``False`` if none was, and each is to be tried."""
        if not self._atomic or not 1 < len(records) <= _MAX_ATOMIC:
            return False
        if any(_excess(client, record, batched=True) for record in records):
            return False  # a record that is too large would fail all of them
        batch = uuid.uuid4().hex
        for number, record in enumerate(records[:-1], 1):
            await client.publish(
                record.subject, record.value, headers=_headers(record, batch, number)
            )
        headers = _headers(records[-1], batch, len(records))
        headers["Nats-Batch-Commit"] = "1"
        last = records[-1]
        try:
            reply = await client.request(last.subject, last.value, timeout=TIMEOUT, headers=headers)
        except NoRespondersError:
            await _check_taken(js, last.subject)
            raise
        answer: dict[str, Any] = json.loads(reply.data or b"{}")
        return answer.get("count") == len(records)

    def lease(self, seconds: float) -> NatsLease:
        """Make the lease, a key in a bucket of its own."""
        return NatsLease(self._url, self._name, seconds, self._options)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()


def _apart(patterns: Iterable[str]) -> list[str]:
    """Leave out what another one has already, which a stream does not allow.

    >>> _apart(["cometd.>", "cometd.dead", "dead"])
    ['cometd.>', 'dead']
    """
    known = list(patterns)
    wide = [pattern[:-1] for pattern in known if pattern.endswith(">")]
    return [p for p in known if not any(p.startswith(w) and p != f"{w}>" for w in wide)]


async def _publish(client: Client, js: JetStreamContext, record: Record) -> None:
    if reason := _excess(client, record):
        raise RecordRefusedError(reason)
    try:
        await js.publish(record.subject, record.value, headers=_headers(record))
    except NoStreamResponseError:
        await _check_taken(js, record.subject)
        raise
    except APIError as error:
        if error.err_code in _TOO_LARGE:
            raise RecordRefusedError(f"it is too large: {error.description}") from error
        raise


async def _check_taken(js: JetStreamContext, subject: str) -> None:
    """Find out whether any stream takes a subject in, or is only away.

    Raises:
        BrokerError: None does.
    """
    try:
        await js.find_stream_name_by_subject(subject)
    except NotFoundError as error:
        raise BrokerError(
            f"no stream of the NATS server takes in the subject {subject}: give the stream that"
            " subject, or the relay another template"
        ) from error


def _excess(client: Client, record: Record, *, batched: bool = False) -> str | None:
    """Tell why a record is too large, if it is: the server would close the connection."""
    if len(record.subject) > _LONGEST_SUBJECT:
        return f"its subject is longer than {_LONGEST_SUBJECT} characters"
    room = client.max_payload - len(record.value) - (_BATCH_HEADERS if batched else 0)
    # Most are far from it: no header is encoded for them.
    if room < 65_536:
        headers = "".join(f"{name}: {text}\r\n" for name, text in _headers(record).items())
        if room < len(f"NATS/1.0\r\n{headers}\r\n".encode()):
            return "with its headers it is larger than the server's max_payload"
    return None


def _headers(record: Record, batch: str | None = None, number: int = 0) -> dict[str, str]:
    headers = dict(record.headers)
    if record.unique is not None:
        headers["Nats-Msg-Id"] = record.unique
    if batch is not None:
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
    return headers


def _token(name: str) -> str:
    """Give a name as one token of a subject.

    >>> _token("Order v1.2"), _token("")
    ('Order%20v1%2E2', '%')
    """
    quoted = quote(name, safe="$@=", errors="replace")
    return re.sub(r"[.!*~'()]", lambda found: f"%{ord(found[0]):02X}", quoted) or "%"
