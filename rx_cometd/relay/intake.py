"""One channel of a relay: subscribed, left while the broker cannot keep up, and come back to."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from reactivex import Subject
from reactivex import operators as ops

from rx_cometd import Overflow
from rx_cometd._flow.observable import derive
from rx_cometd.operators import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reactivex import Observable, abc

    from rx_cometd import Channel
    from rx_cometd.messages import Event
    from rx_cometd.relay.counts import Counts
    from rx_cometd.relay.departures import Departures

__all__ = ["Intake"]

_logger = logging.getLogger("rx_cometd.relay")

#: For how many seconds a channel may be crowded before it is left: less than the time after which
#: the client has to send a connect, to keep its session, whatever that brings.
_CROWDED = 3.0


class Intake:
    """Takes in the events of one channel, and hands them to the writer.

    A full buffer makes the client hold back its connects, so that the server keeps the events.
    That cannot last, for a session without connects expires. So if the channel stays crowded and
    can be gone on with from a marker, it is unsubscribed from; what is here is written, and then
    it is subscribed to again.

    Args:
        channel: The channel of a client.
        write: Gives what is done when the event is written.
        max_pending_count: How many events may wait for their batch.
        max_batch: How many may be in batches.
        has_marker: Tells whether leaving the channel loses nothing.
        departures: Is told when the channel is left.
        counts: Where is counted what happens.

    Attributes:
        name: The name of the channel, or the glob.
        arrived_count: Events that arrived.
        pending_count: Events that arrived and are not written.
    """

    def __init__(
        self,
        channel: Channel[Event],
        write: Callable[[Event], Awaitable[None]],
        *,
        max_pending_count: int,
        max_batch: int,
        has_marker: Callable[[], bool],
        departures: Departures,
        counts: Counts,
    ) -> None:
        self._channel = channel
        self._write = write
        self._max_pending_count = max_pending_count
        self._max_batch = max_batch
        self._has_marker = has_marker
        self._departures = departures
        self._counts = counts
        self._leave = Subject[None]()
        self._left = False
        self._crowded_since: float | None = None
        self.name = channel.name
        self.arrived_count = 0
        self.pending_count = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Take in events until the client is closed, whatever is pending then included."""
        while not stopping.is_set():
            self._left, self.pending_count = False, 0
            await _end_of(self._pipe())
            if not self._left:
                return
            _logger.info("%r: going on", self._channel, extra={"event": "source_resumed"})

    def look(self, now: float) -> None:
        """Leave the channel if it has been crowded for too long."""
        if self._left or self.pending_count < self._max_pending_count:
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
            self._left = True
            self._counts.departures += 1
            self._departures.channels.add(self._channel.name.partition("?")[0])
            self._leave.on_next(None)

    def _pipe(self) -> Observable[None]:
        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None
        ) -> abc.DisposableBase:
            counted = self._channel.pipe(ops.take_until(self._leave), ops.do_action(self._arrived))
            return counted.subscribe(observer, scheduler=scheduler)

        return derive(self._channel, subscribe).pipe(
            map_async(
                self._written,
                max_concurrency=self._max_batch,
                max_pending_count=self._max_pending_count,
                overflow=Overflow.SUSPEND,
            )
        )

    def _arrived(self, _: Event) -> None:
        self.arrived_count += 1
        self.pending_count += 1
        self._counts.received += 1

    async def _written(self, event: Event) -> None:
        await self._write(event)
        self.pending_count -= 1


async def _end_of(observable: Observable[Any]) -> None:
    """Wait for an observable to complete; raise its error."""
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(error: Exception) -> None:
        if not end.done():
            end.set_exception(error)

    def complete() -> None:
        if not end.done():
            end.set_result(None)

    with observable.subscribe(on_error=fail, on_completed=complete):
        await end
