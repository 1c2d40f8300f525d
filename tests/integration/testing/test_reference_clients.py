"""The reference clients of CometD and Faye at the embedded server: it is one that they accept."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.connection_types import ConnectionType
from rx_cometd.testing import BayeuxServer, ServerSession, ServiceRequest
from tests.children import child
from tests.servers import installed, requires

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncGenerator

SCRIPT = Path(__file__).with_name("reference_client.mjs")

pytestmark = requires("clients")

BOTH_TYPES = pytest.mark.parametrize("kind", ["websocket", "long-polling"])
BOTH_LIBRARIES = pytest.mark.parametrize("library", ["cometd", "faye"])


class ReferenceClient:
    """A running client, and what it tells."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []

    async def tells(self, key: str, count: int = 1) -> list[Any]:
        """Read on until it has told of something so many times; give all of these."""
        assert self.process.stdout is not None
        while len(found := [t[key] for t in self.told if key in t]) < count:
            line = await asyncio.wait_for(self.process.stdout.readline(), 60)
            assert line, f"the client ended after {self.told}"
            self.told.append(json.loads(line))
        return found


@asynccontextmanager
async def reference_client(
    server: BayeuxServer, library: str, kind: str, *extensions: str
) -> AsyncGenerator[ReferenceClient]:
    modules = str(installed("clients"))
    command = ("node", str(SCRIPT), modules, library, server.url, kind, *extensions)
    async with child(*command, stdout=PIPE) as process:
        yield ReferenceClient(process)


def at_rest(session: ServerSession) -> bool:
    assert session.acknowledgements is not None
    return bool(session.held) and not session.acknowledgements.unacknowledged


async def finish(server: BayeuxServer, client: ReferenceClient) -> None:
    await server.publish("/a/b", {"end": True})
    assert await client.tells("disconnected") == [True]
    assert await asyncio.wait_for(client.process.wait(), 60) == 0
    assert not server.sessions


@BOTH_TYPES
@BOTH_LIBRARIES
async def test_a_session_from_handshake_to_disconnect(library: str, kind: str) -> None:
    async with (
        BayeuxServer(timeout=5.0) as server,
        reference_client(server, library, kind) as client,
    ):
        assert await client.tells("published") == [True]
        for n in range(100):
            await server.publish("/a/b", {"n": n})
        events = await client.tells("event", 101)
        assert events == [{"own": True}, *({"n": n} for n in range(100))]
        # Faye's client begins over long-polling, and upgrades when it gets round to it.
        wanted = ConnectionType(kind)
        await server.until(lambda: any(used is wanted for used, _ in server.received), 60)
        await finish(server, client)


@BOTH_TYPES
@pytest.mark.parametrize("form", [True, "object"])
async def test_the_extensions_of_cometd(kind: str, form: Any) -> None:
    server = BayeuxServer(timeout=5.0, ack=form, require_cookie=True)
    extensions = ("Ack", "TimeSync", "TimeStamp", "Binary")
    async with server, reference_client(server, "cometd", kind, *extensions) as client:
        (ext,) = await client.tells("ext")
        assert ext["ack"] == (True if form is True else {"enabled": True, "batch": 0})
        assert ext["timesync"]["p"] == 0
        assert await client.tells("event", 2) == [{"own": True}, {"bytes": [0, 1, 254, 255, 7]}]
        # Acknowledged events come once, the others outlive their connection.
        await server.until(lambda: all(at_rest(s) for s in server.sessions.values()), 60)
        server.faults.drop_link()
        for n in range(10):
            await server.publish("/a/b", {"n": n})
        events = await client.tells("event", 12)
        assert events[2:] == [{"n": n} for n in range(10)]
        await finish(server, client)


@BOTH_TYPES
async def test_remote_calls(kind: str) -> None:
    async with (
        BayeuxServer(timeout=5.0) as server,
        reference_client(server, "cometd", kind) as client,
    ):

        @server.service("/service/echo")
        def echo(request: ServiceRequest) -> Any:
            return {"echo": request.data}

        await client.tells("published")
        await server.publish("/a/b", {"call": {"x": 1}})
        assert await client.tells("called") == [True]
        assert await client.tells("data") == [{"echo": {"x": 1}}]
        await finish(server, client)


@BOTH_TYPES
@BOTH_LIBRARIES
async def test_clients_come_back_after_a_restart(library: str, kind: str) -> None:
    async with (
        BayeuxServer(timeout=5.0) as server,
        reference_client(server, library, kind) as client,
    ):
        await client.tells("published")
        await server.restart()
        await server.until(lambda: server.subscribers("/a/b"), timeout=60)
        await server.publish("/a/b", {"back": True})
        events = await client.tells("event", 2)
        while {"back": True} not in events:
            events = await client.tells("event", len(events) + 1)
        await finish(server, client)
