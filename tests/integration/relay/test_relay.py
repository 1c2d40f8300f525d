"""A relay between the embedded server and a broker in memory."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import Client, ClientError, Extension, InvalidChannelError, ServerError
from rx_cometd.relay import Relay, Shard, intact_json_loads
from rx_cometd.testing import BayeuxServer
from tests.unit.relay.notebook import Notebook

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from rx_cometd import Payload

pytestmark = pytest.mark.usefixtures("nothing_left")

CHANNEL = "/event/Order__e"


def has_written(relay: Relay, count: int) -> bool:
    return relay.counts.written == count


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - counts change without an event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def relaying(
    server: BayeuxServer, notebook: Notebook, *channels: str, **options: Any
) -> AsyncGenerator[Relay]:
    """Run a relay, and stop it in the end."""
    relay = Relay(server.url, channels or [CHANNEL], notebook, initial=-2, **options)
    running = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await running


def numbers(notebook: Notebook) -> list[int]:
    return [int(record.value.partition(b":")[2].partition(b",")[0]) for record in notebook.records]


async def publish(server: BayeuxServer, first: int, last: int) -> None:
    for number in range(first, last):
        await server.publish(CHANNEL, {"n": number})


async def test_events_arrive_with_their_markers() -> None:
    notebook = Notebook()
    async with BayeuxServer(salesforce=True) as server:
        await publish(server, 0, 5)
        async with relaying(server, notebook, template="x.{channel}") as relay:
            await until(lambda: relay.counts.written == 5)
            assert relay.ready
            await publish(server, 5, 8)
            await until(lambda: relay.counts.written == 8)
    assert numbers(notebook) == list(range(8))
    assert {record.subject for record in notebook.records} == {f"x.{CHANNEL}"}
    last = notebook.records[-1].replay_id
    assert notebook.kept == {CHANNEL: last}
    assert notebook.closed


async def test_data_arrive_byte_for_byte() -> None:
    text = '{"z": 1.10, "a": 1e3, "escaped": "\\u00fc", "plain": "ü"}'
    notebook = Notebook()

    def dumps(message: Any) -> str:
        return json.dumps(message).replace('"AS IT IS"', text)

    async with (
        BayeuxServer(salesforce=True, json_dumps=dumps) as server,
        relaying(server, notebook) as relay,
    ):
        await server.publish(CHANNEL, {"payload": "AS IT IS"})
        await until(lambda: relay.counts.written == 1)
    (record,) = notebook.records
    begin = f'{{"payload": {text}, "event": {{'.encode()
    assert record.value.startswith(begin)
    assert notebook.kept == {CHANNEL: record.replay_id}


async def test_a_json_loads_of_the_users_has_the_data_encoded_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "rx_cometd.relay")
    notebook = Notebook()

    def dumps(value: Any) -> str:
        return json.dumps(value, default=str)

    loads = partial(json.loads, parse_float=Decimal)
    async with (
        BayeuxServer(salesforce=True) as server,
        relaying(server, notebook, json_loads=loads, json_dumps=dumps) as relay,
    ):
        await server.publish(CHANNEL, {"price": 1.5})
        await server.publish(CHANNEL, {"price": 2.5})
        await until(lambda: relay.counts.written == 2)
    assert [json.loads(record.value)["price"] for record in notebook.records] == ["1.5", "2.5"]
    told = [r for r in caplog.records if getattr(r, "event", None) == "data_reencoded"]
    assert len(told) == 1


async def test_data_that_cannot_be_encoded_again_end_it_with_what_to_do() -> None:
    loads = partial(json.loads, parse_float=Decimal)
    async with BayeuxServer(salesforce=True) as server:
        await server.publish(CHANNEL, {"price": 1.5})
        notebook = Notebook()
        relay = Relay(server.url, [CHANNEL], notebook, initial=-2, json_loads=loads)
        async with asyncio.timeout(60):
            with pytest.raises(ClientError, match=r"Decimal.*json_dumps does not know"):
                await relay.run()
    assert notebook.kept == {}


async def test_a_function_that_makes_the_client_can_keep_the_bytes() -> None:
    notebook = Notebook()

    def make(extensions: Sequence[Extension]) -> Client:
        return Client(server.url, extensions=extensions, json_loads=intact_json_loads)

    async with BayeuxServer(salesforce=True, json_dumps=partial(json.dumps, indent=1)) as server:
        await server.publish(CHANNEL, {"n": 1})
        relay = Relay(make, [CHANNEL], notebook, initial=-2)
        running = asyncio.create_task(relay.run())
        await until(lambda: relay.counts.written == 1)
        relay.stop()
        await running
    assert b"\n" in notebook.records[0].value


async def test_an_extension_of_the_users_sees_the_data_and_may_change_them() -> None:
    def changed(payload: Payload) -> None:
        for message in payload.messages:
            if message["channel"] == CHANNEL:
                message["data"]["n"] += 1

    notebook = Notebook()
    extension = Extension.of(inbound=ops.do_action(changed))
    async with (
        BayeuxServer(salesforce=True) as server,
        relaying(server, notebook, extensions=[extension]) as relay,
    ):
        await publish(server, 0, 1)
        await until(lambda: relay.counts.written == 1)
    assert numbers(notebook) == [1]


async def test_the_next_one_goes_on_from_the_marker() -> None:
    notebook = Notebook()
    async with BayeuxServer(salesforce=True) as server:
        for first in (0, 10):
            await publish(server, first, first + 10)
            async with relaying(server, notebook) as relay:
                await until(partial(has_written, relay, 10))
    assert numbers(notebook) == list(range(20))


async def test_a_new_session_repeats_nothing() -> None:
    notebook = Notebook()
    async with BayeuxServer(salesforce=True) as server, relaying(server, notebook) as relay:
        await publish(server, 0, 5)
        await until(lambda: relay.counts.written == 5)
        held = notebook.held = asyncio.Event()
        await publish(server, 5, 10)
        await until(lambda: relay.counts.received == 10)
        await server.restart()
        await publish(server, 10, 15)
        await until(lambda: relay.counts.received >= 20)  # 5 to 9 came again
        held.set()
        await until(lambda: relay.counts.written == 15)
        assert relay.counts.repeated == 5
    assert numbers(notebook) == list(range(15))


async def test_a_channel_that_stays_crowded_is_left_and_come_back_to() -> None:
    notebook = Notebook()
    async with (
        BayeuxServer(salesforce=True, timeout=1.0) as server,
        relaying(server, notebook, max_pending_count=5, max_batch=2) as relay,
    ):
        await publish(server, 0, 1)
        await until(lambda: notebook.kept)
        held = notebook.held = asyncio.Event()
        await publish(server, 1, 21)
        await until(lambda: relay.pending_count >= 5)
        # The connect is held back now, so that the server keeps these. It goes out when the
        # channel is left, and brings them though nobody observes the channel any more.
        await publish(server, 21, 41)
        await until(lambda: relay.counts.departures == 1)
        await until(lambda: not server.subscribers(CHANNEL))
        await publish(server, 41, 61)
        assert relay.pending_count < 61
        held.set()
        await until(lambda: len(notebook.records) >= 61)
    assert numbers(notebook) == list(range(61))


async def test_a_broker_that_stays_away_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notebook = Notebook()
    async with (
        BayeuxServer(salesforce=True) as server,
        relaying(server, notebook, drain=0.2) as relay,
    ):
        notebook.held = asyncio.Event()
        await publish(server, 0, 3)
        await until(lambda: relay.counts.received == 3)
    assert notebook.records == []
    assert "stopped with 3 events unwritten" in caplog.text


async def test_a_broker_that_was_never_there_does_not_hold_up_the_end() -> None:
    notebook = Notebook()
    notebook.away = 1_000_000
    async with (
        asyncio.timeout(60),
        BayeuxServer(salesforce=True) as server,
        relaying(server, notebook) as relay,
    ):
        await until(lambda: relay.counts.outages == 1)
        assert not relay.ready
    assert notebook.closed


async def test_a_marker_that_the_source_refuses_is_gone_on_from_with_what_it_has() -> None:
    notebook = Notebook()
    notebook.kept = {CHANNEL: 1_000_000}
    async with BayeuxServer(salesforce=True) as server:
        await publish(server, 0, 3)
        async with relaying(server, notebook) as relay:
            await until(lambda: relay.counts.written == 3)
    assert numbers(notebook) == [0, 1, 2]


async def test_a_source_without_replay_is_relayed_as_it_comes() -> None:
    notebook = Notebook()
    async with (
        BayeuxServer() as server,
        relaying(server, notebook, "/stock/*", "/news") as relay,
    ):
        await until(lambda: server.subscribers("/stock/a") and server.subscribers("/news"))
        await server.publish("/stock/a", 1)
        await server.publish("/news", "x")
        await until(lambda: relay.counts.written == 2)
    assert {record.channel for record in notebook.records} == {"/stock/a", "/news"}
    assert notebook.kept == {}


def refuse(*_: object) -> str:
    return "403::no"


async def test_a_source_that_refuses_ends_it() -> None:
    async with BayeuxServer(can_subscribe=refuse) as server:
        relay = Relay(server.url, [CHANNEL], Notebook())
        with pytest.raises(ServerError, match="no"):
            await relay.run()


async def test_a_shard_without_channels_waits() -> None:
    channel = CHANNEL
    number = 1 if not Shard(1, 2).has(channel) else 2
    relay = Relay("http://127.0.0.1:1", [channel], Notebook(), shard=Shard(number, 2))
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0)
    assert relay.ready
    relay.stop()
    await running


@pytest.mark.parametrize(
    "wrong", [{"max_batch": 0}, {"max_pending_count": 0}, {"lease": 0.0}, {"name": ""}]
)
def test_numbers_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Relay("http://localhost", [CHANNEL], Notebook(), **wrong)


def test_channels_are_checked() -> None:
    with pytest.raises(ValueError, match="leave one"):
        Relay("http://localhost", ["/a/*", "/a/b"], Notebook())
    with pytest.raises(InvalidChannelError):
        Relay("http://localhost", ["a"], Notebook())


async def test_a_source_may_send_all_that_it_kept_in_one_payload() -> None:
    notebook = Notebook()
    async with BayeuxServer(salesforce=True) as server:
        for number in range(20):
            await server.publish(CHANNEL, {"n": number, "pad": "x" * 1_000_000})
        async with relaying(server, notebook) as relay:
            await until(lambda: relay.counts.written == 20)
    assert numbers(notebook) == list(range(20))
