"""The log line of a buffer that drops messages: at once, then at most one per second."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from rx_cometd._flow.flow import Overflow

__all__ = ["DropLog"]

_log = logging.getLogger("rx_cometd.operators")
_INTERVAL: Final = timedelta(seconds=1)


class DropLog:
    """Tells the log of dropped messages, for one buffer."""

    def __init__(
        self, now: Callable[[], datetime], max_pending_count: int, overflow: Overflow | None
    ) -> None:
        self._now = now
        self._max_pending_count = max_pending_count
        self._policy = "default" if overflow is None else overflow.name
        self._next: datetime | None = None

    def dropped(self, count: int) -> None:
        """Say that one more message was dropped, ``count`` of them so far."""
        now = self._now()
        if self._next is not None and now < self._next:
            return
        self._next = now + _INTERVAL
        _log.warning(
            "a consumer is too slow: %d messages dropped so far (max_pending_count=%d, %s)",
            count,
            self._max_pending_count,
            self._policy,
            extra={
                "event": "buffer_dropped",
                "drops": count,
                "max_pending_count": self._max_pending_count,
                "policy": self._policy.lower(),
            },
        )
