"""What each broker refuses, and what it has in the end."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pytest

from rx_cometd.relay import (
    Batch,
    BrokerError,
    BrokerUnavailableError,
    RecordRefusedError,
    Sink,
    sink_for,
)
from rx_cometd.relay.record import record_of
from tests.integration.relay.drill import outage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from rx_cometd.relay import Record
    from tests.integration.relay.brokers import Broker

CHANNEL = "/event/Grüße an Ü.v1"
#: Where is said how long each broker may take to answer.
PATIENCE = {
    "nats": [("nats_sink", "TIMEOUT"), ("nats_connection", "TIMEOUT")],
    "redis": [],
    "kafka": [("kafka_sink", "_TIMEOUT")],
}
LIMITS: dict[str, dict[str, Any]] = {"redis": {"max_bytes": 1_000_000}, "nats": {}, "kafka": {}}


@pytest.fixture
async def sink(broker: Broker) -> AsyncIterator[Sink]:
    kind = broker.url.partition(":")[0]
    made = sink_for(broker.url, uuid.uuid4().hex, **LIMITS[kind])
    await made.markers()
    yield made
    await made.aclose()


#: The relay of each sink. NATS drops what one of that name wrote a minute ago: in an attempt of a
#: test that failed, say.
RELAYS = WeakKeyDictionary[Sink, str]()


def record(sink: Sink, number: int, channel: str = CHANNEL, size: int = 0) -> Record:
    event: Any = {"channel": channel, "data": {"event": {"replayId": number}, "pad": "x" * size}}
    relay = RELAYS.setdefault(sink, uuid.uuid4().hex)
    return record_of(event, sink.subject("cometd.{channel}", channel), relay, 0.0)


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
    await sink.write(batch(sink, 10))
    before = len(await ids(broker, sink.subject("cometd.{channel}", CHANNEL)))
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


async def test_the_largest_that_is_taken_and_the_smallest_that_is_not(
    broker: Broker, sink: Sink
) -> None:
    """Around the limit no size may close the connection, again and again."""
    largest = {"nats": 1024 * 1024, "redis": 1_000_000, "kafka": 1024 * 1024}
    channel = f"/event/{uuid.uuid4().hex}"
    limit = largest[broker.url.partition(":")[0]]
    refused: list[int] = []
    sizes = sorted({limit - margin for margin in (2000, 700, 400, 300, 200, 150, 100, 50, 25, 0)})
    for size in sizes:
        made = record(sink, size, channel)
        padded = made._replace(value=made.value.ljust(size))
        try:
            await sink.write(Batch([padded], {}, uuid.uuid4().hex))
        except RecordRefusedError:
            refused.append(size)
    assert refused == sizes[len(sizes) - len(refused) :]
    written = [len(r.value) for r in await broker.read(sink.subject("cometd.{channel}", channel))]
    assert written == [size for size in sizes if size not in refused]
    assert written


@pytest.mark.parametrize("length", [100_000, 70_000])
async def test_a_header_that_is_too_large_is_refused_or_taken(
    broker: Broker, sink: Sink, length: int
) -> None:
    subject = sink.subject("cometd.{channel}", CHANNEL)
    made = record(sink, 41)
    large = made._replace(headers={**made.headers, "cometd-id": "x" * length})
    writing = sink.write(Batch([large, large], {}, uuid.uuid4().hex))
    if broker.url.startswith("nats"):
        with pytest.raises(RecordRefusedError, match="too large"):
            await writing
    else:
        await writing
    await sink.write(batch(sink, 42))
    assert (await ids(broker, subject))[-1] == 42


ODD = (
    "a b",
    "a>b",
    ">",
    "a//b",
    "a/",
    "..",
    "ä" * 100,
    "%41",
    "$SYS",
    "日本/😀",
    "*x",
)


@pytest.mark.parametrize("name", [*ODD, "n" * 300, "n" * 5000], ids=lambda name: ascii(name[:9]))
async def test_odd_channels_are_written_or_refused_and_block_nothing(
    broker: Broker, sink: Sink, name: str
) -> None:
    channel = f"/{name}"
    made = [record(sink, n, channel) for n in (1, 2)]
    async with asyncio.timeout(30):
        try:
            await sink.write(Batch(made, {channel: 2}, uuid.uuid4().hex))
        except RecordRefusedError:
            assert broker.url.startswith("nats")
            assert len(name) == 5000
        else:
            found = [r.headers["cometd-channel"] for r in await broker.read(made[0].subject)]
            assert found[-2:] == [channel, channel]
        await sink.write(batch(sink, 51))
        assert (await sink.markers())[CHANNEL] == 51


@pytest.mark.parametrize("name", ["a b", "ü", "a.b", "a_b", 'the "first"', "x" * 300, "a/b"])
async def test_any_name_keeps_markers_of_its_own_and_has_a_lease(broker: Broker, name: str) -> None:
    sink, channel, marker = sink_for(broker.url, name), f"/{name.encode().hex()}", time.time_ns()
    try:
        assert set(await sink.markers()) <= {channel}  # of an attempt before, not of another name
        await sink.write(Batch([], {channel: marker}, uuid.uuid4().hex))
        assert await sink.markers() == {channel: marker}
    finally:
        await sink.aclose()
    lease = sink.lease(10)
    async with asyncio.timeout(30):
        while not await lease.acquire():  # noqa: ASYNC110 - the broker is asked
            await asyncio.sleep(0.05)
    await lease.release()


async def test_a_topic_that_cannot_be_is_refused(broker: Broker, sink: Sink) -> None:
    if not broker.url.startswith("kafka"):
        pytest.skip("only to Kafka a dot and an underscore are the same")
    one = f"/{uuid.uuid4().hex}/x"
    other = f"{one[:-2]}_x"
    await sink.write(Batch([record(sink, 1, one)], {}, uuid.uuid4().hex))
    for _ in range(20):  # it takes seconds to find out, but not each time
        with pytest.raises(RecordRefusedError, match="no topic of the name"):
            await sink.write(Batch([record(sink, 2, other)], {}, uuid.uuid4().hex))
    await sink.write(Batch([record(sink, 3, one)], {}, uuid.uuid4().hex))
    assert await ids(broker, sink.subject("cometd.{channel}", one)) == [1, 3]


async def test_a_stream_takes_in_what_the_template_makes(broker: Broker, sink: Sink) -> None:
    if not broker.url.startswith("nats"):
        pytest.skip("only NATS has to be told what a stream takes in")
    own = sink_for(broker.url, "own", stream="own")

    async def write(subject: str, *numbers: int) -> None:
        records = [record(sink, number)._replace(subject=subject) for number in numbers]
        await own.write(Batch(records, {}, uuid.uuid4().hex))

    try:
        subject = own.subject("own.{channel}", CHANNEL)
        assert own.subject("own-dead", CHANNEL) == "own-dead"
        await write(subject, 1)
        await write("own-dead", 2)
        for numbers in ((3,), (4, 5)):  # one by one, and in a batch
            with pytest.raises(BrokerError, match=r"no stream .* takes in the subject elsewhere"):
                await write("elsewhere", *numbers)
    finally:
        await own.aclose()


async def test_a_stream_that_may_not_be_is_told(broker: Broker, sink: Sink) -> None:
    if not broker.url.startswith("nats"):
        pytest.skip("only NATS has to be told what a stream takes in")
    everything = sink_for(broker.url, "all", stream="all")
    subject = everything.subject("{channel}", CHANNEL)
    try:
        with pytest.raises(BrokerError, match=r"could not be created .* give it `subjects`"):
            await everything.write(Batch([record(sink, 1)._replace(subject=subject)], {}, "one"))
    finally:
        await everything.aclose()


async def test_a_broker_that_is_not_there(broker: Broker) -> None:
    sink = sink_for(f"{broker.url.partition(':')[0]}://127.0.0.1:1", "nobody")
    with pytest.raises(BrokerUnavailableError):
        await sink.markers()
    await sink.aclose()


@pytest.mark.timeout(240)
async def test_a_broker_that_dies_with_a_batch_is_away_before_an_answer_is_late(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an answer may take is so long that only its end can tell.
    kind = broker.url.partition(":")[0]
    for module, limit in PATIENCE[kind]:
        monkeypatch.setattr(f"rx_cometd.relay.{module}.{limit}", 600.0)
    url = f"{broker.url}?socket_timeout=600" if kind == "redis" else broker.url
    sink = sink_for(url, uuid.uuid4().hex)
    try:
        await sink.markers()
        await sink.write(batch(sink, 31))
        broker.hang()
        writing = asyncio.create_task(sink.write(batch(sink, 32)))
        await asyncio.wait({writing}, timeout=0.3)
        assert not writing.done()
        await asyncio.to_thread(broker.kill)
        async with asyncio.timeout(40):
            with pytest.raises(BrokerUnavailableError):
                await writing
    finally:
        broker.kill()
        broker.start()  # in this thread: it dies with the one that started it
        await sink.aclose()


@pytest.mark.timeout(240)
async def test_a_broker_that_died_before_a_batch_is_away_and_comes_back(broker: Broker) -> None:
    sink = sink_for(broker.url, uuid.uuid4().hex)
    try:
        await sink.markers()
        await sink.write(batch(sink, 61))
        broker.kill()
        same = batch(sink, 62)
        async with asyncio.timeout(40):
            for _ in range(2):
                with pytest.raises(BrokerUnavailableError):
                    await sink.write(same)
        broker.start()
        async with asyncio.timeout(40):
            while not await written(sink, same):  # noqa: ASYNC110 - the broker is asked
                await asyncio.sleep(0.2)
        assert await sink.markers() == {CHANNEL: 62}
    finally:
        await sink.aclose()


async def written(sink: Sink, whole: Batch) -> bool:
    try:
        await sink.write(whole)
    except BrokerUnavailableError:
        return False
    return True


@pytest.mark.timeout(240)
async def test_an_outage_costs_neither_memory_nor_events(broker: Broker, tmp_path: Path) -> None:
    (lost, repeated, disordered), memory = await _outage(broker, tmp_path / "relay")
    assert (lost, repeated, disordered) == (0, 0, 0)
    before, away, _ = memory
    assert away - before < 20_000_000


async def _outage(broker: Broker, log: Path) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    outcome, memory = await outage(broker, log, seconds=6, rate=500)
    return (outcome.lost, outcome.repeated, outcome.disordered), memory
