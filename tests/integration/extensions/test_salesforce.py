"""Salesforce as a whole: logins, revoked tokens, another host, replay, busy servers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import aiohttp
import jwt
import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rx_cometd import AuthenticationError, Client, ClientState, ServerError, TransportError
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import MemoryStore, ReplayOption, salesforce, salesforce_auth
from rx_cometd.testing import SalesforceOrg
from tests.integration.client_driver import Recorder, quickly

pytestmark = pytest.mark.usefixtures("nothing_left")

ORDERS = "/event/Order__e"
SECRET = "secret"


def client_for(
    org: SalesforceOrg,
    *,
    store: MemoryStore | None = None,
    http_session: aiohttp.ClientSession | None = None,
) -> Client:
    auth = salesforce_auth(org.login_url, "key", client_secret=SECRET)
    settings = salesforce(
        org.login_url, auth, store=store, initial=ReplayOption.ALL_EVENTS, connection_timeout=20.0
    )
    return Client(**settings, backoff=quickly, max_network_delay=2.0, http_session=http_session)


def numbers(recorder: Recorder) -> list[int]:
    return [message["data"]["payload"]["number"] for message in recorder.items]


async def all_came(recorder: Recorder, wanted: set[int]) -> None:
    await recorder.until(lambda: wanted <= set(numbers(recorder)))


async def subscribed(org: SalesforceOrg, client: Client) -> None:
    """Wait until the client's present session has the subscription, and holds a connect.

    Sessions of before live on for a while. A token that is refused before the first connect
    succeeded is a second failure, and final.
    """

    def is_back() -> bool:
        return client.state is ClientState.CONNECTED and any(
            session.client_id == client.client_id and session.held
            for session in org.server.subscribers(ORDERS)
        )

    await org.server.until(is_back, timeout=10.0)


async def test_twenty_revocations_and_moves_lose_nothing_and_log_in_once_each() -> None:
    async with SalesforceOrg(timeout=1.0) as org, client_for(org) as client:
        recorder = Recorder(client.channel(ORDERS))
        await subscribed(org, client)
        number = 0
        for turn in range(20):
            for _ in range(5):
                await org.publish(ORDERS, {"number": number})
                number += 1
            expected = org.logins + 1
            if turn % 2:
                await org.move()
            else:
                org.revoke()
            # Published while nobody is logged in.
            await org.publish(ORDERS, {"number": number})
            number += 1
            await org.server.until(lambda: org.logins == expected, timeout=10.0)  # noqa: B023
            await subscribed(org, client)
        count = number
        await recorder.until(lambda: len(set(numbers(recorder))) >= count)
        assert org.logins == 21
        assert sorted(set(numbers(recorder))) == list(range(count))


async def test_a_disconnect_leads_to_a_new_session_whatever_the_advice() -> None:
    async with SalesforceOrg(timeout=1.0) as org, client_for(org) as client:
        recorder = Recorder(client.channel(ORDERS))
        await subscribed(org, client)
        first = client.client_id
        await org.server.disconnect(first or "", advice={"reconnect": "none"})
        await org.server.until(lambda: client.client_id not in (None, first))
        await subscribed(org, client)
        await org.publish(ORDERS, {"number": 1})
        await all_came(recorder, {1})


async def test_all_that_befalls_a_client_at_once_loses_nothing() -> None:
    store = MemoryStore()
    async with SalesforceOrg(timeout=1.0) as org:

        def disconnect() -> None:
            org.server.faults.drop_link()

        def lose_session_while_busy() -> None:
            org.busy(ORDERS, count=2)
            org.server.faults.forget()

        def answer_503() -> None:
            org.server.faults.respond_with(503, count=2)

        async def revoke_and_move() -> None:
            org.revoke()
            await org.move()

        troubles = [disconnect, lose_session_while_busy, answer_503, org.revoke, revoke_and_move]
        number = 0
        for _ in range(2):
            # A restart, too: the markers of the store lead on.
            async with client_for(org, store=store) as client:
                recorder = Recorder(client.channel(ORDERS))
                await subscribed(org, client)
                first = number
                for trouble in troubles * 2:
                    await org.publish(ORDERS, {"number": number})
                    told = trouble()
                    if told is not None:
                        await told
                    await org.publish(ORDERS, {"number": number + 1})
                    number += 2
                    await all_came(recorder, set(range(first, number)))
                    await subscribed(org, client)
        # One for each of the two clients, and for each of their four revoked tokens.
        assert org.logins == 10


async def test_fifty_requests_that_fail_at_once_log_in_once() -> None:
    # Each on a connection of its own: one that was cut may be used before the kernel tells of it.
    connector = aiohttp.TCPConnector(force_close=True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        SalesforceOrg(timeout=1.0, login_delay=0.05) as org,
        aiohttp.ClientSession(connector=connector, cookie_jar=jar) as http,
        client_for(org, http_session=http) as client,
    ):
        for logins in range(2, 7):
            org.revoke()
            replies = await asyncio.gather(
                *(client.publish("/service/any", number) for number in range(50))
            )
            assert all(reply["successful"] for reply in replies)
            assert org.logins == logins


async def test_fifty_clients_that_share_a_login_log_in_once() -> None:
    async with SalesforceOrg(timeout=30.0, login_delay=0.3) as org:
        auth = salesforce_auth(org.login_url, "key", client_secret=SECRET)
        clients = [Client(**salesforce(org.login_url, auth), backoff=quickly) for _ in range(50)]
        await asyncio.gather(*(client.open() for client in clients))
        assert org.logins == 1
        await asyncio.gather(*(client.close() for client in clients))


async def test_a_restart_goes_on_after_what_was_processed() -> None:
    store = MemoryStore()
    async with SalesforceOrg(timeout=1.0) as org:
        for number in range(4):
            await org.publish(ORDERS, {"number": number})
        async with client_for(org, store=store) as client:
            first = Recorder(client.channel(ORDERS))
            await first.until(lambda: len(first.items) == 4)
        await org.publish(ORDERS, {"number": 4})
        async with client_for(org, store=store) as client:
            second = Recorder(client.channel(ORDERS))
            await second.until(lambda: len(second.items) == 1)
            assert numbers(second) == [4]


async def test_a_marker_too_old_takes_the_oldest_event() -> None:
    store = MemoryStore()
    async with SalesforceOrg(timeout=1.0) as org:
        await org.publish(ORDERS, {"number": 0})
        async with client_for(org, store=store) as client:
            first = Recorder(client.channel(ORDERS))
            await first.until(lambda: len(first.items) == 1)
        org.log.age_out(ORDERS)
        await org.publish(ORDERS, {"number": 1})
        async with client_for(org, store=store) as client:
            second = Recorder(client.channel(ORDERS))
            await second.until(lambda: len(second.items) == 1)
            assert numbers(second) == [1]


async def test_a_busy_server_is_asked_again() -> None:
    def is_busy(error: Exception) -> bool:
        return isinstance(error, ServerError) and error.error_code == 503

    async with SalesforceOrg(timeout=1.0) as org, client_for(org) as client:
        org.busy(ORDERS, count=3)
        recorder = Recorder(
            client.channel(ORDERS).pipe(
                cometd_ops.retry_with_backoff(errors=is_busy, delays=quickly)
            )
        )
        await subscribed(org, client)
        await org.publish(ORDERS, {"number": 1})
        await recorder.until(lambda: bool(recorder.items))
        assert numbers(recorder) == [1]


async def test_a_jwt_is_signed_for_the_user() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    claims: list[dict[str, Any]] = []

    def accepts(fields: dict[str, str]) -> bool:
        assert fields["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        audience = "https://login.salesforce.com"
        claims.append(
            jwt.decode(fields["assertion"], key.public_key(), ["RS256"], audience=audience)
        )
        return True

    async with SalesforceOrg(accepts, timeout=1.0) as org:
        auth = salesforce_auth(org.login_url, "key", private_key=pem, username="me@example.com")
        async with Client(**salesforce(org.login_url, auth)):
            assert (claims[0]["iss"], claims[0]["sub"]) == ("key", "me@example.com")
            assert org.logins == 1


async def test_no_secret_is_in_logs_or_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with SalesforceOrg(timeout=1.0) as org:
        auth = salesforce_auth(org.login_url, "key", client_secret="hunter2")
        with pytest.raises(AuthenticationError) as raised:
            await auth.authenticate()
        assert "HTTP 400" in str(raised.value)
        assert "invalid_client" in str(raised.value)
        assert "hunter2" not in repr(auth) + repr(raised.value) + caplog.text
        async with client_for(org) as client:
            org.revoke()
            await client.publish("/service/any", 1)
            (token,) = org.good_tokens
        assert token not in caplog.text


async def test_where_nobody_answers_the_error_says_so() -> None:
    async with SalesforceOrg() as org:
        url = org.login_url
    auth = salesforce_auth(url, "key", client_secret=SECRET)
    with pytest.raises(TransportError, match=f"no login at {url}.*My Domain"):
        await auth.authenticate()


@pytest.mark.parametrize(
    "given",
    [{}, {"client_secret": "a", "private_key": "b", "username": "c"}, {"private_key": "b"}],
)
def test_one_flow_has_to_be_chosen(given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="client_secret"):
        salesforce_auth("https://example.my.salesforce.com", "key", **given)


async def test_a_token_is_never_sent_in_the_clear_after_a_safe_login() -> None:
    class Answer(web.View):
        async def post(self) -> web.Response:
            told = {"access_token": "token", "instance_url": "http://example.com"}
            return web.json_response(told)

    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(served)
    authority.configure_trust(trusted)
    app = web.Application()
    app.router.add_view("/services/oauth2/token", Answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=served).start()
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with aiohttp.ClientSession(connector=connector) as http:
        auth = salesforce_auth(
            f"https://localhost:{runner.addresses[0][1]}",
            "key",
            client_secret=SECRET,
            http_session=http,
        )
        with pytest.raises(TransportError, match="an instance without TLS"):
            await auth.authenticate()
    assert auth.origin is None
    await runner.cleanup()
