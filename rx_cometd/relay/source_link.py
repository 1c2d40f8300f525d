"""The link to the source of a relay: that it is lost, and found again, is told once each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rx_cometd import ClientState

if TYPE_CHECKING:
    from rx_cometd import StateChange
    from rx_cometd.relay.counts import Counts

__all__ = ["SourceLink"]

_logger = logging.getLogger("rx_cometd.relay")


class SourceLink:
    """Takes in the changes of a client's state.

    Args:
        relay: The relay's name.
        counts: Where outages are counted.
    """

    def __init__(self, relay: str, counts: Counts) -> None:
        self._relay = relay
        self._counts = counts
        self._lost = False

    def __call__(self, change: StateChange) -> None:
        """Take in a change."""
        if change.state is ClientState.CONNECTED and self._lost:
            self._lost = False
            _logger.info(
                "%s: the source is back",
                self._relay,
                extra={"event": "source_back", "relay": self._relay},
            )
        # What is tried again at once is no outage: the other transport, or another session.
        elif change.delay > 0 and not self._lost and change.state in _SEEKING:
            self._lost = True
            self._counts.source_outages += 1
            _logger.warning(
                "%s: no link to the source: %s",
                self._relay,
                change.error,
                extra={
                    "event": "source_away",
                    "relay": self._relay,
                    "error_type": type(change.error).__name__,
                },
            )


#: Where a client that seeks its link, or another session, is.
_SEEKING = frozenset({ClientState.UNCONNECTED, ClientState.REHANDSHAKING})
