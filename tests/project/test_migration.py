"""Programs in the shape of those that people wrote for aiocometd, with what its page changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import rx_cometd
from rx_cometd import (
    AuthExtension,
    ClientInvalidOperation,
    CometDError,
    ConnectionType,
    InvalidChannelError,
    Message,
    ServerError,
)
from rx_cometd.testing import BayeuxServer, TokenAuthentication

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rx_cometd.testing import ServiceRequest


class TokenInHandshake(AuthExtension):
    """As for dxFeed."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        for message in payload:
            if message.get("channel") == "/meta/handshake":
                message.setdefault("ext", {})["token"] = self._token

    async def authenticate(self) -> None:
        raise AssertionError("the token is good")


class Feed(rx_cometd.Client):
    """A client of a subclass, which hands messages to functions by their channels."""

    def __init__(self, url: str, token: str) -> None:
        rx_cometd.Client.__init__(
            self,
            url,
            ConnectionType.WEBSOCKET,
            auth=TokenInHandshake(token),
            max_pending_count=0,
        )
        self.__router: dict[str, list[Any]] = {}

    def route(self, channel: str) -> list[Any]:
        return self.__router.setdefault(channel, [])

    async def connect(self) -> None:
        await self.open()
        await self.subscribe("/service/data")
        await self.publish("/service/sub", {"reset": True})

    async def step(self, seconds: float) -> bool:
        try:
            message = await asyncio.wait_for(self.receive(), seconds)
        except TimeoutError:
            return False
        self.__router[message["channel"]].append(message["data"])
        return True


@pytest.mark.usefixtures("nothing_left")
async def test_a_feed_over_service_channels() -> None:
    policy = TokenAuthentication("good", path=("token",))
    async with BayeuxServer(
        authentication=policy, connection_types=[ConnectionType.WEBSOCKET]
    ) as server:

        @server.service("/service/sub")
        def subscribe(request: ServiceRequest) -> None:
            for number in range(2):
                server.deliver(request.session.client_id, "/service/data", ["Quote", number])

        feed = Feed(server.url, "good")
        seen = feed.route("/service/data")
        await feed.connect()
        assert await feed.step(30)
        assert await feed.step(30)
        assert not await feed.step(0.01)
        assert seen == [["Quote", 0], ["Quote", 1]]
        # A receive that was given up has taken nothing.
        server.deliver(feed.client_id or "", "/service/data", ["Quote", 2])
        assert await feed.step(30)
        assert feed.subscriptions == frozenset()
        await feed.close()
        with pytest.raises(ClientInvalidOperation):
            await feed.receive()
        assert [message async for message in feed] == []
    sent = [message["channel"] for _, payload in server.received for message in payload]
    assert "/meta/subscribe" not in sent


@pytest.mark.usefixtures("nothing_left")
async def test_a_chat_that_waits_for_a_line_and_for_a_message_at_once() -> None:
    async with BayeuxServer() as server, rx_cometd.Client(server.url) as client:
        await client.subscribe("/chat/demo")
        typed: asyncio.Queue[str] = asyncio.Queue()
        typed.put_nowait("hello")
        heard: list[str] = []
        line = asyncio.ensure_future(typed.get())
        message = asyncio.ensure_future(client.receive())
        while len(heard) < 3:
            await asyncio.wait({line, message}, return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                await client.publish("/chat/demo", {"text": line.result()})
                line = asyncio.ensure_future(typed.get())
            if message.done():
                heard.append(message.result()["data"]["text"])
                typed.put_nowait(f"{heard[-1]}!")
                message = asyncio.ensure_future(client.receive())
        line.cancel()
        message.cancel()
        await asyncio.wait({line, message})
    assert heard == ["hello", "hello!", "hello!!"]


def test_one_loop_that_runs_again_and_again() -> None:
    with asyncio.Runner() as runner:
        server = BayeuxServer()
        runner.run(server.start())
        client = rx_cometd.Client(server.url)
        runner.run(client.open())
        runner.run(client.subscribe("/a"))
        runner.run(client.publish("/a", 1))
        assert runner.run(client.receive())["data"] == 1
        runner.run(client.close())
        runner.run(server.stop())


async def test_errors_have_the_attributes_that_they_had() -> None:
    async with BayeuxServer() as server, rx_cometd.Client(server.url) as client:
        server.faults.refuse_subscribe("/a", "403:/a,you:denied")
        with pytest.raises(CometDError) as refusal:
            await client.subscribe("/a")
        error = refusal.value
        assert isinstance(error, ServerError)
        assert (error.error_code, error.error_args) == (403, ("/a", "you"))
        assert (error.error_message, error.error) == ("denied", "403:/a,you:denied")
        assert error.response.get("successful") is False
        assert error.message
        with pytest.raises(InvalidChannelError):
            await client.subscribe("no-slash")
    assert ServerError("refused", {"channel": "/a"}).error == ""
