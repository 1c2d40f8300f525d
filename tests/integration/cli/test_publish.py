from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.commands import COMMAND, ENVIRONMENT, spawned

if TYPE_CHECKING:
    from rx_cometd.testing import BayeuxServer, ServiceRequest
    from tests.integration.cli.commands import Invocation


def published(server: BayeuxServer, channel: str) -> list[object]:
    return [
        message["data"]
        for _, payload in server.received
        for message in payload
        if message["channel"] == channel
    ]


@pytest.mark.parametrize("data", [{"a": ["b"]}, "text", 0, None])
async def test_a_message_is_published(
    data: object, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("publish", bayeux_server.url, "/news", json.dumps(data))
    assert outcome.code == 0
    reply = json.loads(outcome.out)
    assert reply["channel"] == "/news"
    assert reply["successful"] is True
    assert published(bayeux_server, "/news") == [data]
    assert not bayeux_server.sessions


async def test_a_service_is_called(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    @bayeux_server.service("/service/double")
    def double(request: ServiceRequest) -> int:
        return int(request.data) * 2

    outcome = await invoke("publish", bayeux_server.url, "/service/double", "21", "--call")
    assert outcome.code == 0
    assert json.loads(outcome.out)["data"] == 42


async def test_without_data_a_call_sends_an_empty_object(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    @bayeux_server.service("/service/echo")
    def echo(request: ServiceRequest) -> object:
        return request.data

    outcome = await invoke("call", bayeux_server.url, "/service/echo", "--data")
    assert (outcome.code, outcome.out) == (0, "{}\n")


async def test_the_command_call(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    @bayeux_server.service("/service/double")
    def double(request: ServiceRequest) -> int:
        return int(request.data) * 2

    outcome = await invoke("call", bayeux_server.url, "/service/double", "21", "--data")
    assert (outcome.code, outcome.out) == (0, "42\n")


@pytest.mark.parametrize("command", [["call"], ["publish", "--call"]])
async def test_an_answer_has_its_time(
    command: list[str], invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    @bayeux_server.service("/service/mute")
    def mute(request: ServiceRequest) -> None:
        return None

    name, *options = command
    outcome = await invoke(
        name, bayeux_server.url, "/service/none", "1", "--timeout", "1.5", *options
    )
    assert outcome.code == 3
    assert "no reply on /service/none within 1.5 s" in outcome.err


async def test_a_file_is_published_at_a_rate(
    invoke: Invocation, bayeux_server: BayeuxServer, tmp_path: Path
) -> None:
    file = tmp_path / "lines"
    file.write_text("one\n\ntwo\nthree\nfour", encoding="utf-8")
    began = asyncio.get_running_loop().time()
    outcome = await invoke(
        *("publish", bayeux_server.url, "/news", f"@{file}", "--text", "--quiet", "--rate", "10")
    )
    assert (outcome.code, outcome.out) == (0, "")
    assert published(bayeux_server, "/news") == ["one", "two", "three", "four"]
    assert asyncio.get_running_loop().time() - began >= 0.3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_an_interrupted_publish_was_not_done(
    number: signal.Signals, code: int, bayeux_server: BayeuxServer
) -> None:
    bayeux_server.faults.delay_replies(30, "/news")
    async with spawned("publish", bayeux_server.url, "/news", "1") as process:
        await bayeux_server.until(lambda: published(bayeux_server, "/news"), timeout=60)
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == code
        assert process.stderr is not None
        assert await process.stderr.read() == b""


async def test_an_interrupt_ends_it_while_nobody_types(bayeux_server: BayeuxServer) -> None:
    async with spawned(
        "publish", bayeux_server.url, "/news", "-", stdin=asyncio.subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"1\n")
        await bayeux_server.until(lambda: published(bayeux_server, "/news"), timeout=60)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 130
        assert process.stderr is not None
        assert await process.stderr.read() == b""


async def test_a_file_that_is_no_text(
    invoke: Invocation, bayeux_server: BayeuxServer, tmp_path: Path
) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    outcome = await invoke("publish", bayeux_server.url, "/news", f"@{tmp_path / 'bytes'}")
    assert outcome.code == 1
    assert "is no UTF-8" in outcome.err
    assert "Traceback" not in outcome.err


async def test_every_line_of_standard_input_is_published(
    invoke: Invocation, bayeux_server: BayeuxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"{number}\n" for number in range(500))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{lines}\n  \n"))
    outcome = await invoke("publish", bayeux_server.url, "/news", "-")
    assert outcome.code == 0
    replies = [json.loads(line) for line in outcome.out.splitlines()]
    assert len(replies) == 500
    assert all(reply["successful"] for reply in replies)
    assert published(bayeux_server, "/news") == list(range(500))


async def test_a_bad_line_is_named(
    invoke: Invocation, bayeux_server: BayeuxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('1\n\n{"a":\n'))
    outcome = await invoke("publish", bayeux_server.url, "/news", "-")
    assert outcome.code == 1  # no wrong usage, which is told before anything is sent
    assert outcome.err.startswith("rx-cometd: error: line 3: no JSON: ")
    assert published(bayeux_server, "/news") == [1]


async def test_a_standard_input_that_is_closed(
    invoke: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    outcome = await invoke("publish", "http://127.0.0.1:1/cometd", "/news", "-")
    assert outcome.code == 2
    assert "there is no standard input to read lines from" in outcome.err


def test_errors_that_nobody_can_be_told_of_have_their_exit_code() -> None:
    with Path(os.devnull).open("rb") as closed:  # a standard error that cannot be written
        outcome = subprocess.run(
            [*COMMAND, "publish", "http://127.0.0.1:1/cometd", "/news", "1", "--timeout", "0.1"],
            env=ENVIRONMENT,
            stderr=closed,
            check=False,
            timeout=60,
        )
    assert outcome.returncode == 3


async def test_only_services_are_called(invoke: Invocation) -> None:
    for command in (["call"], ["publish", "--call"]):
        # Told before anything is sent: there is no server at all.
        outcome = await invoke(*command, "http://127.0.0.1:1/cometd", "/news", "1")
        assert outcome.code == 2
        assert "only services answer" in outcome.err


async def test_a_refused_line_ends_it(
    invoke: Invocation, bayeux_server: BayeuxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bayeux_server.faults.refuse("/news", "403::denied", count=None)
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n2\n"))
    outcome = await invoke("publish", bayeux_server.url, "/news", "-")
    assert outcome.code == 1
    assert "rx-cometd: refused: " in outcome.err


async def test_a_refused_message(invoke: Invocation, bayeux_server: BayeuxServer) -> None:
    bayeux_server.faults.refuse("/news", "403::denied")
    outcome = await invoke("publish", bayeux_server.url, "/news", "1")
    assert outcome.code == 1
    assert "403::denied" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["/news", "hello"], "quote strings twice"),
        (["/news", "{"], "no JSON"),
        (["/news", ""], "no JSON"),
        (["/news", "[" * 100_000], "nested too deeply"),
        (["/news", "\udcff", "--text"], "it is not UTF-8"),
        (["/news", "NaN"], "NaN is not a number of JSON's"),
        (["/news", "[1e999]"], "1e999 is not a number of JSON's"),
        (["/news", "@/nowhere"], "No such file"),
        (["/news", "1", "--rate", "0"], "--rate"),
        (["news", "1"], "invalid channel 'news'"),
        (["/news/*", "1"], "invalid channel '/news/*'"),
        (["/meta/connect", "1"], "invalid channel"),
        (["/service/news", "-", "--call"], "--call takes one message"),
    ],
)
async def test_wrong_usage(
    arguments: list[str], text: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("publish", bayeux_server.url, *arguments)
    assert outcome.code == 2
    assert text in outcome.err
