"""The fragments of the recipes, against servers that demand what the vendors' do."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from rx_cometd import Client, ConnectionType
from rx_cometd.testing import BayeuxServer, TokenAuthentication
from tests.integration.client_driver import requests
from tests.integration.extensions.test_vendors import CookieAndHeader
from tests.project.pages.fragment import fragments_of, going_on, run
from tests.project.pages.printed import Printed
from tests.project.pages.site import logging_in, site

if TYPE_CHECKING:
    from tests.project.docs import Block

pytestmark = pytest.mark.usefixtures("nothing_left")

BASIC = f"Basic {b64encode(b'me:word').decode()}"


async def printed(server: BayeuxServer, channel: str, program: Any, names: dict[str, Any]) -> Any:
    """Give what a program prints of a message that is published once it has subscribed."""
    names["print"] = Printed()
    async with going_on(program):
        await server.until(lambda: server.subscribers(channel))
        await server.publish(channel, {"n": 1})
        return await names["print"].next()


@fragments_of("recipes.md", "ServiceNow (AMB)")
async def test_servicenow(blocks: list[Block]) -> None:
    policy = CookieAndHeader(("JSESSIONID", "it"))
    channel = "/rw/default/incident/x"
    async with BayeuxServer(path="/amb", authentication=policy) as server:
        login = web.get(
            "/api/now/table/sys_user", logging_in("Authorization", BASIC, ("JSESSIONID", "it"))
        )
        async with site(server, login) as origin:
            names = await run(blocks[0])
            watch = names["watch"]
            program = watch(str(origin), "me", "word", channel)
            assert await printed(server, channel, program, names) == {"n": 1}
            with pytest.raises(aiohttp.ClientResponseError, match="401"):
                await watch(str(origin), "me", "wrong", channel)


@fragments_of("recipes.md", "dxFeed (the CometD endpoint)")
async def test_dxfeed_is_asked_again_in_each_new_session(blocks: list[Block]) -> None:
    policy = TokenAuthentication("token", path=("com.devexperts.auth.AuthToken",))
    wanted = {"reset": True, "add": {"Quote": ["ACME"]}}
    async with BayeuxServer(
        authentication=policy, connection_types=[ConnectionType.WEBSOCKET]
    ) as server:

        @server.service("/service/sub")
        def subscribe(request: Any) -> None:
            server.deliver(request.session.client_id, "/service/data", [request.data])

        names = await run(blocks[0])
        names["print"] = Printed()
        async with going_on(names["quotes"](server.url, "token", ["ACME"])):
            first = await names["print"].next()
            sessions = set(server.sessions)
            server.faults.forget()
            server.faults.drop_link()
            second = await names["print"].next()
            assert first["data"] == second["data"] == [wanted]
            assert not sessions & set(server.sessions)


@fragments_of("recipes.md", "Lyrion Music Server")
async def test_lyrion_is_asked_again_in_each_new_session(blocks: list[Block]) -> None:
    """It answers on the channel that was asked for, to a client that has subscribed to nothing."""
    player = "00:04:20:12:34:56"
    async with BayeuxServer() as server:

        async def asked(times: int) -> str:
            """Wait for so many requests; gives the channel of the last one's response."""

            await server.until(lambda: len(requests(server, "/slim/subscribe")) == times, 30)
            request = requests(server, "/slim/subscribe")[-1]["data"]
            assert request["request"] == [player, ["status", "-", 1, "subscribe:30"]]
            return str(request["response"])

        names = await run(blocks[0])
        names["print"] = Printed()
        async with going_on(names["watch_player"](server.url, player)):
            for times in (1, 2):
                channel = await asked(times)
                (session,) = server.sessions
                assert channel == f"/{session}/slim/playerstatus/{player}"
                server.deliver(session, channel, {"mode": "play", "time": times}, id="0")
                assert await names["print"].next() == {"mode": "play", "time": times}
                server.faults.forget()
                server.faults.drop_link()
        assert not requests(server, "/meta/subscribe")
    assert {kind for kind, _ in server.received} == {ConnectionType.LONG_POLLING}


@fragments_of("recipes.md", "CometD Java")
async def test_cometd_java(blocks: list[Block]) -> None:
    policy = TokenAuthentication("...", path=("authentication", "credentials"))
    async with BayeuxServer(authentication=policy) as server:

        @server.service("/service/greet")
        def greet(request: Any) -> str:
            return f"Hello {request.data}"

        names = await run(blocks[0], replace={"https://example.com/cometd": server.url})
        async with names["client"]:
            assert await names["greet"]("Ada") == "Hello Ada"
            await server.until(lambda: names["clock"].lag > 0)
    assert {"ack", "timesync"} <= set(requests(server, "/meta/handshake")[0]["ext"])


@fragments_of("recipes.md", "Faye")
async def test_faye_has_the_token_in_every_message(blocks: list[Block]) -> None:
    async with BayeuxServer() as server:
        names = await run(blocks[0], replace={"https://example.com/faye": server.url})
        async with names["client"] as client:
            await client.publish("/news", 1)
    sent = [message for _, payload in server.received for message in payload]
    assert {message["channel"] for message in sent} >= {"/meta/handshake", "/meta/connect", "/news"}
    assert all(message["ext"]["authToken"] == "..." for message in sent)


@fragments_of("recipes.md", "Cumulocity")
async def test_cumulocity(blocks: list[Block]) -> None:
    token = b64encode(b"me:...").decode()
    policy = TokenAuthentication(token, path=("com.cumulocity.authn", "token"))
    async with BayeuxServer(path="/notification/realtime", authentication=policy) as server:
        origin = str(URL(server.url).origin())
        names = await run(blocks[0], replace={"https://example.cumulocity.com": origin})
        printed = Printed()
        async with names["client"]:
            names["measurements"].subscribe(printed)
            await server.until(lambda: server.subscribers("/measurements/12345"))
            await server.publish("/measurements/12345", {"t": 21})
            assert (await printed.next())["data"] == {"t": 21}


@fragments_of("recipes.md", "Genesys")
async def test_genesys(blocks: list[Block]) -> None:
    policy = CookieAndHeader(("WORKSPACE_SESSIONID", "it"), ("x-api-key", "key"))
    channel = "/workspace/v3/voice"
    async with BayeuxServer(path="/workspace/v3/notifications", authentication=policy) as server:
        login = web.post(
            "/workspace/v3/initialize-workspace",
            logging_in("Authorization", "Bearer good", ("WORKSPACE_SESSIONID", "it")),
        )
        async with site(server, login) as origin:
            names = await run(blocks[0])
            program = names["watch_calls"](str(origin), "key", "good")
            assert await printed(server, channel, program, names) == {"n": 1}
        assert {kind for kind, _ in server.received} == {ConnectionType.LONG_POLLING}


@fragments_of("recipes.md", "Results that arrive as notifications")
async def test_the_result_of_a_request_is_not_missed(blocks: list[Block]) -> None:
    names = await run(blocks[0])
    async with BayeuxServer() as server, Client(server.url) as client:

        async def act(rest: BayeuxServer) -> None:
            assert await rest.publish("/results", "done") == 1

        message = await names["request_and_wait"](client, server, "/results", act)
        assert message["data"] == "done"
