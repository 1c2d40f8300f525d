"""The machine's clock is set back, or forth, while a client is open: nothing waits by it."""

from __future__ import annotations

import ast
import asyncio
import time
from pathlib import Path

import pytest

import rx_cometd
from rx_cometd import ClientState, ConnectionType, TransportTimeoutError
from rx_cometd import operators as cometd_ops
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, held, subscribed

pytestmark = pytest.mark.usefixtures("nothing_left")

PACKAGE = Path(rx_cometd.__file__).parent
#: Who reads the clock, and what for: to tell the time to somebody, never to wait.
READERS = {
    "_session/introspection.py": "when the server was last heard of",
    "_transports/retry_after.py": "a moment that a server names, by the same clock",
    "cli/market.py": "the time of a quote",
    "cli/quotes.py": "how old a quote is",
    "cli/rendering.py": "the time of a line",
    "cli/watched.py": "the time of a line, and how long ago something was heard",
    "extensions/open_telemetry.py": "the ages of events",
    "extensions/salesforce_auth.py": "when a signed assertion expires",
    "extensions/timestamp.py": "the time of a message",
    "extensions/timesync.py": "the clocks of both sides are what it is about",
    "relay/waiting.py": "when an event came, which is written with it",
    "testing/replay.py": "the time of an event",
    "testing/timesync.py": "the clocks of both sides are what it is about",
}


@BOTH
@pytest.mark.parametrize("jump", [-3600.0, 3600.0], ids=["back", "forth"])
async def test_deadlines_and_delays_go_on(
    kind: ConnectionType, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour off in the middle: late replies are found, the link is replaced, buffers drain."""
    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, kind, max_network_delay=0.6) as client,
    ):
        seen = Recorder(client.channel("/a").pipe(cometd_ops.buffer_bounded(10, 0.05)))
        changes = Recorder(client.state_changes)
        await subscribed(server, "/a")
        await held(server)
        session = client.client_id

        read = time.time
        monkeypatch.setattr(time, "time", lambda: read() + jump)
        began = time.monotonic()
        server.faults.delay_replies(2.0, "/b", count=1)
        with pytest.raises(TransportTimeoutError):
            await client.publish("/b", 1)
        await held(server)
        told = len(changes.items)
        server.faults.drop_link()
        await changes.until(lambda: len(changes.items) > told)
        await changes.until(lambda: changes.items[-1].state is ClientState.CONNECTED)
        assert client.client_id == session
        await server.publish("/a", 1)
        await seen.until(lambda: seen.items)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await seen.until(lambda: changes.items[-1].state is not ClientState.CONNECTED)
        assert time.monotonic() - began < 60


def test_who_reads_the_clock() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(map(_reads_the_clock, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    assert found == set(READERS)


def _reads_the_clock(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "time" and any(name.name == "time" for name in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node).split(".")[-2:] in (
        ["time", "time"],
        ["time", "time_ns"],
        ["datetime", "now"],
        ["datetime", "utcnow"],
    )
