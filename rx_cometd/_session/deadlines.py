"""When replies are late: one timer for any number of payloads."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from rx_cometd._transports.timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._transports.departing import Departure

__all__ = ["Deadline", "Deadlines"]


class Deadline(NamedTuple):
    """A time at which the replies to a payload should be there.

    Attributes:
        at: The time, by the loop's clock.
        number: Tells apart those of the same time.
        request_ids: The requests of the payload.
        extended: Whether the time was extended once already.
        arrived: How much had come when the time was last extended for a payload that was
            arriving: how many payloads, and how many bytes of the next one.
        departure: How much of the payload had left when last looked; ``None`` where it has, so that
            the time is that of the replies.
        timeout: Seconds from when it was added until the time.
    """

    at: float
    number: int
    request_ids: tuple[str, ...]
    extended: bool = False
    arrived: tuple[int, int] = (0, 0)
    departure: Departure | None = None
    timeout: float = 0.0


class Deadlines:
    """Deadlines, the earliest first.

    They are not taken back when the replies come. Those of the earliest that are answered by then
    are forgotten when the next is added, so that few are kept however many there are; the timer is
    let run, and restarted when it fires.

    Args:
        expired: Called with each deadline when it has passed.
        are_awaited: Tells whether replies to any of some requests are still to come.
    """

    def __init__(
        self, expired: Callable[[Deadline], None], are_awaited: Callable[[tuple[str, ...]], bool]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._expired = expired
        self._are_awaited = are_awaited
        self._heap: list[Deadline] = []
        self._numbers = count()
        self._timer: Timer | None = None

    def add(
        self,
        request_ids: tuple[str, ...],
        timeout: float,
        *,
        extended: bool = False,
        arrived: tuple[int, int] = (0, 0),
        departure: Departure | None = None,
    ) -> None:
        """Expect replies within a timeout, in seconds from now."""
        at, number = self._loop.time() + timeout, next(self._numbers)
        deadline = Deadline(at, number, request_ids, extended, arrived, departure, timeout)
        heap = self._heap
        while heap and heap[0].at < deadline.at and not self._are_awaited(heap[0].request_ids):
            heapq.heappop(heap)
        heapq.heappush(heap, deadline)
        if self._timer is None or deadline.at < self._timer.when:
            self._arm()

    def clear(self) -> None:
        """Expect nothing any more."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Timer(self._heap[0].at, self._pass) if self._heap else None

    def _pass(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._heap and self._heap[0].at <= now:
            self._expired(heapq.heappop(self._heap))
        if self._heap and self._timer is None:
            self._arm()
