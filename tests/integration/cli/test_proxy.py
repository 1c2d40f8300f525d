"""``--proxy``, through a proxy."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.integration.cli.test_listen import https_server
from tests.raw_server import listening, port_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from rx_cometd.testing import BayeuxServer, ServiceRequest
    from tests.integration.cli.commands import Invocation

CREDENTIALS = base64.b64encode(b"ann:secret").decode()


class HttpProxy:
    """A proxy as RFC 9110 has it: it hands requests on, and makes tunnels (``CONNECT``).

    Attributes:
        asked: The first line of each connection.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        if f"Proxy-Authorization: Basic {CREDENTIALS}".encode() not in head:
            answer = b"HTTP/1.1 407 Who is it?\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            writer.write(answer)
            # Closed with some of the request unread, it is reset, and the answer may be lost.
            await reader.read()
            writer.close()
            return
        method, target, _ = line.split(" ")
        host, port = target.removeprefix("http://").partition("/")[0].split(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Go on\r\n\r\n")
        else:
            up_writer.write(head)  # servers take the address in full as well
        await asyncio.gather(copied(reader, up_writer), copied(up_reader, writer))


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on bytes until there are no more."""
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass  # the other side is gone, and so is what would be handed on
    finally:
        writer.close()


@asynccontextmanager
async def http_proxy() -> AsyncGenerator[tuple[HttpProxy, str]]:
    """Run a proxy that asks for credentials; gives it, and its address without them."""
    proxy = HttpProxy()
    async with listening(proxy.serve) as server:
        yield proxy, f"127.0.0.1:{port_of(server)}"


@pytest.mark.parametrize(
    ("transport", "line"), [("websocket", "GET {} HTTP/1.1"), ("long-polling", "POST {} HTTP/1.1")]
)
async def test_both_transports_go_through_a_proxy(
    transport: str, line: str, invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    @bayeux_server.service("/service/echo")
    def echo(request: ServiceRequest) -> object:
        return request.data

    async with http_proxy() as (proxy, address):
        outcome = await invoke(
            *("call", bayeux_server.url, "/service/echo", '{"a": 1}', "--timeout", "30"),
            *("--proxy", f"http://ann:secret@{address}", "--transport", transport),
        )
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)["data"] == {"a": 1}
    assert set(proxy.asked) == {line.format(bayeux_server.url)}


async def test_https_goes_through_a_tunnel(invoke: Invocation, tmp_path: Path) -> None:
    async with https_server(tmp_path) as (url, certificate), http_proxy() as (proxy, address):
        outcome = await invoke(
            *("publish", url, "/a", "1", "--cacert", str(certificate), "--timeout", "30"),
            *("--proxy", f"http://ann:secret@{address}"),
        )
    # It is no Bayeux server: what it says comes through the tunnel, and is verified.
    assert outcome.code == 3
    assert "HTTP 404" in outcome.err
    host = url.removeprefix("https://").partition("/")[0]
    assert set(proxy.asked) == {f"CONNECT {host} HTTP/1.1"}


async def test_what_a_proxy_refuses_is_told(
    invoke: Invocation, bayeux_server: BayeuxServer
) -> None:
    async with http_proxy() as (_, address):
        outcome = await invoke(
            *("publish", bayeux_server.url, "/a", "1", "--timeout", "2"),
            *("--proxy", f"http://ann:wrong@{address}"),
        )
    assert outcome.code == 3
    assert "407" in outcome.err
    assert "the proxy asks for credentials" in outcome.err
    assert "wrong" not in outcome.err
