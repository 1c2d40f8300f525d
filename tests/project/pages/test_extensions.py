"""The fragments of the page about extensions: each does to messages what the page says."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import Client, ConnectionType, Extension
from rx_cometd.testing import Authentication, BayeuxServer, BearerAuthentication
from tests.project.pages.fragment import fragments_of, run
from tests.project.pages.printed import Printed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.testing import HttpRefusal
    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")


class SeesHeaders(Authentication):
    """Lets everybody in, and keeps the headers."""

    def __init__(self) -> None:
        self.seen: list[Mapping[str, str]] = []

    async def check(self, headers: Mapping[str, str]) -> HttpRefusal | None:
        self.seen.append(headers)
        return None


def sent_to(server: BayeuxServer) -> list[dict[str, Any]]:
    return [message for _, payload in server.received for message in payload]


@fragments_of("extensions.md", "As a pair of operators")
async def test_a_pair_of_operators(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], {"url": server.url})
        async with names["client"] as client:
            await client.publish("/news", 1)
        assert {"/meta/handshake", "/news"} <= {message["channel"] for message in sent_to(server)}
        assert {message["ext"]["app"] for message in sent_to(server)} == {"1.4"}


@fragments_of("extensions.md", "As a class")
async def test_a_class(blocks: list[Block]) -> None:
    names = await run(blocks[0])
    headers = SeesHeaders()
    async with (
        BayeuxServer(authentication=headers) as server,
        Client(server.url, ConnectionType.LONG_POLLING, extensions=[names["Tagged"]()]) as client,
    ):
        printed = Printed()
        client.channel("/news").subscribe(printed)
        await server.until(lambda: server.subscribers("/news"))
        await server.publish("/news", 1, noise="much")
        assert await printed.next() == {"channel": "/news", "data": 1}
    assert {message["ext"]["tag"] for message in sent_to(server)} == {7}
    assert {seen["X-Tag"] for seen in headers.seen} == {"7"}


@fragments_of("extensions.md", "Around a request")
async def test_around_a_request(blocks: list[Block]) -> None:
    desk = ContextVar[int]("desk")
    names: dict[str, Any] = {"Extension": Extension, "time": time, "desk": desk}
    names["print"] = printed = Printed()
    await run(blocks[0], names)
    async with (
        BayeuxServer() as server,
        Client(server.url, extensions=[names["Timed"]()]) as client,
    ):
        desk.set(7)
        await client.publish("/news", 1)
    channel, seconds = await printed.next()
    assert channel == "/news"
    assert 0 < seconds < 10
    (published,) = [message for message in sent_to(server) if message["channel"] == "/news"]
    assert published["ext"]["desk"] == 7


@fragments_of("extensions.md", "Authentication")
async def test_a_login_is_renewed_when_it_is_refused(blocks: list[Block]) -> None:
    policy = BearerAuthentication()
    given: list[str] = []

    async def fetch_token() -> str:
        given.append(f"token-{len(given)}")
        policy.tokens.grant(given[-1])
        return given[-1]

    async with BayeuxServer(
        authentication=policy, connection_types=[ConnectionType.LONG_POLLING]
    ) as server:
        names = await run(blocks[0], {"url": server.url, "fetch_token": fetch_token})
        async with names["client"] as client:
            await client.publish("/news", 1)
            assert given == ["token-0"]
            policy.tokens.expire("token-0")
            await client.publish("/news", 2)
            assert given == ["token-0", "token-1"]
    assert [m["data"] for m in sent_to(server) if m["channel"] == "/news"] == [1, 2]
