from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING

import aiohttp
import pytest

from rx_cometd.testing import BayeuxServer
from tests.integration.cli.commands import line_from, spawned
from tests.integration.relay.brokers import Redis
from tests.integration.stores.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.cli.commands import Invocation

CHANNEL = "/event/Order__e"


async def test_it_relays_until_sigterm_and_tells_how_it_does() -> None:
    async with BayeuxServer(salesforce=True) as server:
        await server.publish(CHANNEL, {"n": 1})
        arguments = ("--to", "stdout:", "--since", "all", "--salesforce", "--port", "0")
        async with spawned("relay", server.url, CHANNEL, *arguments) as process:
            url = (await line_from(process.stderr, lambda line: line.startswith("http"))).strip()
            first = json.loads(await line_from(process.stdout, lambda line: "{" in line))
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                text = await response.text()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert first["subject"] == "cometd.event.Order__e"
    assert first["data"]["n"] == 1
    assert first["headers"]["cometd-channel"] == CHANNEL
    assert f'rx_cometd_relay_channel_events_total{{relay="relay",channel="{CHANNEL}"}} 1' in text


async def test_the_data_are_written_as_they_came() -> None:
    async with BayeuxServer(salesforce=True, json_dumps=as_it_is) as server:
        await server.publish(CHANNEL, {"payload": "AS IT IS"})
        arguments = ("--to", "stdout:", "--since", "all", "--salesforce")
        async with spawned("relay", server.url, CHANNEL, *arguments) as process:
            line = await line_from(process.stdout, lambda line: "{" in line)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert '"payload": {"z":1.10,  "a": 1e3}' in line


def as_it_is(message: object) -> str:
    return json.dumps(message).replace('"AS IT IS"', '{"z":1.10,  "a": 1e3}')


async def test_sources_from_a_file_and_logs_as_json(tmp_path: Path) -> None:
    async with BayeuxServer(salesforce=True) as server:
        await server.publish(CHANNEL, {"n": 1})
        path = tmp_path / "relays.toml"
        path.write_text(
            'to = "stdout:"\ninitial = "all"\ntemplate = "{channel}"\n'
            f'[[source]]\nname = "orders"\nurl = "{server.url}"\nchannels = ["{CHANNEL}"]\n'
        )
        async with spawned("relay", "--config", str(path), "--log", "json") as process:
            logged = json.loads(await line_from(process.stderr, lambda line: "at work" in line))
            first = json.loads(await line_from(process.stdout, lambda line: "{" in line))
            process.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(process.wait(), 60) == 0
    assert first["subject"] == "event.Order__e"
    assert logged["level"] == "info"
    assert logged["message"] == "orders: at work"
    assert (logged["event"], logged["relay"]) == ("relay_leading", "orders")


async def test_a_source_that_is_away_is_told_of() -> None:
    arguments = ("http://127.0.0.1:1/cometd", CHANNEL, "--to", "stdout:")
    async with spawned("relay", *arguments) as process:
        line = await line_from(process.stderr, lambda line: "cannot connect" in line)
        assert line.startswith("rx-cometd: 127.0.0.1:1 ")
        await line_from(process.stderr, lambda line: "relay: no link to the source: " in line)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "it needs URL, CHANNEL and --to"),
        (["http://localhost", "/a", "--to", "amqp://localhost"], "no broker is known for 'amqp'"),
        (["http://localhost", "/a", "/**", "--to", "stdout:"], "leave one of them out"),
        (["http://localhost", "/a", "--to", "stdout:", "--lease", "9"], "leave the lease out"),
        (["http://localhost", "/a", "--to", "stdout:", "--shard", "3/2"], "there is no shard 3/2"),
        (["http://localhost", "--config", os.devnull], "leave URL and CHANNEL out"),
        (["--config", os.devnull, "--shard", "1/2"], "leave --shard out"),
        (["http://localhost", "/a", "--to", "nats://a:b"], "a port is a number"),
        (["http://localhost", "/a", "--to", "stdout:", "--template", "{chanel}"], "placeholder"),
    ],
)
async def test_wrong_usage(invoke: Invocation, arguments: list[str], told: str) -> None:
    outcome = await invoke("relay", *arguments)
    assert outcome.code == 2
    assert told in outcome.err


@pytest.mark.timeout(240)
async def test_a_demo_ends_by_itself_and_loses_nothing(invoke: Invocation) -> None:
    outcome = await invoke("relay", "--demo", "--seconds", "3")
    assert outcome.code == 0, outcome.err
    assert "the broker is killed" in outcome.out
    assert outcome.out.endswith("done: 600 events, none lost\n")


async def test_who_asks_again_waits_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relays.toml"
    with Redis(tmp_path) as broker:
        async with BayeuxServer(salesforce=True) as server:
            path.write_text(
                f'to = "{broker.url}"\ndrain = 600\n'
                f'[[source]]\nname = "orders"\nurl = "{server.url}"\nchannels = ["{CHANNEL}"]\n'
            )
            async with spawned("relay", "--config", str(path), "--log", "json") as process:
                await server.until(lambda: server.subscribers(CHANNEL), 60)
                broker.kill()
                await server.publish(CHANNEL, {"n": 1})
                await line_from(process.stderr, lambda line: '"broker_away"' in line)
                process.send_signal(signal.SIGTERM)
                # It has said goodbye to the source; what is pending cannot be written.
                await server.until(lambda: not server.subscribers(CHANNEL), 60)
                assert process.returncode is None
                process.send_signal(signal.SIGINT)
                assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_broker_that_is_not_there_is_told_in_one_line() -> None:
    url = f"kafka://127.0.0.1:{free_port()}"
    async with spawned("relay", "http://localhost", CHANNEL, "--to", url) as process:
        assert process.stderr is not None
        line = await line_from(process.stderr, lambda line: "the broker is away" in line)
        process.send_signal(signal.SIGTERM)
        rest = (await process.stderr.read()).decode()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert line.startswith("rx-cometd: the broker is away: Kafka: ")
    assert rest == ""  # aiokafka's own lines, one for each attempt, are not wanted
