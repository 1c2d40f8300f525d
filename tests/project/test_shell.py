"""The commands on the pages: each runs in a shell as it stands there, but for the addresses."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from nats.js.errors import NotFoundError
from yarl import URL

from rx_cometd.testing import BayeuxServer
from tests.integration.relay.brokers import Nats
from tests.integration.stores.servers import free_port
from tests.project.docs import PAGES, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping
    from pathlib import Path

#: Each starts two programs or three, which a busy machine may take its time for.
pytestmark = pytest.mark.timeout(240)

#: A line of an indented block that has the command in it, and those that go on with it.
_COMMAND = re.compile(r"^    ((?:.*\W)?rx-cometd .*(?:(?<=\\)\n.*)*)$", re.MULTILINE)
LOCAL = "http://127.0.0.1:8080/cometd"

#: What a command prints, of those that end by themselves.
PRINTS = {
    f"rx-cometd listen {LOCAL} '/stock/**' --count 10": r'(\{.*"channel": ?"/stock/.*\}\n){10}',
    f'rx-cometd publish {LOCAL} /news \'{{"text": "hi"}}\'': r'.*"successful": ?true.*\n',
    f"rx-cometd call {LOCAL} /service/echo '{{\"a\": 1}}' --data": r'\{"a": ?1\}\n',
    f"seq 100 | rx-cometd publish {LOCAL} /numbers - --rate 10 --quiet": "",
    f"rx-cometd top {LOCAL} --once --json | jq '.channels[0]'": (
        r'\{\n  "channel": "/stock/[^}]*\}\n'
    ),
}
LISTEN = f"rx-cometd listen {LOCAL} '/stock/**' --format '{{data.symbol}}\\t{{data.price:>9.2f}}'"
SALESFORCE = (
    "rx-cometd listen https://example.my.salesforce.com/cometd/61.0 /event/Order__e --salesforce "
    '--since all --auth "cmd:sf org display --json | jq -r .result.accessToken"'
)
RELAY = "rx-cometd relay https://example.com/cometd /news --to nats://localhost"
RELAYS = "rx-cometd relay --config relays.toml --port 8080 --log json"
#: Those that other tests run: they play for long, fill a terminal, or are a shell's own matter.
ELSEWHERE = {
    "pip install '.[cli]' && rx-cometd demo": "integration/cli/test_demo.py",
    "rx-cometd serve --ticker": "project/test_shell.py",
    f"rx-cometd top {LOCAL} '/stock/**'": "integration/cli/test_top.py",
    "rx-cometd relay --demo": "integration/cli/test_relay.py",
    'eval "$(rx-cometd completion bash)"': "integration/cli/test_main.py",
    'eval "$(rx-cometd completion zsh)"': "integration/cli/test_main.py",
    "rx-cometd completion fish | source": "integration/cli/test_main.py",
}


def commands_of(text: str) -> set[str]:
    """Give the commands in a page, each on one line and without its comment."""
    joined = (re.sub(r"\\\n *", "", found) for found in _COMMAND.findall(text))
    return {re.split(r" {3,}#", command)[0] for command in joined}


def test_every_command_is_run() -> None:
    found = set[str]().union(*(commands_of(page.read_text("utf-8")) for page in PAGES))
    assert found == {*PRINTS, *ELSEWHERE, LISTEN, SALESFORCE, RELAY, RELAYS}
    assert all((ROOT / "tests" / path).exists() for path in ELSEWHERE.values())


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with the programs of the pages: ours, and one that gives a token."""
    ours = f'#!/bin/sh\nexec {sys.executable} -m rx_cometd "$@"\n'
    gives_a_token = '#!/bin/sh\necho \'{"result": {"accessToken": "good"}}\'\n'
    for name, script in {"rx-cometd": ours, "sf": gives_a_token}.items():
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@asynccontextmanager
async def shell(
    command: str, programs: Path, env: Mapping[str, str] | None = None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a command in bash; all that it started ends with the block."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", command),
        cwd=programs,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    if not line and process.stderr is not None:
        pytest.fail((await process.stderr.read()).decode())
    return line.decode()


async def output_of(command: str, programs: Path) -> str:
    async with shell(command, programs) as process:
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
    return out.decode()


@pytest_asyncio.fixture
async def ticker(programs: Path) -> AsyncGenerator[str]:
    """The server that the examples are pasted behind, and its address."""
    async with shell("rx-cometd serve --ticker --port 0", programs) as process:
        yield (await line_of(process)).strip()


@pytest.mark.parametrize("command", PRINTS)
async def test_it_prints_what_it_should(command: str, ticker: str, programs: Path) -> None:
    if "jq" in command and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    faster = command.replace("--rate 10 ", "--rate 500 ").replace(LOCAL, ticker)
    async with asyncio.timeout(120):
        out = await output_of(faster, programs)
        while out == "null\n":  # `top --once` saw no quote within its second
            out = await output_of(faster, programs)
    assert re.fullmatch(PRINTS[command], out), out


async def test_a_template(ticker: str, programs: Path) -> None:
    async with shell(LISTEN.replace(LOCAL, ticker), programs) as process:
        assert re.fullmatch(r"[A-Z]{4}\t +\d+\.\d\d\n", await line_of(process))


async def test_salesforce_with_a_token_from_a_command(programs: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    async with BayeuxServer(path="/cometd/61.0", salesforce=True) as server:
        await server.publish("/event/Order__e", {"Number__c": "O-1"})
        host = str(URL(server.url).origin())
        command = SALESFORCE.replace("https://example.my.salesforce.com", host)
        async with shell(command, programs) as process:
            assert '"Number__c": "O-1"' in await line_of(process)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats")) as running:
        yield running


async def written(broker: Nats, subject: str) -> bytes:
    """Wait for a relay to write a record."""
    async with asyncio.timeout(60):
        while True:
            with suppress(NotFoundError):  # the relay has not made the stream yet
                for record in await broker.read(subject):
                    return record.value
            await asyncio.sleep(0.05)


async def test_a_relay(broker: Nats, programs: Path) -> None:
    async with BayeuxServer() as server:
        command = RELAY.replace("https://example.com/cometd", server.url)
        async with shell(command.replace("nats://localhost", broker.url), programs):
            await server.until(lambda: server.subscribers("/news"), 60)
            await server.publish("/news", "it rains")
            assert await written(broker, "cometd.news") == b'"it rains"'


async def test_relays_from_the_file_of_the_example(broker: Nats, programs: Path) -> None:
    example = (ROOT / "examples" / "relay" / "relays.toml").read_text("utf-8")
    assert "nats://nats:4222" in example
    changed = example.replace("nats://nats:4222", broker.url)
    (programs / "relays.toml").write_text(changed, encoding="utf-8")
    async with BayeuxServer(path="/cometd/62.0", salesforce=True) as server:
        env = {"ORG": str(URL(server.url).origin()), "TOKEN": "good"}
        command = RELAYS.replace("8080", str(free_port()))
        async with shell(command, programs, env):
            await server.until(lambda: server.subscribers("/event/Order__e"), 60)
            await server.publish("/event/Order__e", {"Number__c": "O-2"})
            assert b"O-2" in await written(broker, "cometd.event.Order__e")
