"""What a container of `examples/relay` would run, run without one: two relays beside NATS."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import AsyncExitStack
from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from rx_cometd.relay import Relay
from rx_cometd.testing import BayeuxServer
from tests.children import child
from tests.integration.cli.commands import ENVIRONMENT, ROOT
from tests.integration.relay.brokers import Nats
from tests.integration.stores.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = ROOT / "examples" / "relay"
CONFIG = tomllib.loads((EXAMPLE / "relays.toml").read_text("utf-8"))
COMPOSE: Any = import_module("yaml").safe_load((EXAMPLE / "compose.yaml").read_text("utf-8"))
RELAY: Any = COMPOSE["services"]["relay"]
DOCKERFILE = (EXAMPLE / "Dockerfile").read_text("utf-8")
ENTRY: list[str] = json.loads(re.findall(r"(?m)^ENTRYPOINT (.*)$", DOCKERFILE)[0])
ARGUMENTS: list[str] = json.loads(re.findall(r"(?m)^CMD (.*)$", DOCKERFILE)[0])


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Nats]:
    with Nats(tmp_path) as running:
        yield running


def test_the_parts_know_each_other() -> None:
    to = URL(CONFIG["to"])
    assert to.host in COMPOSE["services"]
    assert to.host in RELAY["depends_on"]
    assert to.port == 4222  # NATS's own, which `command` leaves as it is
    copied = dict(re.findall(r"(?m)^COPY (\S+) (\S+)$", DOCKERFILE))
    assert ARGUMENTS[ARGUMENTS.index("--config") + 1] == copied["relays.toml"]
    asked = set(re.findall(r"\$\{(\w+)\}", json.dumps(CONFIG)))
    assert asked == set(RELAY["environment"])
    volumes = [volume.partition(":")[0] for volume in COMPOSE["services"]["nats"]["volumes"]]
    assert volumes == list(COMPOSE["volumes"])


def test_what_the_image_installs_is_there_to_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (name, extras), *_ = re.findall(r"'([\w-]+)\[(.*?)\]'", DOCKERFILE)
    assert name == project["name"]
    assert {"cli", URL(CONFIG["to"]).scheme} <= set(extras.split(","))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    assert ENTRY[0] in project["scripts"]


def test_what_is_pending_may_be_written_before_it_is_killed() -> None:
    drain: float = signature(Relay).parameters["drain"].default
    assert float(RELAY["stop_grace_period"].removesuffix("s")) > drain


@pytest.mark.timeout(240)
async def test_one_is_at_work_the_other_stands_by_and_sigterm_ends_both(
    broker: Nats, tmp_path: Path
) -> None:
    config = (EXAMPLE / "relays.toml").read_text("utf-8").replace(CONFIG["to"], broker.url)
    (tmp_path / "relays.toml").write_text(config, encoding="utf-8")
    channel = CONFIG["source"][0]["channels"][0]
    async with BayeuxServer(path="/cometd/62.0", salesforce=True) as server, AsyncExitStack() as s:
        ports = [free_port() for _ in range(RELAY["deploy"]["replicas"])]
        origin = str(URL(server.url).origin())
        relays = [await started(s, port, tmp_path / "relays.toml", origin) for port in ports]
        async with asyncio.timeout(90):
            await asyncio.gather(*(healthy(port) for port in ports))
        await server.until(lambda: server.subscribers(channel), 60)
        await server.publish(channel, {"n": 1})
        async with asyncio.timeout(60):
            while not await arrived(broker):  # noqa: ASYNC110 - the broker is asked
                await asyncio.sleep(0.1)
        for relay in relays:
            relay.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert [await relay.wait() for relay in relays] == [0, 0]


async def started(
    stack: AsyncExitStack, port: int, config: Path, origin: str
) -> asyncio.subprocess.Process:
    """Run what the image runs, but on this machine's own address and a free port."""
    changed = {"/etc/relays.toml": str(config), "0.0.0.0": "127.0.0.1", "8080": str(port)}
    assert changed.keys() <= set(ARGUMENTS)
    arguments = [changed.get(argument, argument) for argument in ARGUMENTS]
    relay = child(
        *(sys.executable, "-m", "rx_cometd", *ENTRY[1:], *arguments),
        cwd=ROOT,
        env={**ENVIRONMENT, "ORG": origin, "TOKEN": "good"},
        stderr=subprocess.DEVNULL,
    )
    return await stack.enter_async_context(relay)


async def healthy(port: int) -> None:
    """Ask what compose asks, until the answer is that all is well."""
    form, program, *arguments = RELAY["healthcheck"]["test"]
    assert (form, program) == ("CMD", "python")
    check = [argument.replace(":8080/", f":{port}/") for argument in arguments]
    assert check != arguments
    while True:
        async with child(sys.executable, *check, stderr=subprocess.DEVNULL) as asking:
            if await asking.wait() == 0:
                return
        await asyncio.sleep(0.1)


async def arrived(broker: Nats) -> bool:
    try:
        return bool(await broker.read("cometd.>"))
    except Exception:  # there is no stream yet
        return False
