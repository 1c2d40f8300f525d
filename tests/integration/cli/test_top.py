from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from rx_cometd import Client
from rx_cometd import operators as cometd_ops
from rx_cometd.cli.screen import TopScreen
from rx_cometd.cli.table import ChannelTable
from rx_cometd.cli.watched import WatchedClient
from tests.integration.cli.commands import COMMAND
from tests.integration.cli.terminal import at_terminal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rx_cometd.testing import BayeuxServer
    from tests.integration.cli.commands import Invocation


async def test_once_as_json(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    looking = asyncio.ensure_future(
        invoke("top", bayeux_server.url, "/a/**", "/b", "--once", "--json", "--interval", "2")
    )
    await bayeux_server.until(lambda: bayeux_server.subscribers("/b"))
    for number in range(5):
        await bayeux_server.publish("/a/x", number)
    await bayeux_server.publish("/b", 1)
    outcome = await looking
    assert (outcome.code, outcome.err) == (0, "")
    known = json.loads(outcome.out)
    assert known["url"] == bayeux_server.url
    assert known["connection"]["state"] == "connected"
    assert known["connection"]["transport"] == "websocket"
    assert known["connection"]["round_trip"] > 0
    first, second = known["channels"]
    assert (first["channel"], first["messages"]) == ("/a/x", 5)
    assert 0 < first["rate"] <= 2.5
    assert (second["channel"], second["messages"]) == ("/b", 1)
    assert (first["pending"], first["drops"]) == (0, 0)  # what comes is counted at once


async def test_once_as_text(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    looking = asyncio.ensure_future(invoke("top", bayeux_server.url, "--once", "--interval", "2"))
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
    await bayeux_server.publish("/a", 1)
    outcome = await looking
    assert outcome.code == 0
    head, row = (line.split() for line in outcome.out.splitlines()[-2:])
    told = dict(zip(head, row, strict=True))
    assert (told["channel"], told["pending"], told["drops"]) == ("/a", "0", "0")
    assert float(told["msg/s"]) > 0


@asynccontextmanager
async def metrics(text: str) -> AsyncGenerator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("X-Key") != "k":
            raise web.HTTPForbidden
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


async def test_the_metrics_of_a_relay(invoke: Invocation) -> None:
    text = (
        "# TYPE rx_cometd_relay_received_total counter\n"
        'rx_cometd_relay_received_total{channel="/a"} 30\n'
        'rx_cometd_relay_written_total{channel="/a"} 29\n'
        'rx_cometd_relay_pending{channel="/a"} 1\n'
        'rx_cometd_relay_channel_refused_total{channel="/a"} 2\n'
        'rx_cometd_relay_bytes_total{channel="/a"} 3000\n'
        "rx_cometd_relay_outages_total 4\n"
        "process_open_fds 9\n"
    )
    async with metrics(text) as url:
        outcome = await invoke(
            *("top", url, "--once", "--json", "--interval", "0.2", "--header", "X-Key: k")
        )
        refused = await invoke("top", url, "--once")
    assert refused.code == 3
    assert "403" in refused.err
    assert outcome.code == 0
    known = json.loads(outcome.out)
    assert known["connection"] == {"state": "answering", "relay_outages_total": 4}
    (channel,) = known["channels"]
    assert (channel["channel"], channel["messages"]) == ("/a", 30)
    assert (channel["pending"], channel["drops"]) == (1, 2)


async def test_the_figures_of_several_relays_are_added_up(invoke: Invocation) -> None:
    text = "".join(
        f'rx_cometd_relay_channel_events_total{{relay="{relay}",channel="/a"}} 30\n'
        f'rx_cometd_relay_channel_pending{{relay="{relay}",channel="/a"}} 2\n'
        for relay in ("one", "two")
    )
    async with metrics(text) as url:
        outcome = await invoke(
            *("top", url, "--once", "--json", "--interval", "0.2", "--header", "X-Key: k")
        )
    (channel,) = json.loads(outcome.out)["channels"]
    assert (channel["messages"], channel["pending"]) == (60, 4)
    assert (channel["drops"], channel["bytes_per_second"]) == (None, None)  # nobody tells


async def test_what_waits_in_buffers_is_told_by_the_name_they_were_made_under(
    bayeux_server: BayeuxServer,
) -> None:
    async with Client(bayeux_server.url) as client:
        watched = WatchedClient(client, bayeux_server.url)
        watched.observe(["/a", "/b/*"])
        slow: Any = cometd_ops.map_async(
            never, max_pending_count=2, overflow=cometd_ops.Overflow.DROP_OLDEST
        )
        with client.channel("/b/*").pipe(slow).subscribe():
            await bayeux_server.until(lambda: bayeux_server.subscribers("/b/x"))
            for number in range(5):
                await client.publish("/b/x", number)
            await watched.refresh()
            known = watched.activity.channels
            # One is worked on, two wait, two were dropped for them.
            assert (known["/b/*"].pending, known["/b/*"].drops) == (2, 2)
            assert (known["/b/x"].messages, known["/b/x"].pending) == (5, None)
        watched.dispose()


async def never(_: object) -> None:
    await asyncio.Event().wait()


async def test_a_screen_without_a_terminal(
    invoke: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as where the shell closed it
    outcome = await invoke("top", "http://127.0.0.1:1/cometd")
    assert outcome.code == 2
    assert "use --once" in outcome.err


async def test_credentials_in_an_address_are_not_shown(invoke: Invocation) -> None:
    for path in ("metrics", "cometd"):
        url = f"http://user:secret@127.0.0.1:1/{path}?key=secret"
        outcome = await invoke("top", url, "--once", "--timeout", "0.2")
        assert outcome.code == 3
        assert "secret" not in outcome.err


async def test_metrics_that_are_not_there(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    url = bayeux_server.url.replace("/cometd", "/metrics")
    outcome = await invoke("top", url, "--once")
    assert outcome.code == 3
    assert outcome.err.startswith(f"rx-cometd: network: no metrics from {url}: 404")
    assert len(outcome.err.splitlines()) == 1


async def test_an_address_that_is_none(invoke: Invocation) -> None:
    for url in ("nonsense", "http://[", "/metrics"):
        outcome = await invoke("top", url, "--once")
        assert outcome.code == 2
        assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "use --once"),  # this is no terminal
        (["--json"], "--json goes with --once"),
        (["news", "--once"], "invalid channel 'news'"),
        (["--once", "--interval", "0"], "--interval"),
    ],
)
async def test_wrong_usage(arguments: list[str], text: str, invoke: Invocation) -> None:
    outcome = await invoke("top", "http://127.0.0.1:1/cometd", *arguments)
    assert outcome.code == 2
    assert text in outcome.err


async def test_refused_channels_are_logged_and_the_others_go_on(
    bayeux_server: BayeuxServer,
) -> None:
    bayeux_server.faults.refuse_subscribe("/secret")
    async with Client(bayeux_server.url) as client:
        watched = WatchedClient(client, bayeux_server.url)
        watched.observe_link()
        watched.observe(["/secret", "/a"])
        app = TopScreen(watched, 0.1)
        async with app.run_test(size=(100, 24)) as pilot:
            await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
            await bayeux_server.publish("/a", 1)
            while "/a" not in app.query_one(ChannelTable).render_line(1).text:
                await pilot.pause(0.02)
            assert any(line.split()[1] == "/secret:" for line in watched.log)
            await watched.publish("/b", 1)
            assert watched.log[-1].endswith("published on /b")
        watched.dispose()


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("how", ["q", "\x03", signal.SIGTERM])
async def test_it_leaves_the_terminal_as_it_was(
    how: str | signal.Signals, bayeux_server: BayeuxServer
) -> None:
    async with at_terminal(*COMMAND, "top", bayeux_server.url, "/a") as terminal:
        await bayeux_server.until(lambda: bayeux_server.subscribers("/a"), timeout=60)
        await terminal.until("Quit")  # the keys are told: it heeds them
        if isinstance(how, str):
            terminal.type(how)
        else:
            terminal.process.send_signal(how)
        assert await terminal.end() == 0
        assert b"\x1b[?1049l" in terminal.shown  # the screen that was before
        assert b"Traceback" not in terminal.shown
        assert terminal.attributes() == terminal.before
    await bayeux_server.until(lambda: not bayeux_server.sessions)
