"""What a relay wants of aiokafka's producer beyond what that offers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rx_cometd.relay.record import Record

__all__ = ["batches_of", "look_at", "throw_away"]

#: Seconds that the requests of a producer that is thrown away may take to end.
_ENDING = 2.0


def batches_of(producer: Any, records: Sequence[Record]) -> Iterator[Any]:
    """Give records as batches of aiokafka: far less work than a future for each of them."""
    batch = producer.create_batch()
    for record in records:
        entry = {
            "timestamp": None,
            "key": record.channel.encode(),
            "value": record.value,
            "headers": [(name, value.encode()) for name, value in record.headers.items()],
        }
        if batch.append(**entry) is None:  # it is full; the first one is always taken
            yield batch
            batch = producer.create_batch()
            batch.append(**entry)
    batch.close()
    yield batch


def look_at(sent: asyncio.Future[Any]) -> None:
    """Look at what became of a batch, though the transaction may have failed at another."""
    if sent.done() and not sent.cancelled():
        sent.exception()


async def throw_away(producer: Any) -> None:
    """Close a producer without waiting for what it could not send.

    Its own `stop` waits for that, without end while the broker is away, and so does its search for
    a coordinator. There is no public way round them. What was sent is aborted when the next
    producer begins.
    """
    with suppress(Exception):  # what fails now has been told already
        producer.client.coordinator_lookup = _none
        sender: asyncio.Task[None] | None = producer._sender.sender_task  # noqa: SLF001 - see above
        if sender is not None:
            await _end(sender)
        ended: asyncio.Future[None] | None = producer._txn_manager._transaction_waiter  # noqa: SLF001
        if ended is not None:  # it has begun a transaction
            look_at(ended)
        accumulator = producer._message_accumulator  # noqa: SLF001 - see above
        batches = [batch for those in accumulator._batches.values() for batch in those]  # noqa: SLF001
        batches += accumulator._pending_batches  # noqa: SLF001 - see above
        accumulator.fail_all(ConnectionError("closed"))
        for batch in batches:
            look_at(batch.future)
            look_at(batch._drain_waiter)  # noqa: SLF001 - see above
        await producer.stop()


async def _none(*_: object) -> int:
    """Find no coordinator: whoever seeks one is to end, quietly."""
    raise asyncio.CancelledError


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel a task that then waits for others, and after a while these."""
    for _ in range(2):
        task.cancel()
        await asyncio.wait({task}, timeout=_ENDING)
        if task.done():
            look_at(task)
            return
