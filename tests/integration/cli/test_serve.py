from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from rx_cometd import Client, ConnectionType, ServerError
from rx_cometd.cli.serve import serve_until_stopped
from rx_cometd.extensions import bearer_auth
from rx_cometd.testing import BayeuxServer
from tests.children import child
from tests.integration.cli.commands import COMMAND, ENVIRONMENT, ROOT, line_from, spawned
from tests.servers.reserved_port import ReservedPort

if TYPE_CHECKING:
    from tests.integration.cli.commands import Invocation


async def url_of(process: asyncio.subprocess.Process) -> str:
    return (await line_from(process.stdout, lambda line: line.startswith("http"))).strip()


async def test_it_serves_until_it_is_stopped() -> None:
    async with spawned("serve", "--port", "0", "--path", "/bayeux") as process:
        url = await url_of(process)
        assert url.endswith("/bayeux")
        assert "//127.0.0.1:" in url
        async with Client(url) as client:
            answer = await client.call("/service/echo", {"a": 1})
            assert answer["data"] == {"a": 1}
            assert (await client.call("/service/echo", None))["data"] is None
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_options() -> None:
    async with spawned(
        *("serve", "--port", "0", "--transport", "long-polling", "--timeout", "1.5"),
        *("--token", "t0ken"),
    ) as process:
        url = await url_of(process)
        with pytest.raises(ServerError):
            async with Client(url, auth=bearer_auth(lambda: "bad")):
                pass
        async with Client(url, auth=bearer_auth(lambda: "t0ken")) as client:
            assert client.connection_type is ConnectionType.LONG_POLLING
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_the_ways_of_salesforce() -> None:
    async with spawned("serve", "--port", "0", "--salesforce", "--token", "t0ken") as process:
        url = await url_of(process)
        client = Client(url, auth=bearer_auth(lambda: "t0ken"))
        async with client:
            assert client.connection_type is ConnectionType.LONG_POLLING
            await client.subscribe("/event/Order__e")


async def test_the_ticker_ticks(capfd: pytest.CaptureFixture[str]) -> None:
    server = BayeuxServer()
    serving = asyncio.create_task(serve_until_stopped(server, ticker=True))
    try:
        while not server.running:
            assert not serving.done()
            await asyncio.sleep(0)
        async with Client(server.url) as client:
            await client.subscribe("/stock/**")
            message = await client.receive()
            assert message["channel"] == f"/stock/{message['data']['symbol']}"
            assert await client.call("/service/echo", 1)
        assert capfd.readouterr().out == f"{server.url}\n"
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
    assert not server.running


async def test_a_port_that_is_taken(invoke: Invocation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        outcome = await invoke("serve", "--port", str(taken.getsockname()[1]))
    assert outcome.code == 1
    assert outcome.err.startswith("rx-cometd: ")
    assert outcome.err.endswith("address already in use; give another --port; 0 takes a free one\n")
    assert "Traceback" not in outcome.err


async def test_a_port_that_is_none(invoke: Invocation) -> None:
    assert (await invoke("serve", "--port", "65536")).code == 2


@pytest.mark.parametrize("host", ["", "a..b", "a" * 300, "\udcff"])
async def test_a_host_that_is_none(host: str, invoke: Invocation) -> None:
    for command in (["serve"], ["relay", "http://127.0.0.1:1/", "/a", "--to", "stdout:"]):
        outcome = await invoke(*command, "--host", host)
        assert outcome.code == 2
        assert "is no name or address of a machine" in outcome.err


async def test_what_is_no_http_is_told_in_a_line() -> None:
    async with spawned("serve", "--port", "0") as process:
        port = int((await url_of(process)).split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /cometd HTTP/1.1\r\na b: c\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400 ")
        writer.close()
        line = await line_from(process.stderr, lambda _: True)
        assert line.startswith("rx-cometd: Error handling request")
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""


@pytest.mark.parametrize("path", ["cometd", "/a?b", "/{a}", "", "/a b", "//", "/%", "/ä"])
async def test_a_path_that_is_none(path: str, invoke: Invocation) -> None:
    outcome = await invoke("serve", "--path", path)
    assert outcome.code == 2
    assert "is no path such as /cometd" in outcome.err


async def test_a_closed_standard_output_is_none_to_write_to() -> None:
    reserved = ReservedPort()
    serve = (*COMMAND, "serve", "--port", str(reserved.port))
    async with child(
        *("sh", "-c", 'exec "$@" >&-', "sh", *serve),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    ) as process:
        # It serves: a client gets an answer, though nobody was told the address.
        url = f"http://127.0.0.1:{reserved.port}/cometd"
        async with Client(url, connection_timeout=60) as client:
            await client.call("/service/echo", 1)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert process.stderr is not None
        assert await process.stderr.read() == b""
    reserved.release()
