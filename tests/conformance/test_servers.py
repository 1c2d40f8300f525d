"""The real servers of the tests: they start, obey, die and come back."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.servers import (
    ControlError,
    FayeServer,
    Java9Server,
    JavaServer,
    NodeServer,
    ServerProcess,
    StartError,
    available,
    installed,
    requires,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from tests.servers import Kind

Message = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A server, and how to give it a short hold of connects."""

    kind: Kind
    server: type[ServerProcess]
    options: Mapping[str, int | float]

    def make(self, **options: str | float) -> ServerProcess:
        return self.server(**{**self.options, **options})


JAVA: Final = Case("java", JavaServer, {"timeout": 4000, "maxInterval": 4000})
JAVA9: Final = Case("java9", Java9Server, {"timeout": 4000, "maxInterval": 4000})
NODE: Final = Case("node", NodeServer, {"timeout": 4000, "maxInterval": 4000})
FAYE: Final = Case("faye", FayeServer, {"timeout": 4})


def cases(*chosen: Case) -> pytest.MarkDecorator:
    parameters = [pytest.param(case, id=case.kind, marks=requires(case.kind)) for case in chosen]
    return pytest.mark.parametrize("case", parameters)


every_server = cases(JAVA, JAVA9, NODE, FAYE)
websocket_servers = cases(JAVA, JAVA9, FAYE)
cometd_servers = cases(JAVA, JAVA9, NODE)
java_server = cases(JAVA, JAVA9)


class Wire:
    """Raw Bayeux over HTTP: one payload out, one back."""

    def __init__(self, session: aiohttp.ClientSession, server: ServerProcess) -> None:
        self._session = session
        self._server = server
        self.client_id = ""

    async def send(self, *messages: Message) -> list[Message]:
        identity = {"clientId": self.client_id} if self.client_id else {}
        payload = [{"id": str(n), **identity, **m} for n, m in enumerate(messages)]
        body = io.BytesIO(json.dumps(payload).encode())  # aiohttp warns of large bodies as bytes
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._server.url, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            return list(await response.json(content_type=None))

    async def handshake(self, **fields: Any) -> Message:
        self.client_id = ""
        types = ["websocket", "long-polling"]
        fields = {"version": "1.0", "supportedConnectionTypes": types, **fields}
        (reply,) = await self.send({"channel": "/meta/handshake", **fields})
        self.client_id = reply.get("clientId", "")
        return reply

    async def connect(self, **fields: Any) -> list[Message]:
        connect = {"channel": "/meta/connect", "connectionType": "long-polling"}
        return await self.send({**connect, **fields})

    async def connect_now(self) -> Message:
        return (await self.connect(advice={"timeout": 0}))[-1]

    async def subscribe(self, *channels: str) -> list[Message]:
        return await self.send(
            *({"channel": "/meta/subscribe", "subscription": channel} for channel in channels)
        )

    async def numbers(self, count: int) -> list[int]:
        """Connect until so many numbered messages arrived."""
        found: list[int] = []
        while len(found) < count:
            found += [m["data"]["n"] for m in await self.connect() if "data" in m]
        return found


@pytest.fixture(scope="module")
def servers() -> Generator[dict[Kind, ServerProcess]]:
    """One of each for all tests that leave it running and granting everything."""
    servers: dict[Kind, ServerProcess] = {}
    yield servers
    for server in servers.values():
        asyncio.run(server.stop())


@pytest_asyncio.fixture
async def server(case: Case, servers: dict[Kind, ServerProcess]) -> ServerProcess:
    if case.kind not in servers:
        server = case.make()
        await server.start()
        servers[case.kind] = server
    await servers[case.kind].control("reset_counters")
    return servers[case.kind]


@pytest_asyncio.fixture
async def wire(server: ServerProcess) -> AsyncGenerator[Wire]:
    jar = aiohttp.CookieJar(unsafe=True)  # a jar for names only would lose what 127.0.0.1 sets
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Wire(session, server)


