"""Bringing events into a broker: in order, in batches, again and again until it has them."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from rx_cometd.relay.errors import RecordRefusedError
from rx_cometd.relay.record import Batch, Record, dead_letter
from rx_cometd.relay.retrying import until_available

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.counts import Counts
    from rx_cometd.relay.sink import Sink

__all__ = ["Writer"]

_logger = logging.getLogger("rx_cometd.relay")


class _Waiting(NamedTuple):
    record: Record
    written: asyncio.Future[None]


class Writer:
    """Writes what comes to a sink, one batch at a time.

    What arrives while a batch is under way makes the next one. An event that comes again, since
    its session was lost before it was confirmed, is not written again; but it is done only once
    the broker has confirmed what came before it, itself included.

    Args:
        sink: The broker.
        markers: How far each channel is written already.
        dead_letter: The subject for what the broker refuses.
        max_batch: How many records a batch has at most.
        counts: Where is counted what happens.
    """

    def __init__(
        self,
        sink: Sink,
        markers: Mapping[str, ReplayId],
        *,
        dead_letter: str,
        max_batch: int,
        counts: Counts,
    ) -> None:
        self._sink = sink
        self._reached = dict(markers)
        self._dead_letter = dead_letter
        self._max_batch = max_batch
        self._counts = counts
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()

    def write(self, record: Record) -> asyncio.Future[None]:
        """Have a record written; the future is done when the broker has confirmed it."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(record, written))
        self._arrived.set()
        return written

    def reset(self, channel: str) -> None:
        """Forget how far a channel is written: its numbers begin anew."""
        self._reached.pop(channel, None)

    async def run(self) -> None:
        """Write for ever.

        Raises:
            LeaseLostError: Another relay has taken over.
            BrokerError: The broker cannot be used.
        """
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                count = min(self._max_batch, len(self._waiting))
                taken = [self._waiting.popleft() for _ in range(count)]
                await self._write([waiting.record for waiting in taken if self._is_new(waiting)])
                for waiting in taken:
                    if not waiting.written.done():  # or who waited for it was cancelled
                        waiting.written.set_result(None)

    def _is_new(self, waiting: _Waiting) -> bool:
        record = waiting.record
        new = record.replay_id
        if new is None:
            return True
        reached = self._reached.get(record.channel)
        if isinstance(reached, int) and isinstance(new, int) and new <= reached:
            self._counts.repeated += 1
            return False
        self._reached[record.channel] = new
        return True

    async def _write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        try:
            await self._confirmed(records, _markers(records))
        except RecordRefusedError as error:
            if len(records) == 1:
                await self._bury(records[0], error)
                return
            for record in records:
                await self._write([record])
        else:
            self._counts.written += len(records)

    async def _bury(self, record: Record, reason: RecordRefusedError) -> None:
        """Write a dead letter, so that the stream goes on."""
        _logger.error(
            "%s refused: %s",
            record.subject,
            reason,
            extra={"event": "record_refused", "subject": record.subject},
        )
        self._counts.refused += 1
        markers = _markers([record])
        try:
            await self._confirmed([dead_letter(record, reason, self._dead_letter)], markers)
        except RecordRefusedError as error:
            _logger.error(  # noqa: TRY400 - a traceback tells no more
                "%s: the dead letter was refused as well: %s",
                record.subject,
                error,
                extra={"event": "dead_letter_refused", "subject": record.subject},
            )
            await self._confirmed([], markers)

    async def _confirmed(self, records: Sequence[Record], markers: Mapping[str, ReplayId]) -> None:
        batch = Batch(records, markers, uuid.uuid4().hex)
        await until_available(lambda: self._sink.write(batch), self._counts)


def _markers(records: Sequence[Record]) -> dict[str, ReplayId]:
    return {r.channel: r.replay_id for r in records if r.replay_id is not None}
