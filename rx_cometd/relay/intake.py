"""One channel of a relay: subscribed, left while the broker cannot keep up, and come back to."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd.relay.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd import Channel
    from rx_cometd.messages import Event
    from rx_cometd.relay.counts import Counts
    from rx_cometd.relay.departures import Departures
    from rx_cometd.relay.record import Record

__all__ = ["Intake"]

_logger = logging.getLogger("rx_cometd.relay")

#: For how many seconds a channel may be crowded before it is left: less than the time after which
#: the client has to send a connect, to keep its session, whatever that brings.
_CROWDED = 3.0


class Intake:
    """Takes in the events of one channel, which wait here for the batches of the writer.

    A full buffer makes the client hold back its connects, so that the server keeps the events.
    That cannot last, for a session without connects expires. So if the channel stays crowded and
    can be gone on with from a marker, it is unsubscribed from; what is here is written, and then
    it is subscribed to again.

    Args:
        channel: The channel of a client.
        record: Makes the record of an event that came at some time.
        arrived: Called when there is something to be written.
        max_pending_count: How many events may wait for their batch.
        has_marker: Tells whether leaving the channel loses nothing.
        departures: Is told when the channel is left.
        counts: Where is counted what happens.

    Attributes:
        name: The name of the channel, or the glob.
        arrived_count: Events that arrived.
        refused_count: Those of them that the broker refused.
        waiting: Those that are not written.
    """

    def __init__(
        self,
        channel: Channel[Event],
        record: Callable[[Event, float], Record],
        arrived: Callable[[], object],
        *,
        max_pending_count: int,
        has_marker: Callable[[], bool],
        departures: Departures,
        counts: Counts,
    ) -> None:
        self._channel = channel
        self._max_pending_count = max_pending_count
        self._has_marker = has_marker
        self._departures = departures
        self._counts = counts
        #: Set when the channel is left, and when it has ended.
        self._over = asyncio.Event()
        self._crowded_since: float | None = None
        self.name = channel.name
        self.arrived_count = self.refused_count = 0
        self.waiting = Waiting(
            record,
            arrived,
            max_pending_count=max_pending_count,
            overflow=Overflow.SUSPEND,
            flow=flow_of(channel),
        )

    @property
    def pending_count(self) -> int:
        """Events that arrived and are not written."""
        return self.waiting.pending_count

    async def run(self, stopping: asyncio.Event) -> None:
        """Take in events until the client is closed, and all that came is written.

        Raises:
            ServerError: The source refused the channel.
            ClientError: It cannot be made to wait.
        """
        try:
            while not stopping.is_set():
                self._over.clear()
                with self._channel.subscribe(self._take_in, self._fail, self._complete):
                    await self._over.wait()
                await self.waiting.written()
                if self.waiting.ended:
                    break
                _logger.info("%r: going on", self._channel, extra={"event": "source_resumed"})
            if self.waiting.error is not None:
                raise self.waiting.error
        finally:
            self.waiting.close()

    def look(self, now: float) -> None:
        """Leave the channel if it has been crowded for too long."""
        if self._over.is_set() or self.pending_count < self._max_pending_count:
            self._crowded_since = None
        elif self._crowded_since is None:
            self._crowded_since = now
        elif now - self._crowded_since >= _CROWDED and self._has_marker():
            _logger.warning(
                "%r: left with %d events pending, until they are written",
                self._channel,
                self.pending_count,
                extra={"event": "source_left", "pending": self.pending_count},
            )
            self._counts.departures += 1
            self._departures.channels.add(self._channel.name.partition("?")[0])
            self._over.set()

    def _take_in(self, event: Event) -> None:
        self.arrived_count += 1
        self._counts.received += 1
        self.waiting.offer(event)
        if self.waiting.ended:  # it overflowed
            self._over.set()

    def _complete(self) -> None:
        self.waiting.complete()
        self._over.set()

    def _fail(self, error: Exception) -> None:
        self.waiting.fail(error)
        self._over.set()
