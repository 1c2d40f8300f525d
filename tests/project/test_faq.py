"""The FAQ is about texts that exist: headings are texts of the code, met when the page says so."""

from __future__ import annotations

import ast
import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, CometDError, ConnectionType
from rx_cometd.testing import BayeuxServer
from tests.integration.stores.servers import free_port
from tests.project.docs import ROOT
from tests.raw_server import listening, port_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PAGE = ROOT / "docs" / "faq.md"
HEADINGS = re.findall(r"^### `(.+)`$", PAGE.read_text("utf-8"), re.MULTILINE)
#: Words that fragments end or begin with, which come from elsewhere.
_GLUE = " :;,."


def texts_of_the_code() -> list[str]:
    """Give the text constants of the package, f-strings as one with ``…`` for what differs."""
    texts: list[str] = []
    for path in (ROOT / "rx_cometd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                constants = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append("".join(map(str, constants)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


TEXTS = texts_of_the_code()


def test_there_are_questions() -> None:
    assert len(HEADINGS) >= 25
    assert len(set(HEADINGS)) == len(HEADINGS)


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_part_of_a_message_is_in_the_code(heading: str) -> None:
    fragments = [part.strip(_GLUE) for part in heading.split("…")]
    missing = [f for f in fragments if f and not any(f in text for text in TEXTS)]
    assert not missing
    # A message of which only a scrap were in the code would be found in anything.
    assert sum(map(len, fragments)) >= 10


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Serve what is no HTTP, or one fixed response."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        # Closed with some of the request unread, it is reset, and the answer may be lost.
        await reader.read()
        writer.close()

    async with listening(handle) as server:
        yield f"http://127.0.0.1:{port_of(server)}/cometd"


def http(status: str, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join([*lines, "", body])).encode()


#: What answers a client, and the heading of the page that it leads to.
ANSWERS = {
    "what answered at … is not an HTTP server: are port and scheme right?": b"220 mail ESMTP\r\n",
    "a Bayeux server would answer 200; is the address right?": http("418 I'm a teapot"),
    "HTTP … is the path right?": http("404 Not Found"),
    "are the credentials missing, or no longer valid?": http("401 Unauthorized"),
    "… redirects to …, which is another origin: …": http(
        "302 Found", "", "Location: http://example.com/"
    ),
    "… redirects again and again": http("307 Temporary Redirect", "", "Location: /cometd/"),
    "… sent a response larger than max_message_size, …": http("200 OK", "[" + " " * 2000 + "]"),
    "the server sent JSON that is no Bayeux payload, …": http("200 OK", "42"),
}


def pattern_of(heading: str) -> str:
    return ".*".join(re.escape(part) for part in heading.split("…"))


@pytest.mark.parametrize("heading", ANSWERS)
async def test_what_answers_leads_to_its_heading(heading: str) -> None:
    assert heading in HEADINGS
    async with answering(ANSWERS[heading]) as url:
        with pytest.raises(CometDError, match=pattern_of(heading)):
            await opened(url, ConnectionType.LONG_POLLING, max_message_size=1000)


async def opened(url: str, *types: ConnectionType, **options: Any) -> None:
    """Open a client, which fails: with more time where no attempt had an end in little."""
    for seconds in (1.0, 10.0):
        try:
            await Client(url, types or None, connection_timeout=seconds, **options).open()
        except CometDError as error:
            if not re.search("no answer came|did not reply in time", str(error)):
                raise
    await Client(url, types or None, connection_timeout=60.0, **options).open()


async def nowhere(url: str) -> None:
    await opened(url)


async def to_a_port_where_nothing_is(_: BayeuxServer) -> None:
    await nowhere(f"http://127.0.0.1:{free_port()}/cometd")


async def to_a_name_that_is_none(_: BayeuxServer) -> None:
    await nowhere("http://no-such-host.invalid/cometd")


async def by_tls_where_none_is(server: BayeuxServer) -> None:
    await nowhere(server.url.replace("http", "https"))


async def with_two_credentials(server: BayeuxServer) -> None:
    url = server.url.replace("://", "://user:password@")
    await Client(url, headers={"Authorization": "Bearer token"}).open()


async def with_a_full_outbox(server: BayeuxServer) -> None:
    async with Client(server.url, max_outbox=2) as client:
        await asyncio.gather(*(client.publish("/a", number) for number in range(3)))


class Work:
    """What an observer does: it has begun, and takes its time."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def __call__(self, _: object) -> None:
        self.begun.set()
        await self.may_end.wait()


async def while_it_is_drained(server: BayeuxServer) -> None:
    work = Work()
    async with Client(server.url) as client:
        client.channel("/a").subscribe_async(work)
        await server.until(lambda: server.subscribers("/a"))
        await client.publish("/a", 1)
        await work.begun.wait()
        draining = asyncio.ensure_future(client.drain())
        await asyncio.sleep(0)
        try:
            await client.subscribe("/b")
        finally:
            work.may_end.set()
            await draining


async def drained_by_its_own_work(server: BayeuxServer) -> None:
    async with Client(server.url) as client:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        client.channel("/a").subscribe_async(lambda _: client.drain(), failed.set_exception)
        await server.until(lambda: server.subscribers("/a"))
        await client.publish("/a", 1)
        await failed


async def within_a_batch(server: BayeuxServer) -> None:
    async with Client(server.url) as client:
        with client.batch():
            await client.publish("/a", 1)


async def a_call_to_nobody(server: BayeuxServer) -> None:
    async with Client(server.url) as client:
        await client.call("/a", 1)


async def drained_in_no_time(server: BayeuxServer) -> None:
    work = Work()
    async with Client(server.url) as client:
        client.channel("/a").subscribe_async(work)
        await server.until(lambda: server.subscribers("/a"))
        await client.publish("/a", 1)
        await work.begun.wait()
        await client.drain(0.05)


async def with_what_is_no_json(server: BayeuxServer) -> None:
    async with Client(server.url) as client:
        await client.publish("/a", {1, 2})


async def on_a_channel_that_cannot_be(server: BayeuxServer) -> None:
    Client(server.url).channel("/a/*/b")


#: What is done, and the heading that it leads to.
DEEDS = {
    "cannot connect to …; is the server running?": to_a_port_where_nothing_is,
    "the name … could not be looked up: …": to_a_name_that_is_none,
    "… does not speak TLS: is the scheme http, or the port another?": by_tls_where_none_is,
    "there are two credentials for …: in an Authorization header, and in the …": (
        with_two_credentials
    ),
    "max_outbox, … requests, wait to be sent or answered: wait for replies before you publish "
    "more": with_a_full_outbox,
    "the client is being drained: it takes nothing new": while_it_is_drained,
    "drain() would wait for the work, or the iteration, that calls it: leave that …": (
        drained_by_its_own_work
    ),
    "no reply can come within batch(), which holds the requests back: make a task …": (
        within_a_batch
    ),
    "only services answer calls, on channels that begin with '/service/'": a_call_to_nobody,
    "not everything was processed and sent within … s; the client is closed": drained_in_no_time,
    "the message cannot be encoded as JSON: …": with_what_is_no_json,
    "invalid channel …: …": on_a_channel_that_cannot_be,
}


@pytest.mark.parametrize("heading", DEEDS)
async def test_what_is_done_leads_to_its_heading(heading: str) -> None:
    assert heading in HEADINGS
    async with BayeuxServer() as server:
        with pytest.raises(CometDError, match=pattern_of(heading)):
            await DEEDS[heading](server)
