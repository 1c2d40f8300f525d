"""Bringing events into a broker: in order, in batches, again and again until it has them."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from typing import TYPE_CHECKING

from rx_cometd.relay.errors import RecordRefusedError
from rx_cometd.relay.record import Batch, dead_letter
from rx_cometd.relay.retrying import until_available

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.counts import Counts
    from rx_cometd.relay.record import Record
    from rx_cometd.relay.sink import Sink
    from rx_cometd.relay.waiting import Waiting

__all__ = ["Writer"]

_logger = logging.getLogger("rx_cometd.relay")


#: Bytes of data after which a batch takes no more: what is written at once has to be written
#: within the time that brokers are given to answer.
_MAX_BYTES = 8 * 1024 * 1024


class Writer:
    """Writes what waits to a sink, one batch at a time.

    What arrives while a batch is under way makes the next one. An event that comes again, since
    its session was lost before it was confirmed, is not written again; but it is done only once
    the broker has confirmed what came before it, itself included.

    Args:
        sink: The broker.
        markers: How far each channel is written already.
        dead_letter: The subject for what the broker refuses.
        max_batch: How many records a batch has at most.
        counts: Where is counted what happens.
        refused: Called with each record that the broker refused.

    Attributes:
        arrived: To be called when there is something to write.
        sources: Where it is taken from, each in its order, one after the other.
    """

    def __init__(
        self,
        sink: Sink,
        markers: Mapping[str, ReplayId],
        *,
        dead_letter: str,
        max_batch: int,
        counts: Counts,
        refused: Callable[[Record], object] = lambda _: None,
    ) -> None:
        self._sink = sink
        self._reached = dict(markers)
        self._dead_letter = dead_letter
        self._max_batch = max_batch
        self._counts = counts
        self._refused = refused
        self._arrived = asyncio.Event()
        self.arrived = self._arrived.set
        self.sources: deque[Waiting] = deque()

    def reset(self, channel: str) -> None:
        """Forget how far a channel is written: its numbers start over."""
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
            while records := self._take():
                await self._write([record for record in records if self._is_new(record)])
                for source in self.sources:
                    source.settle()
                await asyncio.sleep(0)  # not every sink waits for anything

    def _take(self) -> list[Record]:
        """Take a batch; the source that it begins with comes last the next time."""
        records: list[Record] = []
        size = _MAX_BYTES
        for source in self.sources:
            before = source.taken_bytes
            records += source.take(self._max_batch - len(records), size)
            size -= source.taken_bytes - before
        self.sources.rotate(-1)
        return records

    def _is_new(self, record: Record) -> bool:
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
        self._refused(record)
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
