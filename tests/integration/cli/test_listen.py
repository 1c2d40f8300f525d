from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from rx_cometd.testing import BayeuxServer, BearerAuthentication
from tests.integration.cli.commands import Invocation, Outcome, line_from, spawned

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable
    from pathlib import Path


async def listened(
    server: BayeuxServer, listening: Awaitable[Outcome], channels: dict[str, list[Any]]
) -> Outcome:
    """Publish once all the channels are subscribed to, while a command listens."""
    task = asyncio.ensure_future(listening)
    await server.until(lambda: all(server.subscribers(channel) for channel in channels))
    for channel, items in channels.items():
        for data in items:
            await server.publish(channel, data)
    return await task


def lines_of(outcome: Outcome) -> list[Any]:
    return [json.loads(line) for line in outcome.out.splitlines()]


@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
async def test_messages_are_json_lines(
    transport: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = invoke("listen", bayeux_server.url, "/a/**", "-n", "2", "--transport", transport)
    outcome = await listened(bayeux_server, listening, {"/a/b": [{"x": "ü"}, None]})
    assert outcome.code == 0
    assert lines_of(outcome) == [
        {"channel": "/a/b", "data": {"x": "ü"}},
        {"channel": "/a/b", "data": None},
    ]
    assert "ü" in outcome.out
    assert f"connected over {transport}, session " in outcome.err


async def test_data_only(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    listening = invoke("listen", bayeux_server.url, "/a", "--data", "--count", "3")
    outcome = await listened(bayeux_server, listening, {"/a": [0, "", {"b": []}]})
    assert lines_of(outcome) == [0, "", {"b": []}]


async def test_a_message_that_matches_twice_is_printed_once(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = invoke("listen", bayeux_server.url, "/a/*", "/a/b", "/c", "--data", "-n", "2")
    outcome = await listened(bayeux_server, listening, {"/a/b": [1], "/c": [2]})
    assert lines_of(outcome) == [1, 2]


async def test_bursts_are_written_in_order(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    listening = invoke("listen", bayeux_server.url, "/a", "--data", "-n", "2000")
    outcome = await listened(bayeux_server, listening, {"/a": list(range(2100))})
    assert lines_of(outcome) == list(range(2000))


async def test_headers_and_ext_are_sent(invoke: Invocation) -> None:
    async with BayeuxServer(authentication=BearerAuthentication("t0ken")) as server:
        header = "Authorization:  Bearer t0ken"
        listening = invoke(
            *("listen", server.url, "/a", "-n", "1", "--header", header, "--ack"),
            *("--ext", '{"color": "red"}'),
        )
        outcome = await listened(server, listening, {"/a": [1]})
        assert outcome.code == 0
        handshake = server.received[0][1][0]
        assert handshake["ext"] == {"color": "red", "ack": True}


async def test_wrong_credentials_are_told(invoke: Invocation) -> None:
    async with BayeuxServer(authentication=BearerAuthentication("t0ken")) as server:
        outcome = await invoke("listen", server.url, "/a", "--header", "Authorization: Bearer no")
    assert outcome.code in {1, 3}
    assert "rx-cometd: " in outcome.err
    assert "Bearer no" not in outcome.err


async def test_a_refused_subscription_ends_it(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    bayeux_server.faults.refuse_subscribe("/secret")
    outcome = await invoke("listen", bayeux_server.url, "/a", "/secret")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1].startswith("rx-cometd: refused: ")
    assert "403" in outcome.err


async def test_a_path_that_is_none_of_the_servers(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("listen", bayeux_server.url.replace("/cometd", "/nope"), "/a")
    assert outcome.code == 3
    last = outcome.err.splitlines()[-1]
    assert last.startswith("rx-cometd: network: ")
    assert "HTTP 404" in last
    assert "path" in last  # what to look at


async def test_a_link_that_is_sought_for_ever_is_told_of_once(invoke: Invocation) -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/cometd"
        outcome = await invoke("listen", url, "/a", "--timeout", "2.5")
    assert outcome.code == 3
    first, last = outcome.err.splitlines()
    cause = first.removeprefix("seeking a new session: ")
    assert cause.lower().startswith("cannot connect to")
    assert last.startswith(f"rx-cometd: network: no link for 2.5 s; last: {cause}")


async def test_an_outage_longer_than_the_timeout_is_survived(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = asyncio.ensure_future(
        invoke("listen", bayeux_server.url, "/a", "--data", "-n", "1", "--timeout", "1.5")
    )
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
    bayeux_server.faults.respond_with(503, count=3)
    bayeux_server.faults.drop_link()
    await asyncio.sleep(2.0)  # the outage: longer than the timeout
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"), timeout=60)
    while not listening.done():
        await bayeux_server.publish("/a", "later")
        await asyncio.sleep(0.1)
    assert (await listening).code == 0


async def test_no_reconnect(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    listening = asyncio.ensure_future(
        invoke("listen", bayeux_server.url, "/a", "--no-reconnect", "-q")
    )
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
    bayeux_server.faults.drop_link()
    outcome = await listening
    assert outcome.code == 3
    (line,) = outcome.err.splitlines()
    assert line.startswith("rx-cometd: network: the link was lost, and --no-reconnect was given")


MESSAGE = {"price": 1.5, "name": "ü", "legs": [{"x": 1}]}


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        (["--data"], '{"price": 1.5, "name": "ü", "legs": [{"x": 1}]}\n'),
        (["--field", "data.price"], "1.5\n"),
        (["--json-path", "$.data.legs[0].x", "--field", "data.name"], '1\t"ü"\n'),
        (["--field", "data.name", "--raw"], "ü\n"),
        (["--field", "data.none"], "null\n"),
        (["--format", r"{channel:<4}|{data.price:.2f}\t{data.name}"], "/a  |1.50\tü\n"),
        (["--field", "data.legs", "--pretty"], '[\n  {\n    "x": 1\n  }\n]\n'),
    ],
)
async def test_what_is_printed_is_chosen(
    options: list[str], printed: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = invoke("listen", bayeux_server.url, "/a", "-n", "1", *options)
    outcome = await listened(bayeux_server, listening, {"/a": [MESSAGE]})
    assert outcome.out == printed


async def test_timestamps(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    listening = invoke("listen", bayeux_server.url, "/a", "-n", "1", "--raw", "--timestamps")
    outcome = await listened(bayeux_server, listening, {"/a": ["text"]})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z text\n", outcome.out)


@pytest.mark.parametrize("kind", ["token", "file", "command", "environment"])
async def test_tokens(
    kind: str, invoke: Invocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\n", encoding="utf-8")
    source = {"token": "t0ken", "file": f"@{file}", "command": f"cmd:cat '{file}'"}.get(kind)
    monkeypatch.setenv("RX_COMETD_AUTH", "t0ken" if source is None else "other")
    auth = [] if source is None else ["--auth", source]
    async with BayeuxServer(authentication=BearerAuthentication("t0ken")) as server:
        listening = invoke("listen", server.url, "/a", "-n", "1", "--data", *auth)
        assert lines_of(await listened(server, listening, {"/a": [1]})) == [1]


async def test_a_file_without_a_token_is_wrong_usage(invoke: Invocation, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "empty"):
        (tmp_path / "empty").touch()
        outcome = await invoke("listen", "http://127.0.0.1:1/cometd", "/a", "--auth", f"@{path}")
        assert outcome.code == 2
        assert f"{path} holds no token" in outcome.err


async def test_a_command_that_prints_no_token(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("listen", bayeux_server.url, "/a", "--auth", "cmd:exit 7", "-q")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    last = outcome.err.splitlines()[-1]
    told = "no token from --auth: 'exit 7' printed 0 bytes and ended with exit code 7"
    assert last == f"rx-cometd: error: {told}"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("false", "no token from --auth: 'false' printed 0 bytes"),
        ("printf '\\377'", "is not UTF-8"),
        ("printf 'a\\nb'", "has a line break within"),
    ],
)
async def test_why_there_is_no_token_is_told_once(
    command: str, told: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("listen", bayeux_server.url, "/a", "--auth", f"cmd:{command}")
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert told in line


async def test_a_certificate_that_nobody_vouches_for(invoke: Invocation, tmp_path: Path) -> None:
    async with https_server(tmp_path) as (url, certificate):
        outcome = await invoke("listen", url, "/a", "--timeout", "30")
        assert outcome.code == 3
        last = outcome.err.splitlines()[-1]
        assert last.startswith("rx-cometd: network: ")
        assert "certificate" in last.lower()
        assert "--cacert FILE" in last
        for option in (["--cacert", str(certificate)], ["--insecure"]):
            # It is no Bayeux server: what it answers to is the TLS handshake.
            outcome = await invoke("listen", url, "/a", "--timeout", "30", *option)
            assert "HTTP 404" in outcome.err


@asynccontextmanager
async def https_server(directory: Path) -> AsyncGenerator[tuple[str, Path]]:
    """A server with a certificate of its own making, which answers 404 to all."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    process = await asyncio.create_subprocess_exec(
        *(openssl, "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/cometd", certificate
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("since", "first"), [("all", 0), ("1", 1)])
async def test_events_since(since: str, first: int, invoke: Invocation) -> None:
    async with BayeuxServer(salesforce=True) as server:
        for number in range(3):
            await server.publish("/event/Order__e", {"number": number})
        outcome = await invoke(
            *("listen", server.url, "/event/Order__e", "--salesforce", "--since", since),
            *("-n", str(3 - first), "--field", "data.event.replayId"),
        )
        assert outcome.code == 0
        assert lines_of(outcome) == [1, 3, 4][first:]  # this server leaves gaps, as Salesforce does
        assert "connected over long-polling" in outcome.err


async def test_a_certificate_authority_of_ones_own(
    invoke: Invocation, bayeux_server: BayeuxServer, tmp_path: Path
) -> None:
    outcome = await invoke("listen", bayeux_server.url, "/a", "--cacert", str(tmp_path / "none"))
    assert outcome.code == 2
    file = tmp_path / "ca.pem"
    file.write_text("nonsense", encoding="utf-8")
    outcome = await invoke("listen", bayeux_server.url, "/a", "--cacert", str(file))
    assert outcome.code == 2
    assert "holds no certificate in PEM form" in outcome.err


async def test_no_server(invoke: Invocation) -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/cometd"
        outcome = await invoke("listen", url, "/a", "--timeout", "0.2")
    assert outcome.code == 3
    assert "rx-cometd: network: " in outcome.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense", "/a"], "it must begin with http://"),
        (["127.0.0.1:8080/cometd", "/a"], "it must begin with http://"),
        (["ftp://127.0.0.1/cometd", "/a"], "not an absolute"),
        (["http://127.0.0.1:1/cometd"], "CHANNEL"),
        (["http://127.0.0.1:1/cometd", "/a", "--count", "0"], "--count"),
        (["http://127.0.0.1:1/cometd", "/a", "--transport", "pigeon"], "pigeon"),
        (["http://127.0.0.1:1/cometd", "/a", "--header", "secret"], "Name: value"),
        (["http://127.0.0.1:1/cometd", "/a", "--header", ": secret"], "Name: value"),
        (["http://127.0.0.1:1/cometd", "/a", "--ext", "{"], "--ext"),
        (["http://127.0.0.1:1/cometd", "/a", "--ext", "[1]"], "is not a JSON object"),
        (["http://127.0.0.1:1/cometd", "/a", "--timeout", "nan"], "finite"),
        (["http://127.0.0.1:1/cometd", "/a", "--since", "x"], "a replay id is"),
        (["http://127.0.0.1:1/cometd", "/a", "--field", "a["], "no path"),
        (["http://127.0.0.1:1/cometd", "/a", "--header", "a b: secret"], "Name: value"),
        (["http://127.0.0.1:1/cometd", "/a", "--header", "a: b\nsecret"], "line break"),
        (["http://127.0.0.1:1/cometd", "/a", "--auth", ""], "it is empty"),
        (["http://127.0.0.1:1/cometd", "/a", "--auth", "a\nsecret"], "line break"),
        (["http://127.0.0.1:1/cometd", "/a", "--proxy", ""], "proxy must be"),
        (["http://127.0.0.1:1/cometd", "/a", "--proxy", "secret"], "proxy must be"),
        (
            ["http://127.0.0.1:1/cometd", "/a", "--proxy", "socks5://u:secret@127.0.0.1:1"],
            "scheme 'socks5'",
        ),
        (["http://127.0.0.1:1/cometd", "/a", "--proxy", "http://"], "proxy must be"),
        (["http://127.0.0.1:1/cometd", "/a", "--since", "-5"], "a replay id is"),
        (["http://127.0.0.1:1/cometd", "/a", "--since", "9" * 30], "20 digits"),
        (["http://127.0.0.1:1/cometd", "/a", "--field", ""], "no path"),
        (["http://127.0.0.1:1/cometd", "/a", "--format", "{a:>>>>}"], "no format"),
        (["http://127.0.0.1:1/cometd", "/a", "--format", "{a:9999999999}"], "at most"),
        (["http://a..b/cometd", "/a"], "is no name of a host"),
        (["http://127.0.0.1:1/cometd", "/a", "--format", "{"], "--format"),
        (["http://127.0.0.1:1/cometd", "/a", "--format", "x", "--raw"], "leave the others out"),
    ],
)
async def test_wrong_usage(arguments: list[str], text: str, invoke: Invocation) -> None:
    outcome = await invoke("listen", *arguments)
    assert outcome.code == 2
    assert text in outcome.err
    assert "secret" not in outcome.err


async def test_an_impossible_channel_is_wrong_usage(invoke: Invocation) -> None:
    # Told before anything is sent: there is no server at all.
    outcome = await invoke("listen", "http://127.0.0.1:1/cometd", "/a", "news")
    assert outcome.code == 2
    assert "invalid channel 'news'" in outcome.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_in_order(
    number: signal.Signals, bayeux_server: BayeuxServer
) -> None:
    async with spawned("listen", bayeux_server.url, "/a") as process:
        await bayeux_server.until(lambda: bayeux_server.subscribers("/a"), timeout=60)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        await bayeux_server.until(lambda: not bayeux_server.sessions)
        assert process.stderr is not None
        assert b"Traceback" not in await process.stderr.read()


async def test_a_reader_that_is_gone_ends_it(bayeux_server: BayeuxServer) -> None:
    async with spawned("listen", bayeux_server.url, "/a") as process:
        await bayeux_server.until(lambda: bayeux_server.subscribers("/a"), timeout=60)
        await bayeux_server.publish("/a", 1)
        await line_from(process.stdout, lambda line: '"data": 1' in line)
        assert process.stdout is not None
        process.stdout._transport.close()  # type: ignore[attr-defined]
        while process.returncode is None:
            await bayeux_server.publish("/a", 2)
            await asyncio.sleep(0.01)  # for the process to notice; nothing else tells
        assert process.returncode == 0
        assert process.stderr is not None
        assert b"Traceback" not in await process.stderr.read()


async def test_lost_links_are_told_and_survived(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = asyncio.ensure_future(
        invoke("listen", bayeux_server.url, "/a", "--data", "-n", "1", "--ack")
    )
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
    (session,) = bayeux_server.sessions
    bayeux_server.faults.drop_link()
    await bayeux_server.publish("/a", "kept")
    outcome = await listening
    assert lines_of(outcome) == ["kept"]
    assert "link lost" in outcome.err
    assert f"the same session {session}" in outcome.err


async def test_lost_sessions_are_told_and_survived(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    listening = asyncio.ensure_future(
        invoke("listen", bayeux_server.url, "/a", "--data", "-n", "1")
    )
    await bayeux_server.until(lambda: bayeux_server.subscribers("/a"))
    (before,) = bayeux_server.sessions
    bayeux_server.faults.forget()
    bayeux_server.faults.drop_link()
    # Its connect is held once the command knows of its new session, and has told it.
    await bayeux_server.until(
        lambda: any(session.held for session in bayeux_server.subscribers("/a"))
    )
    await bayeux_server.publish("/a", "new")
    outcome = await listening
    assert lines_of(outcome) == ["new"]
    assert "seeking a new session" in outcome.err
    (last,) = [line for line in outcome.err.splitlines() if line.startswith("connected")][1:]
    assert before not in last
