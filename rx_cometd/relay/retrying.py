"""Asking a broker again and again until it is there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, TypeVar

from rx_cometd.relay.errors import BrokerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rx_cometd.relay.counts import Counts

__all__ = ["until_available"]

_T = TypeVar("_T")
_logger = logging.getLogger("rx_cometd.relay")

#: Seconds between two attempts: at first, and at most.
_FIRST, _LONGEST = 0.05, 1.0


async def until_available(ask: Callable[[], Awaitable[_T]], counts: Counts) -> _T:
    """Ask until the broker answers; an outage is logged when it begins and when it ends."""
    pause, failed = _FIRST, False
    while True:
        try:
            answer = await ask()
        except BrokerUnavailableError as error:
            counts.available = False
            if not failed:
                failed = True
                counts.outages += 1
                _logger.warning(
                    "the broker is away: %s",
                    error,
                    extra={"event": "broker_away", "error_type": type(error).__name__},
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        else:
            counts.available = True
            if failed:
                _logger.info("the broker is back", extra={"event": "broker_back"})
            return answer
