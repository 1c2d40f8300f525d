"""What is measured of operations on messages: how many, and how long they took.

It is done for each message, so the attributes are put together once for each destination. Needs
``opentelemetry-api``, as `rx_cometd._flow.open_telemetry` does.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from rx_cometd._flow.open_telemetry import (
    ERROR_TYPE,
    REMEMBERED,
    UNTRACED,
    attributes_of,
    error_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import TypeAlias

    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue

    from rx_cometd._flow.open_telemetry import Destinations, Operation

    Record: TypeAlias = Callable[[float, dict[str, AttributeValue]], None]

__all__ = ["Measured", "Series", "Timed", "duration"]

#: The boundaries of buckets that the conventions advise for durations. The SDK's own are made for
#: milliseconds: all that takes less than 5 s would be in one bucket.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class Series:
    """What is measured of one set of attributes.

    Attributes:
        attributes: The set; shared, and not to be changed.
        count: How many operations ended.
        lock: To be held while counting: clients may be on several threads.
    """

    __slots__ = ("_failed", "attributes", "count", "lock")

    def __init__(self, attributes: dict[str, AttributeValue]) -> None:
        self.attributes = attributes
        self.count = 0
        self.lock = threading.Lock()
        self._failed: dict[str, Series] = {}

    def failed(self, error: BaseException) -> Series:
        """Give the series of those operations that ended with an error of this kind."""
        kind = error_type(error)
        return self._failed.setdefault(kind, Series({**self.attributes, ERROR_TYPE: kind}))

    def __iter__(self) -> Iterator[Series]:
        """Give this series, and those of the errors. May be called from any thread."""
        return iter((self, *self._failed.copy().values()))


class Measured:
    """The series of an operation, made once for each destination that metrics tell apart.

    Args:
        operation: What is measured.
        destinations: How metrics name channels.
        more: Attributes that all series have.
    """

    def __init__(
        self,
        operation: Operation,
        destinations: Destinations,
        more: Mapping[str, AttributeValue] | None = None,
    ) -> None:
        self._operation = operation
        self._destinations = destinations
        self._more = more or {}
        self._of_channel: dict[str | None, Series] = {}
        self._series: dict[AttributeValue | None, Series] = {}

    def of(self, channel: str | None) -> Series:
        """Give the series that a channel belongs to."""
        series = self._of_channel.get(channel)
        return self._find(channel) if series is None else series

    def _find(self, channel: str | None) -> Series:
        if len(self._of_channel) >= REMEMBERED:
            self._of_channel.clear()
        labels = {} if channel is None else self._destinations.labels(channel)
        destination = next(iter(labels.values()), None)
        new = Series({**attributes_of(self._operation), **labels, **self._more})
        series = self._of_channel[channel] = self._series.setdefault(destination, new)
        return series

    def __iter__(self) -> Iterator[Series]:
        """Give every series there is. May be called from any thread."""
        return (series for known in self._series.copy().values() for series in known)


class Timed:
    """Be within a span, count what ended, and record how long it took.

    Entered and left for each message, so no more is done than that.

    Args:
        span: What to be within.
        series: Where it is counted, if there is no error.
        record: Takes the seconds, and the attributes; ``None`` where nobody wants them.
    """

    __slots__ = ("_begun", "_record", "_series", "_span")

    def __init__(
        self, span: AbstractContextManager[object], series: Series, record: Record | None
    ) -> None:
        self._span = span
        self._series = series
        self._record = record
        self._begun = 0.0

    def __enter__(self) -> None:
        if self._record is not None:
            self._begun = time.perf_counter()
        if self._span is not UNTRACED:
            self._span.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._span is not UNTRACED:
                self._span.__exit__(kind, error, traceback)
        finally:
            series = self._series if error is None else self._series.failed(error)
            if self._record is not None:
                self._record(time.perf_counter() - self._begun, series.attributes)
            with series.lock:
                series.count += 1


def duration(made: Meter, name: str, description: str) -> Record:
    """Make the instrument of how long something took, and give what records."""
    return made.create_histogram(
        name, unit="s", description=description, explicit_bucket_boundaries_advisory=_SECONDS
    ).record
