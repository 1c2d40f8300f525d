from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

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
    assert outcome.code == 2
    assert "line 3" in outcome.err


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
        (["news", "1"], "invalid channel 'news'"),
        (["/news/*", "1"], "invalid channel '/news/*'"),
        (["/meta/connect", "1"], "invalid channel"),
        (["/news", "-", "--call"], "--call takes one message"),
    ],
)
async def test_wrong_usage(
    arguments: list[str], text: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    outcome = await invoke("publish", bayeux_server.url, *arguments)
    assert outcome.code == 2
    assert text in outcome.err
