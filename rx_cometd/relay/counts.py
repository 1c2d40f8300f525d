"""What a relay counts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Counts"]


@dataclass(slots=True)
class Counts:
    """What a relay did since it was made.

    Attributes:
        received: Events that came from the source, repeats included.
        written: Records that the broker confirmed.
        repeated: Events that came again and were not written again.
        refused: Records that the broker refused; each has become a dead letter.
        outages: How often the broker was away.
        source_outages: How often the link to the source was lost, or not found.
        departures: How often the source was left for a while, for the broker was too slow.
        takeovers: How often this relay began to be the one at work.
        available: Whether the broker did what it was last asked for.
    """

    received: int = 0
    written: int = 0
    repeated: int = 0
    refused: int = 0
    outages: int = 0
    source_outages: int = 0
    departures: int = 0
    takeovers: int = 0
    available: bool = False
