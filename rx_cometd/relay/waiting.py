"""Events of one channel that wait for their batch, or are in the one that is being written."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rx_cometd._flow.buffer import MessageBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._flow.delivery import Hold
    from rx_cometd._flow.flow import Flow, Overflow
    from rx_cometd.messages import Event
    from rx_cometd.relay.record import Record

__all__ = ["Waiting"]


class Waiting:
    """A bounded buffer that events go into one by one, and come out of as the records of a batch.

    Nothing is made for an event but its place in the buffer: no task, no future. What a batch has
    taken counts as processed when the whole batch is written.

    Args:
        record: Makes the record of an event that came at some time (seconds since the epoch).
        arrived: Called when an event came.
        max_pending_count: How many events may wait for their batch.
        overflow: What the buffer does when it is full.
        flow: The client's side of the buffer.

    Attributes:
        taken_bytes: Of the data of all that batches have taken.
    """

    def __init__(
        self,
        record: Callable[[Event, float], Record],
        arrived: Callable[[], object],
        *,
        max_pending_count: int,
        overflow: Overflow,
        flow: Flow | None = None,
    ) -> None:
        self._record = record
        self._buffer: MessageBuffer[tuple[Event, float]] = MessageBuffer(
            max_pending_count, overflow, flow=flow
        )
        self._buffer.wake = arrived
        self._buffer.lingers = True  # it stays with its client until all is written
        self._holds: list[Hold] = []
        self._batched = 0
        self._settled = asyncio.Event()
        self.taken_bytes = 0
        self.complete = self._buffer.complete
        self.fail = self._buffer.fail

    @property
    def pending_count(self) -> int:
        """Events that came and are not written."""
        return self._buffer.pending_count + self._batched

    @property
    def ended(self) -> bool:
        """Whether nothing more is taken in: the source has ended, or the buffer overflowed."""
        return self._buffer.terminated

    @property
    def error(self) -> Exception | None:
        """Why it ended, ``None`` if the source completed."""
        return self._buffer.error

    def offer(self, event: Event) -> None:
        """Take in an event that comes now."""
        self._buffer.offer((event, time.time()))

    def take(self, count: int, size: int) -> list[Record]:
        """Take what has waited longest into the batch, as records.

        Args:
            count: How many at most.
            size: After how many bytes of data no more is taken.
        """
        buffer = self._buffer
        records: list[Record] = []
        left = size
        for _ in range(min(count, buffer.pending_count)):
            if left <= 0:
                break
            event, came = buffer.take_nowait()
            if buffer.taken is not None:
                self._holds.append(buffer.taken)
            self._batched += 1
            record = self._record(event, came)
            left -= len(record.value)
            records.append(record)
        self.taken_bytes += size - left
        return records

    def settle(self) -> None:
        """Say that the batch is written: what was taken for it has been processed."""
        holds, self._holds = self._holds, []
        # The last one first: each event then hands on to the one before it how far the marker may
        # go, and the marker moves once, with the first.
        for held in reversed(holds):
            held()
        self._batched = 0
        self._settled.set()
        self._settled.clear()

    async def written(self) -> None:
        """Wait until nothing is pending."""
        while self.pending_count:
            await self._settled.wait()

    def close(self) -> None:
        """Forget what is pending, without calling it processed."""
        self._holds.clear()
        self._batched = 0
        self._buffer.close()
