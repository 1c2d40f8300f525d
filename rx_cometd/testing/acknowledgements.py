"""What the client of a session has not acknowledged; see `rx_cometd.testing.ack`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rx_cometd.testing.wire import Event

__all__ = ["Acknowledgements"]


class Acknowledgements:
    """The batches of a session that its client has not acknowledged.

    Attributes:
        batch: The number of the open batch.
        unacknowledged: Events sent, each with the number of its batch.
    """

    def __init__(self) -> None:
        self.batch = 1
        self.unacknowledged: list[tuple[int, Event]] = []

    def acknowledge(self, batch: int) -> None:
        """Forget the batches up to one; a smaller number never brings back what is cleared."""
        self.unacknowledged = [entry for entry in self.unacknowledged if entry[0] > batch]

    def close_batch(self, events: list[Event]) -> tuple[int, list[Event]]:
        """End the open batch with the events queued so far.

        Returns:
            Its number, and all events that are not acknowledged, those of earlier batches first.
        """
        number = self.batch
        self.batch += 1
        self.unacknowledged += [(number, event) for event in events]
        return number, [event for _, event in self.unacknowledged]
