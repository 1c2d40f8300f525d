"""What a relay wrote comes out again, as events, and is acknowledged when it was processed."""

from __future__ import annotations

import asyncio
import tracemalloc
import uuid
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import Client
from rx_cometd.operators import data, map_async, publish_to
from rx_cometd.relay import Batch, Record, Relay, from_kafka, from_nats, from_redis, sink_for
from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from rx_cometd.messages import Event
    from tests.integration.relay.brokers import Broker

pytestmark = pytest.mark.usefixtures("everything_closed")


def consumed(broker: Broker, channel: str, *, max_in_flight: int = 100) -> Observable[Event]:
    """Consume a channel from a broker, in one and the same group every time."""
    subject = f"cometd.{channel[1:].replace('/', '.')}"
    match broker.url.partition(":")[0]:
        case "nats":
            return from_nats(
                broker.url, subject, channel[-20:].replace("/", "-"), max_in_flight=max_in_flight
            )
        case "redis":
            return from_redis(broker.url, subject, "group", max_in_flight=max_in_flight)
        case _:
            return from_kafka(broker.url, subject, group=channel, max_in_flight=max_in_flight)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the broker has no event to wait for
            await asyncio.sleep(0.02)


async def relay_some(broker: Broker, channel: str, count: int) -> None:
    """Bring numbered events into a broker."""
    async with BayeuxServer(salesforce=True) as server:
        for number in range(count):
            await server.publish(channel, {"n": number}, id=str(number))
        name = uuid.uuid4().hex
        relay = Relay(server.url, [channel], sink_for(broker.url, name), name=name, initial=-2)
        running = asyncio.create_task(relay.run())
        await until(lambda: relay.counts.written == count)
        relay.stop()
        await running


async def consumers_closed() -> None:
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "rx_cometd.relay.consume"]
    if tasks:
        await asyncio.wait(tasks, timeout=60)


@pytest.fixture
def channel() -> str:
    return f"/event/{uuid.uuid4().hex}"


async def test_the_events_come_as_they_were(broker: Broker, channel: str) -> None:
    await relay_some(broker, channel, 3)
    events: list[Any] = []
    with consumed(broker, channel).subscribe(events.append):
        await until(lambda: len(events) == 3)
    assert [event["channel"] for event in events] == [channel] * 3
    assert [event["id"] for event in events] == ["0", "1", "2"]
    assert [event["data"]["n"] for event in events] == [0, 1, 2]
    assert all("replayId" in event["data"]["event"] for event in events)


async def test_what_was_processed_does_not_come_again(broker: Broker, channel: str) -> None:
    await relay_some(broker, channel, 5)
    first: list[int] = []
    enough = asyncio.Event()

    async def work(event: Event) -> None:
        if event["data"]["n"] == 3:
            enough.set()
            await asyncio.Event().wait()  # for ever: 3 and 4 are never processed
        first.append(event["data"]["n"])

    with consumed(broker, channel).pipe(map_async(work)).subscribe():
        await enough.wait()
        await asyncio.sleep(1.5)  # more than a second, after which the broker has been told
    await consumers_closed()
    assert first == [0, 1, 2]
    if broker.url.startswith("nats"):
        return  # which gives them again after half a minute only
    second: list[int] = []
    with consumed(broker, channel).subscribe(lambda event: second.append(event["data"]["n"])):
        await until(lambda: len(second) == 2)
    assert second == [3, 4]


async def test_no_more_are_in_flight_than_there_may_be(broker: Broker, channel: str) -> None:
    await relay_some(broker, channel, 10)
    begun: list[int] = []
    go_on = asyncio.Event()

    async def work(event: Event) -> None:
        begun.append(event["data"]["n"])
        await go_on.wait()

    pipe = consumed(broker, channel, max_in_flight=3).pipe(map_async(work, max_concurrency=10))
    with pipe.subscribe():
        await until(lambda: len(begun) == 3)
        await asyncio.sleep(0.3)
        assert len(begun) == 3
        go_on.set()
        await until(lambda: len(begun) == 10)
    assert begun == list(range(10))


async def test_back_to_a_channel(broker: Broker, channel: str) -> None:
    await relay_some(broker, channel, 3)
    async with BayeuxServer() as server, Client(server.url) as client:
        await client.subscribe("/back")
        pipe = consumed(broker, channel).pipe(data(), publish_to(client, "/back"), ops.take(3))
        with pipe.subscribe():
            async with asyncio.timeout(60):
                numbers = [(await client.receive())["data"]["n"] for _ in range(3)]
    assert numbers == [0, 1, 2]


async def test_an_observer_that_raises_ends_the_stream_with_its_error(
    broker: Broker, channel: str
) -> None:
    await relay_some(broker, channel, 2)
    errors: list[Exception] = []

    def fail(event: Event) -> None:
        raise ValueError(event["data"]["n"])

    with consumed(broker, channel).pipe(ops.do_action(fail)).subscribe(on_error=errors.append):
        await until(lambda: errors)
    assert str(errors[0]) == "0"


async def test_one_that_is_far_behind_holds_little(broker: Broker, channel: str) -> None:
    count, size = 2000, 8000
    sink = sink_for(broker.url, uuid.uuid4().hex)
    await sink.markers()
    subject = sink.subject("cometd.{channel}", channel)
    value = f'"{"x" * size}"'.encode()
    for _ in range(count // 100):
        records = [Record(subject, channel, None, None, {}, value) for _ in range(100)]
        await sink.write(Batch(records, {}, uuid.uuid4().hex))
    await sink.aclose()
    done = 0

    async def work(_: Event) -> None:
        nonlocal done
        await asyncio.sleep(0)
        done += 1

    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        with consumed(broker, channel, max_in_flight=20).pipe(map_async(work)).subscribe():
            await until(lambda: done == count)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # aiokafka reads ahead: a megabyte of each partition, twice while it is unpacked.
    assert most - before < (6e6 if broker.url.startswith("kafka") else 3e6) < count * size / 2


async def test_what_is_under_way_in_nats_is_told_from_time_to_time(
    broker: Broker, channel: str
) -> None:
    if not broker.url.startswith("nats"):
        pytest.skip("NATS alone gives again what nobody tells it of")
    await relay_some(broker, channel, 20)
    private: Any = import_module("rx_cometd.relay.nats_consumer")
    subject = f"cometd.{channel[1:].replace('/', '.')}"
    consumer = private._NatsConsumer(broker.url, subject, uuid.uuid4().hex, "cometd")
    try:
        assert len(await consumer.fetch(20)) == 20
        await consumer.settle()
        sent = consumer._seen_by.stats["out_msgs"]
        for _ in range(5):
            await consumer.settle()
        assert consumer._seen_by.stats["out_msgs"] == sent
    finally:
        await consumer.aclose()
