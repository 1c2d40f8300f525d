"""Consuming from a broker: its records as an observable of events.

A record is acknowledged once its event was processed, as the replay markers of a `Client` move:
the observer returned, and the buffers and asynchronous operators of rx_cometd are done with it.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol

from reactivex.disposable import Disposable

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.observable import LoopObservable
from rx_cometd.relay.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactivex import Observable, abc

    from rx_cometd.messages import Event

__all__ = ["Consumed", "Consumer", "consume"]

_logger = logging.getLogger("rx_cometd.relay")

#: Seconds between two attempts to reach the broker: at first, and at most.
_FIRST, _LONGEST = 0.1, 5.0
#: For how long what was processed may wait to be told to the broker, in seconds.
_SETTLE = 1.0


class Consumed(NamedTuple):
    """A record that was consumed.

    Attributes:
        event: The event.
        processed: To be called once the event was processed.
    """

    event: Event
    processed: Callable[[], None]


class Consumer(Protocol):
    """A durable consumer of a broker."""

    async def fetch(self, count: int) -> Sequence[Consumed]:
        """Give up to so many records, none if none came for a while.

        Records that were given before, and not processed, are not given again by the same
        consumer.

        Raises:
            BrokerUnavailableError: The broker is away.
        """
        ...

    async def settle(self) -> None:
        """Tell the broker of what was processed, where that waits to be told.

        Raises:
            BrokerUnavailableError: The broker is away.
        """
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


def consume(make: Callable[[], Consumer], max_in_flight: int) -> Observable[Event]:
    """Make an observable of what consumers give.

    Args:
        make: Makes the consumer of a subscription, and another after an outage.
        max_in_flight: How many events may be delivered and not processed.

    Raises:
        ValueError: ``max_in_flight`` is less than 1.
    """
    if max_in_flight < 1:
        raise ValueError(f"max_in_flight must be at least 1, not {max_in_flight}")

    def subscribe(
        observer: abc.ObserverBase[Event], _: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        loop = asyncio.get_running_loop()
        feed = _Feed(make, observer, max_in_flight)
        task = loop.create_task(feed.run(), name="rx_cometd.relay.consume")

        def dispose() -> None:
            feed.disposed = True
            task.cancel()

        return Disposable(dispose)

    return LoopObservable(subscribe)


class _Feed:
    """One subscription: fetches while there is room, delivers, and goes on after outages."""

    def __init__(
        self,
        make: Callable[[], Consumer],
        observer: abc.ObserverBase[Event],
        max_in_flight: int,
    ) -> None:
        self._make = make
        self._observer = observer
        self._room = max_in_flight
        self._settled = asyncio.Event()
        self.disposed = False

    async def run(self) -> None:
        pause = _FIRST
        # Disposing cancels the task, but client libraries have been seen to swallow that.
        while not self.disposed:
            try:
                consumer = self._make()
            except Exception as error:
                self._observer.on_error(error)
                return
            try:
                while not self.disposed:
                    await self._deliver_some(consumer)
                    pause = _FIRST
            except BrokerUnavailableError as error:
                _logger.warning(
                    "consuming: the broker is away: %s",
                    error,
                    extra={"event": "broker_away", "error_type": type(error).__name__},
                )
            except Exception as error:
                self._observer.on_error(error)
                return
            finally:
                await self._close(consumer)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)

    async def _deliver_some(self, consumer: Consumer) -> None:
        if not self._room:
            self._settled.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE):
                    await self._settled.wait()
        if self._room:
            for consumed in await consumer.fetch(self._room):
                if not self.disposed:
                    self._deliver(consumed)
        await consumer.settle()

    def _deliver(self, consumed: Consumed) -> None:
        self._room -= 1
        failed = False

        def done() -> None:
            self._room += 1
            self._settled.set()
            if not (failed or self.disposed):
                consumed.processed()

        with Delivery(done):
            try:
                self._observer.on_next(consumed.event)
            except Exception:
                failed = True
                raise

    async def _close(self, consumer: Consumer) -> None:
        if self.disposed:
            # Disposed of within `on_next`, the cancellation is still to come: here, not half-way
            # through the closing, which would leave a connection open.
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        try:
            await consumer.settle()
        except BrokerUnavailableError as error:
            _logger.debug(
                "what was processed last comes again: %s", error, extra={"event": "record_repeated"}
            )
        finally:
            await consumer.aclose()
