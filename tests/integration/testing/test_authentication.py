from __future__ import annotations

from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from rx_cometd.testing import BayeuxServer, BearerAuthentication, TokenAuthentication

from .peers import long_polling, peer, websocket

BOTH = pytest.mark.parametrize("kind", ["websocket", "long-polling"])


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


async def test_bearer_tokens_are_wanted_with_every_request() -> None:
    auth = BearerAuthentication("good", realm="here")
    async with BayeuxServer(authentication=auth) as server, long_polling(server) as client:
        async with client.http.post(server.url, json=[client.handshake_message()]) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="here"'
        assert await client.status(client.handshake_message(), **bearer("bad")) == 401
        assert await client.status(client.handshake_message(), **bearer("good")) == 200
        auth.tokens.expire()
        async with client.http.post(
            server.url, json=[client.handshake_message()], **bearer("good")
        ) as response:
            assert response.status == 401
            assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        auth.tokens.grant("good")
        assert await client.status(client.handshake_message(), **bearer("good")) == 200


async def test_bearer_tokens_are_wanted_for_upgrades() -> None:
    auth = BearerAuthentication("good")
    async with BayeuxServer(authentication=auth) as server:
        with pytest.raises(WSServerHandshakeError) as caught:
            async with websocket(server, **bearer("bad")):
                pass
        assert caught.value.status == 401
        async with websocket(server, **bearer("good")) as client:
            await client.open()


async def test_the_payload_of_a_401() -> None:
    auth = BearerAuthentication(messages=[{"error": "401::no", "successful": False}])
    async with BayeuxServer(authentication=auth) as server, long_polling(server) as client:
        assert await client.text(client.handshake_message()) == (
            '[{"error": "401::no", "successful": false}]'
        )


async def test_validators() -> None:
    async def validate(token: str) -> bool:
        return token.startswith("good")

    auth = BearerAuthentication(validator=validate)
    async with BayeuxServer(authentication=auth) as server, long_polling(server) as client:
        assert await client.status(client.handshake_message(), **bearer("good-1")) == 200
        assert await client.status(client.handshake_message(), **bearer("bad")) == 401
        auth.tokens.expire("good-1")
        assert await client.status(client.handshake_message(), **bearer("good-1")) == 401


@BOTH
async def test_tokens_in_handshakes(kind: str) -> None:
    auth = TokenAuthentication("good", path=("auth", "token"))
    async with BayeuxServer(authentication=auth) as server, peer(kind, server) as client:
        reply = await client.handshake()
        assert (reply["error"], reply["advice"]) == (
            "403::handshake_denied",
            {"reconnect": "none"},
        )
        assert not (await client.handshake(ext={"auth": "good"}))["successful"]
        assert (await client.handshake(ext={"auth": {"token": "good"}}))["successful"]
        assert (await client.ask("/a", data=1))["successful"]
        auth.tokens.expire("good")
        reply = await client.ask("/a", data=1)
        assert (reply["successful"], reply["error"]) == (False, "401::token_expired")
        (reply,) = await client.connect()
        assert reply["advice"] == {"reconnect": "handshake"}
