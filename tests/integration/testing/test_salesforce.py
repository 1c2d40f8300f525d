from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd.testing import BayeuxServer, SalesforceAuthentication
from rx_cometd.testing.replay import ReplayLog

from .peers import long_polling

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .peers import Json, LongPollingPeer

WRONG = "400::The replayId {%s} you provided was invalid.  Please provide a valid ID, -2 to"


@asynccontextmanager
async def salesforce(
    **options: Any,
) -> AsyncGenerator[tuple[BayeuxServer, LongPollingPeer]]:
    async with (
        BayeuxServer(salesforce=True, **options) as server,
        long_polling(server, headers={"Authorization": "Bearer token"}) as client,
    ):
        yield server, client


async def replayed(client: LongPollingPeer, replay_id: Any) -> tuple[Json, list[Json]]:
    reply = await client.ask(
        "/meta/subscribe", subscription="/event/E", ext={"replay": {"/event/E": replay_id}}
    )
    *events, _ = await client.connect(advice={"timeout": 0})
    return reply, [e["data"] for e in events]


async def test_handshake_has_no_advice_and_offers_replay() -> None:
    async with salesforce() as (_, client):
        reply = await client.handshake(ext={"replay": True})
        assert "advice" not in reply
        assert reply["ext"] == {"replay": True, "payload.format": True}
        assert reply["supportedConnectionTypes"] == ["long-polling"]
        assert (await client.connect())[0]["advice"]["timeout"] == 110_000


async def test_unknown_clients() -> None:
    async with salesforce() as (server, client):
        await client.open()
        server.faults.forget()
        (reply,) = await client.connect()
        assert reply["error"] == "403::Unknown client"
        assert reply["advice"] == {"reconnect": "handshake", "interval": 0}


async def test_the_cookie_is_compulsory() -> None:
    async with salesforce() as (_, client):
        await client.open()
        client.http.cookie_jar.clear()
        (reply,) = await client.connect()
        assert reply["error"] == "403::Unknown client"


async def test_authentication() -> None:
    auth = SalesforceAuthentication("token")
    async with salesforce(authentication=auth) as (server, client):
        nothing = {"Authorization": ""}
        async with client.http.post(server.url, json=[{}], headers=nothing) as response:
            assert response.status == 401
            assert await response.json() == [
                {"error": "401::Request requires authentication", "successful": False}
            ]
        await client.open("/event/E")
        await server.publish("/event/E", {})
        auth.tokens.expire()
        farewell, reply = await client.connect()
        assert farewell == {"channel": "/meta/disconnect"}
        assert reply["error"] == "401::Authentication invalid"
        assert reply["advice"] == {"reconnect": "none", "interval": 0}
        reply = await client.handshake()
        assert reply["error"] == "403::Handshake denied"
        assert reply["ext"] == {"sfdc": {"failureReason": "401::Authentication invalid"}}
        assert reply["advice"] == {"reconnect": "none"}


async def test_replay() -> None:
    async with salesforce() as (server, client):
        for n in range(4):
            await server.publish("/event/E", {"n": n})
        await client.handshake(ext={"replay": True})
        await client.connect()
        _, events = await replayed(client, -2)
        ids = [e["event"]["replayId"] for e in events]
        assert [e["n"] for e in events] == [0, 1, 2, 3]
        assert ids == sorted(ids)
        assert ids != list(range(ids[0], ids[0] + 4))
        assert "createdDate" in events[0]["event"]
        _, events = await replayed(client, ids[1])
        assert [e["n"] for e in events] == [2, 3]
        _, events = await replayed(client, -1)
        assert events == []
        await server.publish("/event/E", {"n": 4})
        *events, _ = await client.connect()
        assert [e["data"]["n"] for e in events] == [4]


@pytest.mark.parametrize("wrong", [82, None, "7", -3, 1.5])
async def test_invalid_replay_ids(wrong: object) -> None:
    async with salesforce() as (server, client):
        await server.publish("/event/E", {})
        await client.handshake(ext={"replay": True})
        reply, _ = await replayed(client, wrong)
        assert reply["error"].startswith(WRONG % wrong)
        assert not server.subscribers("/event/E")


async def test_ids_that_aged_out_are_invalid() -> None:
    log = ReplayLog(gaps=[3], max_events=2)
    async with salesforce(replay=log) as (server, client):
        for n in range(4):
            await server.publish("/event/E", {"n": n})
        await client.handshake(ext={"replay": True})
        await client.connect()
        reply, _ = await replayed(client, 3)
        assert reply["error"].startswith(WRONG % 3)
        _, events = await replayed(client, 9)
        assert [e["event"]["replayId"] for e in events] == [12]
        log.age_out("/event/E")
        reply, _ = await replayed(client, 12)
        assert not reply["successful"]


async def test_without_the_capability_ids_are_ignored() -> None:
    async with salesforce() as (server, client):
        await server.publish("/event/E", {})
        await client.open()
        reply, events = await replayed(client, 82)
        assert reply["successful"]
        assert events == []


async def test_replay_needs_mappings() -> None:
    async with salesforce() as (server, _):
        with pytest.raises(TypeError):
            await server.publish("/event/E", "text")


async def test_events_that_come_while_one_replays_come_after() -> None:
    async with salesforce() as (server, client):
        await server.publish("/event/E", {"n": 0})
        await client.handshake(ext={"replay": True})
        await client.connect()
        await client.ask(
            "/meta/subscribe", subscription="/event/E", ext={"replay": {"/event/E": -2}}
        )
        await server.publish("/event/E", {"n": 1})
        *events, _ = await asyncio.wait_for(client.connect(), 30)
        assert [e["data"]["n"] for e in events] == [0, 1]
