"""NATS JetStream as the broker of a relay (``pip install 'rx-cometd[nats]'``)."""

from __future__ import annotations

import json
import re
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nats.errors import MaxPayloadError
from nats.js.errors import APIError, KeyNotFoundError, NotFoundError

from rx_cometd.relay.errors import RecordRefusedError
from rx_cometd.relay.nats_connection import TIMEOUT, NatsConnection, bucket_of
from rx_cometd.relay.nats_lease import NatsLease

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nats.aio.client import Client
    from nats.js import JetStreamContext

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch, Record

__all__ = ["NatsSink"]

_MARKERS = "cometd-markers"
#: The error code of JetStream for a message above the stream's max_msg_size.
_TOO_LARGE = 10054
#: How many messages the server takes in one atomic batch (ADR-50).
_MAX_ATOMIC = 1000


class NatsSink:
    """A JetStream stream, with the markers in a key-value bucket.

    A batch is published atomically where the stream allows that (``allow_atomic``, NATS 2.12; a
    stream that the relay creates does), and record by record elsewhere: slower, but in order as
    well. A record with a replay id has a ``Nats-Msg-Id``, so that the stream drops what it was
    given already within its ``duplicate_window``.

    Args:
        url: ``nats://host:port``.
        name: The relay's name.
        stream: The stream; created if there is none of this name.
        subjects: What a stream that is created takes in.
        duplicate_window: Seconds for which a stream that is created knows repeats.
    """

    system = "nats"

    def __init__(
        self,
        url: str,
        name: str,
        *,
        stream: str = "cometd",
        subjects: Sequence[str] = ("cometd.>", "cometd-dead"),
        duplicate_window: float = 120.0,
    ) -> None:
        self._url = url
        self._name = name
        self._stream = stream
        self._subjects = list(subjects)
        self._duplicate_window = duplicate_window
        self._connection = NatsConnection(url)
        self._seen_by: Client | None = None
        self._atomic = False
        self._markers: dict[str, ReplayId] = {}

    def __repr__(self) -> str:
        return f"<NatsSink {self._stream}>"  # the URL may hold a password

    def subject(self, template: str, channel: str) -> str:
        """Give the subject: segments become tokens, what NATS forbids in them ``%XX``."""
        return template.replace("{channel}", ".".join(map(_token, channel[1:].split("/"))))

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give the markers."""
        self._markers = {}
        async with self._connection.jetstream() as (_, js):
            bucket = await bucket_of(js, _MARKERS)
            with suppress(KeyNotFoundError):
                entry = await bucket.get(_token(self._name))
                self._markers = json.loads(entry.value or b"{}")
        return dict(self._markers)

    async def write(self, batch: Batch) -> None:
        """Publish the records, then put the markers."""
        async with self._connection.jetstream() as (client, js):
            if self._seen_by is not client:
                await self._see_to_stream(js)
                self._seen_by = client
            if not await self._published_at_once(client, batch.records):
                for record in batch.records:
                    await _publish(js, record)
            if batch.markers:
                self._markers |= batch.markers
                bucket = await bucket_of(js, _MARKERS)
                await bucket.put(_token(self._name), json.dumps(self._markers).encode())

    async def _see_to_stream(self, js: JetStreamContext) -> None:
        try:
            info = await js.stream_info(self._stream)
        except NotFoundError:
            untyped: Any = js
            info = await untyped.add_stream(
                name=self._stream,
                subjects=self._subjects,
                duplicate_window=self._duplicate_window,
                allow_atomic=True,
            )
        self._atomic = bool(info.config.allow_atomic)

    async def _published_at_once(self, client: Client, records: Sequence[Record]) -> bool:
        """Publish all or none (ADR-50); ``False`` if none was, and each is to be tried."""
        if not self._atomic or not 1 < len(records) <= _MAX_ATOMIC:
            return False
        if max(len(record.value) for record in records) > client.max_payload // 2:
            return False  # a record that may be too large would fail all of them
        batch = uuid.uuid4().hex
        for number, record in enumerate(records[:-1], 1):
            await client.publish(
                record.subject, record.value, headers=_headers(record, batch, number)
            )
        headers = _headers(records[-1], batch, len(records))
        headers["Nats-Batch-Commit"] = "1"
        last = records[-1]
        reply = await client.request(last.subject, last.value, timeout=TIMEOUT, headers=headers)
        answer: dict[str, Any] = json.loads(reply.data or b"{}")
        return answer.get("count") == len(records)

    def lease(self, seconds: float) -> NatsLease:
        """Make the lease, a key in a bucket of its own."""
        return NatsLease(self._url, self._name, seconds)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()


async def _publish(js: JetStreamContext, record: Record) -> None:
    try:
        await js.publish(record.subject, record.value, headers=_headers(record))
    except MaxPayloadError as error:
        raise RecordRefusedError("it is larger than the server's max_payload") from error
    except APIError as error:
        if error.err_code == _TOO_LARGE:
            raise RecordRefusedError("it is larger than the stream's max_msg_size") from error
        raise


def _headers(record: Record, batch: str | None = None, number: int = 0) -> dict[str, str]:
    headers = dict(record.headers)
    if record.unique is not None:
        headers["Nats-Msg-Id"] = record.unique
    if batch is not None:
        headers |= {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
    return headers


def _token(name: str) -> str:
    """Give a name as one token of a subject.

    >>> _token("Order v1.2")
    'Order%20v1%2E2'
    """
    return re.sub(r"[.!*~'()]", lambda found: f"%{ord(found[0]):02X}", quote(name, safe="$@="))