@every_server
async def test_handshakes_over_http(server: ServerProcess, wire: Wire) -> None:
    reply = await wire.handshake()
    assert reply["successful"] is True
    assert set(server.connection_types) <= set(reply["supportedConnectionTypes"])
    assert reply["advice"]["timeout"] == 4000
    assert wire.client_id in await server.sessions()
    assert (await wire.connect_now())["successful"] is True


@websocket_servers
async def test_handshakes_over_a_websocket(server: ServerProcess) -> None:
    handshake = {
        "id": "1",
        "channel": "/meta/handshake",
        "version": "1.0",
        "supportedConnectionTypes": ["websocket"],
    }
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(server.url) as socket,
    ):
        await socket.send_str(json.dumps([handshake]))
        (reply,) = await socket.receive_json(timeout=10)
    assert reply["successful"] is True
    assert reply["clientId"] in await server.sessions()


@every_server
async def test_publishes(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    await wire.subscribe("/own")
    assert await server.subscribers("/own") == [wire.client_id]
    assert await server.subscribers("/none") == []
    assert await server.control("publish", channel="/own", count=50, first=7) == 50
    assert await wire.numbers(50) == list(range(7, 57))


@every_server
async def test_publishes_one_of_a_size(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    await wire.subscribe("/a")
    await server.control("publish", channel="/a", count=1, size=1_300_000)
    (message,) = [m for m in await wire.connect() if m["channel"] == "/a"]
    assert len(json.dumps(message["data"], separators=(",", ":"))) == 1_300_000


@every_server
async def test_takes_large_payloads(wire: Wire) -> None:
    await wire.handshake()
    message = {"channel": "/a", "data": "x" * 1_300_000}
    (reply,) = [m for m in await wire.send(message) if "successful" in m]
    assert reply["successful"] is True


@every_server
async def test_counts_what_arrives(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    await wire.subscribe("/a", "/b", "/c")
    await wire.subscribe("/d")
    await wire.send({"channel": "/a", "data": 1})
    await wire.send({"channel": "/meta/unsubscribe", "subscription": "/d"})
    await wire.send({"channel": "/meta/disconnect"})
    assert await server.counters() == {
        "payloads": 7,
        "messages": 9,
        "handshakes": 1,
        "connects": 1,
        "disconnects": 1,
        "publishes": 1,
        "subscribes": 4,
        "unsubscribes": 1,
        "subscribed_channels": 4,
        "subscribe_payloads": 2,
        "largest_subscribe_payload": 3,
    }
    await server.control("reset_counters")
    assert not any((await server.counters()).values())


@every_server
async def test_denies_and_allows(server: ServerProcess, wire: Wire) -> None:
    await server.control("deny", operation="handshake")
    assert (await wire.handshake())["successful"] is False
    await server.control("allow", operation="handshake")
    assert (await wire.handshake())["successful"] is True
    await wire.connect_now()

    await server.control("deny", operation="subscribe", channel="/a")
    denied, granted = await wire.subscribe("/a", "/b")
    assert (denied["successful"], granted["successful"]) == (False, True)
    await server.control("allow", operation="subscribe", channel="/a")
    assert (await wire.subscribe("/a"))[0]["successful"] is True

    await server.control("deny", operation="publish")
    assert (await wire.send({"channel": "/c", "data": 1}))[0]["successful"] is False
    await server.control("allow", operation="publish")
    assert (await wire.send({"channel": "/c", "data": 1}))[0]["successful"] is True
    with pytest.raises(ControlError, match="cannot deny laughter"):
        await server.control("deny", operation="laughter")


@java_server
async def test_advises_whom_it_denies(server: ServerProcess, wire: Wire) -> None:
    advice = {"reconnect": "retry", "interval": 7}
    await server.control("deny", operation="handshake", advice=advice)
    assert (await wire.handshake())["advice"] == advice
    await server.control("allow", operation="handshake")


@every_server
async def test_forgets(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    connect = asyncio.create_task(wire.connect())
    await until_counted(server, "connects", 2)
    await server.control("forget", client_id=wire.client_id)
    await asyncio.wait_for(connect, 3.5)  # not held any longer
    assert wire.client_id not in await server.sessions()
    reply = await wire.connect_now()
    assert reply["successful"] is False
    assert reply["error"].startswith(f"{server.capabilities.unknown_client}:")
    assert reply["advice"]["reconnect"] == "handshake"


@every_server
async def test_forgets_nobody_that_it_does_not_know(server: ServerProcess) -> None:
    with pytest.raises(ControlError, match="no session bogus"):
        await server.control("forget", client_id="bogus")


@cometd_servers
async def test_delivers_to_one_session(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    await server.control("deliver", client_id=wire.client_id, channel="/service/x", data=[0])
    message = (await wire.connect())[0]
    assert (message["channel"], message["data"]) == ("/service/x", [0])


@cometd_servers
async def test_disconnects(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    connect = asyncio.create_task(wire.connect())
    await until_counted(server, "connects", 2)
    await server.control("disconnect", client_id=wire.client_id)
    disconnect, _ = await connect
    assert disconnect == {"channel": "/meta/disconnect", "successful": True}


@cases(FAYE)
async def test_faye_refuses_what_it_cannot(server: ServerProcess) -> None:
    for command in ("deliver", "disconnect", "greet"):
        with pytest.raises(ControlError, match=f"unknown command {command}"):
            await server.control(command, client_id="x")


@cometd_servers
async def test_echoes(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    messages = await wire.send({"channel": "/service/echo", "data": {"x": [1]}})
    (echo,) = [m for m in messages if "data" in m]
    assert echo["data"] == {"x": [1]}
    assert ("id" in echo) is server.capabilities.remote_call


@java_server
async def test_refuses_a_remote_call(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    messages = await wire.send({"channel": "/service/refuse", "data": "why"})
    (refusal,) = [m for m in messages if "data" in m]
    assert (refusal["id"], refusal["successful"], refusal["data"]) == ("0", False, "why")


@cometd_servers
async def test_acknowledges(server: ServerProcess, wire: Wire) -> None:
    assert (await wire.handshake(ext={"ack": True}))["ext"]["ack"] is True
    connect = {"ext": {"ack": 0}, "advice": {"timeout": 0}}
    assert (await wire.connect(**connect))[-1]["ext"]["ack"] == 1
    await wire.subscribe("/a")
    await server.control("publish", channel="/a", count=2)
    for _ in range(2):  # what is not acknowledged comes again
        messages = await wire.connect(**connect)
        assert [m["data"]["n"] for m in messages if "data" in m] == [0, 1]


@java_server
async def test_speaks_binary(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    await wire.subscribe("/a")
    content = base64.b64encode(bytes.fromhex("864FD26FB559F75B")).decode()
    await server.control("publish", channel="/a", binary=content)
    message = (await wire.connect())[0]
    assert message["ext"]["binary"] == {}
    assert message["data"] == {"data": "HelloWorld", "last": True}


@cases(JAVA, NODE)
async def test_binds_sessions_to_cookies(server: ServerProcess, wire: Wire) -> None:
    assert server.capabilities.cookies
    await wire.handshake()
    async with aiohttp.ClientSession() as session:
        stranger = Wire(session, server)
        stranger.client_id = wire.client_id
        assert (await stranger.connect_now())["error"] == "402::session_unknown"
    assert (await wire.connect_now())["successful"] is True


@every_server
async def test_passes_options_on(case: Case) -> None:
    timeout = 700 if case.server.capabilities.milliseconds else 0.7
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        case.make(timeout=timeout) as server,
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        assert (await Wire(session, server).handshake())["advice"]["timeout"] == 700


@java_server
async def test_chooses_transports(case: Case) -> None:
    async with (
        case.make(transports="long-polling") as server,
        aiohttp.ClientSession() as session,
    ):
        assert server.connection_types == ("long-polling",)
        reply = await Wire(session, server).handshake()
        assert reply["supportedConnectionTypes"] == ["long-polling"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(server.url)


@every_server
async def test_drops_connections_and_keeps_sessions(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    await wire.connect_now()
    connect = asyncio.create_task(wire.connect())
    await until_counted(server, "connects", 2)
    assert await server.control("drop") >= 1
    with pytest.raises(aiohttp.ClientError):
        await connect
    assert wire.client_id in await server.sessions()
    assert (await wire.connect_now())["successful"] is True


@every_server
async def test_comes_back_on_its_port(server: ServerProcess, wire: Wire) -> None:
    await wire.handshake()
    port, before = server.port, server.pid
    await server.kill()
    with pytest.raises(aiohttp.ClientConnectionError):
        await wire.handshake()
    await server.restart()
    assert server.port == port
    assert not alive(before)
    assert await server.sessions() == []
    assert (await wire.handshake())["successful"] is True


@pytest.mark.skipif(sys.platform != "linux", reason="no other system keeps the port")
@every_server
async def test_nobody_takes_its_ports_meanwhile(server: ServerProcess) -> None:
    """Somebody who got the port of a server that was killed made a restart fail."""
    words = server.command_line()
    ports = [
        int(word.partition("=")[2]) for word in words if word.startswith(("port=", "control="))
    ]
    assert server.port in ports
    await server.kill()
    for port in ports:
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
    await server.restart()
    assert await server.control("ping") is True


@every_server
async def test_is_silent_while_paused(server: ServerProcess, wire: Wire) -> None:
    server.pause()
    assert state(server.pid) == "T"
    handshake = asyncio.create_task(wire.handshake())
    done, _ = await asyncio.wait({handshake}, timeout=0.5)
    assert not done
    server.unpause()
    assert (await handshake)["successful"] is True


@every_server
async def test_is_gone_afterwards(case: Case) -> None:
    async with case.make() as server:
        child = server.pid
        server.pause()
    assert not alive(child)
    with pytest.raises(RuntimeError, match="not running"):
        server.pause()


@every_server
async def test_says_why_it_does_not_start(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = case.make(port=taken.getsockname()[1])
        with pytest.raises(StartError, match=r"(?is)did not start\n.*address.* in use"):
            await server.start()
        await server.stop()


ORPHANS: Final = """
import asyncio, os, signal, sys
from tests import servers

async def main():
    server = getattr(servers, sys.argv[1])()
    await server.start()
    if sys.argv[2] == "paused":
        server.pause()
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@every_server
@pytest.mark.parametrize("condition", ["running", "paused"])
async def test_dies_with_the_test_process(case: Case, condition: str) -> None:
    root = Path(__file__).parents[2]
    command = (sys.executable, "-c", ORPHANS, case.server.__name__, condition)
    parent = await asyncio.to_thread(
        subprocess.run, command, stdout=subprocess.PIPE, cwd=root, check=False
    )
    child = int(parent.stdout)
    async with asyncio.timeout(30):
        while alive(child):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


@every_server
async def test_is_told_unknown_commands(server: ServerProcess) -> None:
    with pytest.raises(ControlError, match="unknown command dance"):
        await server.control("dance")
    assert await server.control("ping") is True


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Path]:
    """An empty cache and, as the fixture's value, the empty only folder of the PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("RX_COMETD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("CI", raising=False)
    for function in (installed, available):
        function.cache_clear()
    yield tools
    for function in (installed, available):
        function.cache_clear()


def test_a_missing_tool_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, nothing_installed: Path
) -> None:
    assert available("java") == "no java on this machine"
    assert requires("java").kwargs == {"reason": "java: no java on this machine"}
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no java"):
        requires("java")


def test_a_failed_build_is_a_reason(nothing_installed: Path, tmp_path: Path) -> None:
    for name in ("node", "npm"):
        tool = nothing_installed / name
        tool.write_text("#!/bin/sh\necho no network; exit 1\n")
        tool.chmod(0o755)
    reason = available("faye")
    assert reason is not None
    assert reason.endswith("failed: no network")
    left = [path.name for path in (tmp_path / "cache" / "servers").iterdir()]
    assert left == ["faye.lock"]


async def until_counted(server: ServerProcess, name: str, count: int) -> None:
    """Wait for messages to have arrived at the server."""
    async with asyncio.timeout(30):
        while dict(await server.counters())[name] != count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def state(pid: int) -> str | None:
    """The letter that `ps` shows for a process, such as T when stopped; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return None


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not reaped by its parent does not."""
    return state(pid) not in {None, "Z"}
