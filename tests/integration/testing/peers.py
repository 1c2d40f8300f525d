"""Clients as raw as can be: what they send and what they get is what the tests are about."""

from __future__ import annotations

import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rx_cometd.testing import BayeuxServer

Json: TypeAlias = dict[str, Any]


def is_reply(message: Json) -> bool:
    # Answers of services have an outcome as well, but data too.
    return "successful" in message and "data" not in message


class Peer:
    """What both kinds have in common: ids, the clientId, and how requests look."""

    connection_type = ""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self.client_id = ""

    def message(self, channel: str, **fields: Any) -> Json:
        message: Json = {"id": str(next(self._ids)), "channel": channel}
        if self.client_id:
            message["clientId"] = self.client_id
        return {**message, **fields}

    def handshake_message(self, **fields: Any) -> Json:
        return self.message(
            "/meta/handshake",
            version="1.0",
            supportedConnectionTypes=["websocket", "long-polling"],
            **fields,
        )

    def connect_message(self, **fields: Any) -> Json:
        return self.message("/meta/connect", connectionType=self.connection_type, **fields)

    async def exchange(self, *messages: Json) -> list[Json]:
        """Send messages in one payload; give what came until all of them are answered."""
        raise NotImplementedError

    async def exchange_for(self, count: int, *messages: Json) -> list[Json]:
        """Send messages in one payload; give the first so many that come."""
        raise NotImplementedError

    async def ask(self, channel: str, **fields: Any) -> Json:
        """Send one message and give its reply."""
        message = self.message(channel, **fields)
        answers = await self.exchange(message)
        (reply,) = [m for m in answers if m.get("id") == message["id"] and is_reply(m)]
        return reply

    async def handshake(self, **fields: Any) -> Json:
        message = self.handshake_message(**fields)
        (reply, *_) = await self.exchange(message)
        self.client_id = reply.get("clientId", "")
        return reply

    async def connect(self, **fields: Any) -> list[Json]:
        return await self.exchange(self.connect_message(**fields))

    async def subscribe(self, *names: str) -> Json:
        subscription: Any = names[0] if len(names) == 1 else list(names)
        return await self.ask("/meta/subscribe", subscription=subscription)

    async def open(self, *names: str) -> None:
        """Handshake, send the first connect, and subscribe."""
        assert (await self.handshake())["successful"]
        assert (await self.connect())[-1]["successful"]
        for name in names:
            assert (await self.subscribe(name))["successful"]


class LongPollingPeer(Peer):
    connection_type = "long-polling"

    def __init__(self, http: ClientSession, url: str) -> None:
        super().__init__()
        self.http = http
        self.url = url

    async def exchange(self, *messages: Json) -> list[Json]:
        async with self.http.post(self.url, json=list(messages)) as response:
            assert response.status == 200, response.status
            return cast("list[Json]", await response.json())

    async def exchange_for(self, count: int, *messages: Json) -> list[Json]:
        answers = await self.exchange(*messages)
        assert len(answers) == count
        return answers

    async def body(self, *messages: Json) -> bytes:
        async with self.http.post(self.url, json=list(messages)) as response:
            return await response.read()

    async def text(self, *messages: Json) -> str:
        return (await self.body(*messages)).decode()

    async def status(self, *messages: Json, **request: Any) -> int:
        if messages:
            request["json"] = list(messages)
        async with self.http.post(self.url, **request) as response:
            return response.status


class WebSocketPeer(Peer):
    connection_type = "websocket"

    def __init__(self, ws: ClientWebSocketResponse) -> None:
        super().__init__()
        self.ws = ws
        self.frames: list[int] = []

    async def send(self, *messages: Json) -> None:
        await self.ws.send_str(json.dumps(list(messages)))

    async def receive(self) -> list[Json]:
        frame = await self.ws.receive()
        assert frame.type is WSMsgType.TEXT, frame
        messages: list[Json] = json.loads(frame.data)
        self.frames.append(len(messages))
        return messages

    async def gather(self, count: int) -> list[Json]:
        messages: list[Json] = []
        while len(messages) < count:
            messages += await self.receive()
        return messages

    async def exchange_for(self, count: int, *messages: Json) -> list[Json]:
        await self.send(*messages)
        return await self.gather(count)

    async def exchange(self, *messages: Json) -> list[Json]:
        await self.send(*messages)
        open_ids = {m["id"] for m in messages}
        answers: list[Json] = []
        while open_ids:
            frame = await self.receive()
            open_ids -= {m.get("id") for m in frame if is_reply(m)}
            answers += frame
        return answers


@asynccontextmanager
async def long_polling(server: BayeuxServer, **session: Any) -> AsyncGenerator[LongPollingPeer]:
    session.setdefault("cookie_jar", CookieJar(unsafe=True))
    async with ClientSession(**session) as http:
        yield LongPollingPeer(http, server.url)


@asynccontextmanager
async def websocket(server: BayeuxServer, **upgrade: Any) -> AsyncGenerator[WebSocketPeer]:
    async with ClientSession() as http:
        ws = cast("ClientWebSocketResponse", await http.ws_connect(server.url, **upgrade))
        async with ws:
            yield WebSocketPeer(ws)


@asynccontextmanager
async def peer(kind: str, server: BayeuxServer) -> AsyncGenerator[Peer]:
    opening = websocket if kind == "websocket" else long_polling
    async with opening(server) as made:
        yield made
