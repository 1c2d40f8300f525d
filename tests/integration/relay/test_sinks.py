"""What each broker refuses, and what it has in the end."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.relay import Batch, BrokerUnavailableError, RecordRefusedError, Sink, sink_for
from rx_cometd.relay.record import record_of
from tests.integration.relay.drill import outage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rx_cometd.relay import Record
    from tests.integration.relay.brokers import Broker

CHANNEL = "/event/Grüße an Ü.v1"
LIMITS: dict[str, dict[str, Any]] = {"redis": {"max_bytes": 1_000_000}, "nats": {}, "kafka": {}}


@pytest.fixture
async def sink(broker: Broker) -> AsyncIterator[Sink]:
    kind = broker.url.partition(":")[0]
    made = sink_for(broker.url, uuid.uuid4().hex, **LIMITS[kind])
    await made.markers()
    yield made
    await made.aclose()


def record(sink: Sink, number: int, channel: str = CHANNEL, size: int = 0) -> Record:
    event: Any = {"channel": channel, "data": {"event": {"replayId": number}, "pad": "x" * size}}
    return record_of(event, sink.subject("cometd.{channel}", channel), "sinks", 0.0)


def batch(sink: Sink, *numbers: int, size: int = 0, token: str | None = None) -> Batch:
    records = [record(sink, number, size=size) for number in numbers]
    return Batch(records, {CHANNEL: numbers[-1]}, token or uuid.uuid4().hex)


async def ids(broker: Broker, subject: str) -> list[int]:
    return [json.loads(r.headers["cometd-replay-id"]) for r in await broker.read(subject)]


async def test_names_headers_and_data(broker: Broker, sink: Sink) -> None:
    channel = f"/event/{uuid.uuid4().hex}/Grüße an Ü.v1"
    written = record(sink, 1, channel)
    await sink.write(Batch([written], {channel: 1}, "first"))
    (found,) = await broker.read(written.subject)
    assert found.value == written.value
    assert {name: found.headers[name] for name in written.headers} == dict(written.headers)
    assert await sink.markers() == {channel: 1}


async def test_a_batch_that_comes_again_is_stored_once(broker: Broker, sink: Sink) -> None:
    before = len(await ids(broker, sink.subject("cometd.{channel}", CHANNEL)) or [])
    same = batch(sink, 11, 12, 13)
    await sink.write(same)
    await sink.write(same)
    await sink.write(batch(sink, 14))
    found = await ids(broker, sink.subject("cometd.{channel}", CHANNEL))
    assert found[before:] == [11, 12, 13, 14]


async def test_a_batch_of_a_megabyte_stays_in_order(broker: Broker, sink: Sink) -> None:
    other = f"{CHANNEL}.other"
    records = [record(sink, n, (CHANNEL, other)[n % 2], size=20_000) for n in range(100, 150)]
    await sink.write(Batch(records, {CHANNEL: 148, other: 149}, "large"))
    for channel, expected in ((CHANNEL, range(100, 150, 2)), (other, range(101, 150, 2))):
        found = await ids(broker, sink.subject("cometd.{channel}", channel))
        assert found[-25:] == list(expected)


async def test_what_is_too_large_is_refused_and_the_next_one_is_not(
    broker: Broker, sink: Sink
) -> None:
    subject = sink.subject("cometd.{channel}", CHANNEL)
    await sink.write(batch(sink, 21))
    with pytest.raises(RecordRefusedError, match=r"large|more than"):
        await sink.write(batch(sink, 22, size=3_000_000))
    await sink.write(batch(sink, 23))
    assert (await ids(broker, subject))[-2:] == [21, 23]
    assert await sink.markers() == {CHANNEL: 23}


async def test_a_broker_that_is_not_there(broker: Broker) -> None:
    sink = sink_for(f"{broker.url.partition(':')[0]}://127.0.0.1:1", "nobody")
    with pytest.raises(BrokerUnavailableError):
        await sink.markers()
    await sink.aclose()


async def test_a_broker_that_dies_with_a_batch_is_away_at_once(broker: Broker, sink: Sink) -> None:
    if broker.url.startswith("kafka"):
        pytest.skip("aiokafka seeks the broker by itself, for as long as a transaction may take")
    await sink.write(batch(sink, 31))
    broker.hang()
    writing = asyncio.create_task(sink.write(batch(sink, 32)))
    try:
        await asyncio.wait({writing}, timeout=0.3)
        assert not writing.done()
        await asyncio.to_thread(broker.kill)
        async with asyncio.timeout(3):  # less than what an answer may take
            with pytest.raises(BrokerUnavailableError):
                await writing
    finally:
        broker.kill()
        broker.start()  # in this thread: it dies with the one that started it


@pytest.mark.timeout(240)
async def test_an_outage_costs_neither_memory_nor_events(broker: Broker, tmp_path: Path) -> None:
    (lost, repeated, disordered), memory = await _outage(broker, tmp_path / "relay")
    assert (lost, repeated, disordered) == (0, 0, 0)
    before, away, _ = memory
    assert away - before < 20_000_000


async def _outage(broker: Broker, log: Path) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    outcome, memory = await outage(broker, log, seconds=6, rate=500)
    return (outcome.lost, outcome.repeated, outcome.disordered), memory
