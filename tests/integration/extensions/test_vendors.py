"""Factories for vendors' servers, against a server that demands what the vendor's does."""

from __future__ import annotations

from base64 import b64encode
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from rx_cometd import AuthenticationError, Client, ConnectionType, ServerError
from rx_cometd.extensions import cumulocity, genesys, servicenow
from rx_cometd.testing import BayeuxServer, TokenAuthentication
from rx_cometd.testing.authentication import Authentication, HttpRefusal
from tests.integration.client_driver import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("nothing_left")

AUTHN = "com.cumulocity.authn"


class CookieAndHeader(Authentication):
    """Wants a cookie, and headers, with every HTTP request and WebSocket upgrade."""

    def __init__(self, cookie: tuple[str, str], *wanted: tuple[str, str]) -> None:
        self._cookie = cookie
        self._wanted = wanted

    async def check(self, headers: Mapping[str, str]) -> HttpRefusal | None:
        name, value = self._cookie
        morsel = SimpleCookie(headers.get("Cookie", "")).get(name)
        good = morsel is not None and morsel.value == value
        good = good and all(headers.get(name) == value for name, value in self._wanted)
        return None if good else HttpRefusal()


def origin(server: BayeuxServer) -> str:
    return str(URL(server.url).origin())


async def receives(server: BayeuxServer, client: Client, channel: str) -> None:
    async with client:
        recorder = Recorder(client.channel(channel))
        await server.until(lambda: server.subscribers(channel))
        await server.publish(channel, 1)
        await recorder.until(lambda: bool(recorder.items))
        assert recorder.items[0]["data"] == 1


def basic(login: str) -> str:
    return b64encode(login.encode()).decode()


@pytest.mark.parametrize("connection_type", list(ConnectionType))
async def test_cumulocity_by_password(connection_type: ConnectionType) -> None:
    policy = TokenAuthentication(basic("t1/me:word"), path=(AUTHN, "token"))
    async with BayeuxServer(path="/notification/realtime", authentication=policy) as server:
        settings = cumulocity(origin(server), tenant="t1", user="me", password="word")
        client = Client(**settings, connection_types=connection_type)
        await receives(server, client, "/measurements/12345")
        settings = cumulocity(origin(server), user="me", password="word")
        with pytest.raises(ServerError, match="403"):
            await Client(**settings, connection_types=connection_type).open()


async def test_cumulocity_by_token_asks_anew_for_each_handshake() -> None:
    tokens = iter(["first", "second"])
    policy = TokenAuthentication("first", "second", path=(AUTHN, "token"))
    seen: list[Any] = []

    def note(_: object, message: dict[str, Any]) -> bool:
        seen.append(message["ext"][AUTHN])
        return True

    async with BayeuxServer(
        path="/notification/realtime", authentication=policy, can_handshake=note
    ) as server:
        settings = cumulocity(
            origin(server), token=lambda: next(tokens), xsrf_token=lambda: "cross"
        )
        client = Client(**settings)
        for _ in range(2):
            await client.open()
            await client.close()
    assert seen == [{"token": token, "xsrfToken": "cross"} for token in ("first", "second")]


@pytest.mark.parametrize(
    "given", [{}, {"user": "me"}, {"user": "me", "password": "word", "token": lambda: "token"}]
)
def test_cumulocity_needs_one_login(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="user and password, or token"):
        cumulocity("https://example.cumulocity.com", **given)


@pytest.mark.parametrize("connection_type", list(ConnectionType))
async def test_servicenow(connection_type: ConnectionType) -> None:
    policy = CookieAndHeader(("JSESSIONID", "session"), ("X-UserToken", "g_ck"))
    async with (
        BayeuxServer(path="/amb", authentication=policy) as server,
        aiohttp.ClientSession(
            cookies={"JSESSIONID": "session"}, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as http,
    ):
        settings = servicenow(origin(server), http, user_token=lambda: "g_ck")
        client = Client(**settings, connection_types=connection_type)
        await receives(server, client, "/rw/default/incident/x")
        with pytest.raises(AuthenticationError):
            await Client(**servicenow(origin(server), http)).open()


async def test_genesys() -> None:
    policy = CookieAndHeader(("WORKSPACE_SESSIONID", "session"), ("x-api-key", "key"))
    async with (
        BayeuxServer(
            path="/workspace/v3/notifications",
            authentication=policy,
            connection_types=[ConnectionType.LONG_POLLING],
        ) as server,
        aiohttp.ClientSession(
            cookies={"WORKSPACE_SESSIONID": "session"}, cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as http,
    ):
        await receives(
            server, Client(**genesys(origin(server), "key", http)), "/workspace/v3/voice"
        )
        with pytest.raises(AuthenticationError):
            await Client(**genesys(origin(server), "other", http)).open()
