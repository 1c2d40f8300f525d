"""A broker in memory that can be away, and refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.relay import BrokerUnavailableError, RecordRefusedError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay import Batch, Lease, Record


class Notebook:
    """Keeps what is written.

    Attributes:
        away: How many attempts fail from now on.
        refuses: Which records it takes no batch with.
    """

    system = "notebook"

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.away = 0
        self.refuses: Callable[[Record], bool] = lambda _: False
        self.kept: dict[str, ReplayId] = {}
        self.held: asyncio.Event | None = None
        self.closed = False

    @property
    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in batch.records]

    def subject(self, template: str, channel: str) -> str:
        return template.replace("{channel}", channel)

    async def markers(self) -> Mapping[str, ReplayId]:
        self._answer()
        return dict(self.kept)

    async def write(self, batch: Batch) -> None:
        if self.held is not None:
            await self.held.wait()
        self._answer()
        if any(map(self.refuses, batch.records)):
            raise RecordRefusedError("too large")
        self.batches.append(batch)
        self.kept |= batch.markers

    def _answer(self) -> None:
        if self.away:
            self.away -= 1
            raise BrokerUnavailableError("nobody there")

    def lease(self, seconds: float) -> Lease:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed = True
