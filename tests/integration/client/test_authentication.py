"""Authentication failures, in all the forms in which servers tell them, through the client."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import (
    AuthenticationError,
    AuthExtension,
    ClientError,
    ClientState,
    CometDError,
    ConnectionType,
    ServerError,
    TransportConnectionClosed,
)
from rx_cometd.extensions import BearerAuth, bearer_auth
from rx_cometd.testing import (
    BayeuxServer,
    BearerAuthentication,
    InFlight,
    SalesforceAuthentication,
    ServerExtension,
    ServiceRequest,
    TokenAuthentication,
)
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Recorder,
    client_of,
    held,
    requests,
    subscribed,
)
from tests.integration.extensions.driver import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from rx_cometd import Client, Message
    from rx_cometd.testing import Json

pytestmark = pytest.mark.usefixtures("nothing_left")

NONE = {"reconnect": "none", "interval": 0}
HANDSHAKE = {"reconnect": "handshake", "interval": 0}
RETRY = {"reconnect": "retry", "interval": 0}
INVALID = "401::Authentication invalid"


class Login(AuthExtension):
    """Has tokens ``t0``, ``t1``, ...: in the header and in the ext of every message."""

    def __init__(self, grant: Callable[[str], None] | None = None) -> None:
        self.calls = 0
        self.grant = grant
        self.error: Exception | None = None
        if grant is not None:
            grant(self.token)

    @property
    def token(self) -> str:
        return f"t{self.calls}"

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        headers["Authorization"] = f"Bearer {self.token}"
        for message in payload:
            message["ext"] = {**message.get("ext", {}), "token": self.token}

    async def authenticate(self) -> None:
        self.calls += 1
        await asyncio.sleep(0.02)  # a token service takes its time
        if self.error is not None:
            raise self.error
        if self.grant is not None:
            self.grant(self.token)


class TokenInEveryMessage(ServerExtension):
    """Wants a good token in the ext of every message."""

    def __init__(self) -> None:
        self.good = ""

    def grant(self, token: str) -> None:
        self.good = token

    async def incoming(self, in_flight: InFlight) -> Json | None:
        token = in_flight.message.get("ext", {}).get("token")
        return None if token == self.good else {"error": "401::token expired"}


def served(server: BayeuxServer, client: Client, channel: str) -> bool:
    """Tell whether the present session of a client is subscribed."""
    return any(s.client_id == client.client_id for s in server.subscribers(channel))


# The forms


@BOTH
@pytest.mark.parametrize(
    "verdict",
    [
        {"error": INVALID},
        {"error": "401:why:not you"},
        {"error": "403::denied", "ext": {"sfdc": {"failureReason": INVALID}}},
    ],
    ids=["code", "code and args", "failureReason"],
)
async def test_a_publish_is_sent_again_with_new_credentials(
    kind: ConnectionType, verdict: Json
) -> None:
    login = Login()

    def can_publish(_: object, __: str, message: Json) -> Any:
        return True if message["ext"]["token"] == "t1" else verdict

    async with (
        BayeuxServer(can_publish=can_publish) as server,
        client_of(server, kind, auth=login) as client,
    ):
        assert (await client.publish("/a", 1))["successful"] is True
        assert login.calls == 1
        assert [m["ext"]["token"] for m in requests(server, "/a")] == ["t0", "t1"]
        assert (await client.publish("/a", 2))["successful"] is True
        assert login.calls == 1


@BOTH
async def test_a_subscribe_is_sent_again_with_new_credentials(kind: ConnectionType) -> None:
    login = Login()

    def can_subscribe(_: object, __: str, message: Json) -> Any:
        return True if message["ext"]["token"] == "t1" else INVALID

    async with (
        BayeuxServer(can_subscribe=can_subscribe) as server,
        client_of(server, kind, auth=login) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)
        assert login.calls == 1


@BOTH
@pytest.mark.parametrize("error", [INVALID, "403::handshake_denied", "403::Handshake denied"])
@pytest.mark.parametrize("advice", [None, NONE, RETRY, HANDSHAKE])
async def test_a_handshake_is_made_again_with_new_credentials(
    kind: ConnectionType, error: str, advice: Json | None
) -> None:
    login = Login()
    async with BayeuxServer() as server:
        server.faults.refuse_handshake(error, advice)
        async with client_of(server, kind, auth=login) as client:
            assert client.state is ClientState.CONNECTED
        assert login.calls == 1
        assert [m["ext"]["token"] for m in requests(server, "/meta/handshake")] == ["t0", "t1"]


@BOTH
@pytest.mark.parametrize("advice", [None, NONE, RETRY, HANDSHAKE])
async def test_a_connect_is_recovered_with_new_credentials(
    kind: ConnectionType, advice: Json | None
) -> None:
    login = Login()
    async with (
        BayeuxServer(timeout=0.05) as server,
        client_of(server, kind, auth=login) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        states = Recorder(client.state_changes)
        server.faults.refuse_connect(INVALID, advice)
        await states.until(
            lambda: login.calls == 1 and states.items[-1].state is ClientState.CONNECTED
        )
        await server.until(lambda: served(server, client, "/a"))
        await server.publish("/a", 1)
        await seen.count(1)
        retried = advice in (None, RETRY)
        assert len(requests(server, "/meta/handshake")) == (1 if retried else 2)


@BOTH
async def test_http_401_at_the_handshake_or_the_upgrade(kind: ConnectionType) -> None:
    authentication = BearerAuthentication()
    login = Login()
    login.grant = authentication.tokens.grant
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, kind, auth=login) as client,
    ):
        assert client.connection_type is kind
        assert login.calls == 1


async def test_an_upgrade_refused_for_want_of_credentials_does_not_disable_websocket() -> None:
    authentication = BearerAuthentication()
    login = Login()
    login.grant = authentication.tokens.grant
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, auth=login) as client,
    ):
        assert client.connection_type is WEBSOCKET


# Single flight


async def publish_many(client: Client, count: int, *, turns: int) -> list[Any]:
    """Publish concurrently, spread over some turns of the loop, so in several payloads."""
    tasks: list[asyncio.Task[Any]] = []
    for n in range(count):
        tasks.append(asyncio.create_task(client.publish("/a", n)))
        if n % (count // turns) == 0:
            await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


def assert_all_succeeded(results: list[Any]) -> None:
    failures = [result for result in results if isinstance(result, BaseException)]
    assert not failures, (len(failures), failures[0])
    assert all(reply["successful"] is True for reply in results)


@pytest.mark.parametrize("turns", [1, 10])
async def test_a_hundred_publishes_at_expiry_bearer_over_http(turns: int) -> None:
    authentication = BearerAuthentication()
    login = Login(authentication.tokens.grant)
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, LONG_POLLING, auth=login) as client,
    ):
        authentication.tokens.expire()
        assert_all_succeeded(await publish_many(client, 100, turns=turns))
        assert login.calls == 1
        # In order and, as the first time they did not get through, once.
        successful = [m["data"] for m in requests(server, "/a")]
        assert sorted(successful) == list(range(100))


@pytest.mark.parametrize("turns", [1, 10])
async def test_a_hundred_publishes_at_expiry_bearer_at_the_upgrade(turns: int) -> None:
    """The server looks at the token of the upgrade with each message."""
    authentication = SalesforceAuthentication()
    login = Login(authentication.tokens.grant)
    witness = Witness()
    async with (
        BayeuxServer(authentication=authentication, extensions=[witness]) as server,
        client_of(server, WEBSOCKET, auth=login) as client,
    ):
        client_id = client.client_id
        await held(server)
        authentication.tokens.expire()
        assert_all_succeeded(await publish_many(client, 100, turns=turns))
        assert login.calls == 1
        assert client.client_id == client_id
        assert witness.of("Authorization")[-1] == "Bearer t1"


async def test_a_hundred_publishes_while_the_upgrade_is_refused() -> None:
    authentication = BearerAuthentication()
    login = Login(authentication.tokens.grant)
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, WEBSOCKET, auth=login) as client,
    ):
        states = Recorder(client.state_changes)
        authentication.tokens.expire()
        await server.faults.close_websockets()
        await states.until(lambda: states.items[-1].state is ClientState.UNCONNECTED)
        assert_all_succeeded(await publish_many(client, 100, turns=10))
        assert login.calls == 1
        assert [m["data"] for m in requests(server, "/a")] == list(range(100))


@BOTH
@pytest.mark.parametrize("turns", [1, 10])
async def test_a_hundred_publishes_at_expiry_token_in_every_message(
    kind: ConnectionType, turns: int
) -> None:
    extension = TokenInEveryMessage()
    login = Login(extension.grant)
    async with (
        BayeuxServer(extensions=[extension], timeout=0.05) as server,
        client_of(server, kind, auth=login) as client,
    ):
        extension.good = "t1"
        assert_all_succeeded(await publish_many(client, 100, turns=turns))
        assert login.calls == 1
        seen = Recorder(client.channel("/b"))
        await subscribed(server, "/b")
        await server.publish("/b", 1)
        await seen.count(1)


@BOTH
@pytest.mark.parametrize("held_for", [0.05, 30])
async def test_a_hundred_publishes_at_expiry_token_of_the_handshake(
    kind: ConnectionType, held_for: float
) -> None:
    """Only a new session has new credentials: the server says so in its advice."""
    authentication = TokenAuthentication()
    login = Login(authentication.tokens.grant)
    async with (
        BayeuxServer(authentication=authentication, timeout=held_for) as server,
        client_of(server, kind, auth=login) as client,
    ):
        seen = Recorder(client.channel("/b"))
        await subscribed(server, "/b")
        authentication.tokens.expire()
        assert_all_succeeded(await publish_many(client, 100, turns=10))
        assert login.calls == 1
        await server.until(lambda: served(server, client, "/b"))
        await server.publish("/b", 1)
        await seen.count(1)


@BOTH
async def test_publishes_and_connects_share_one_flight(kind: ConnectionType) -> None:
    extension = TokenInEveryMessage()
    login = Login(extension.grant)
    async with (
        BayeuxServer(extensions=[extension], timeout=0.01) as server,
        client_of(server, kind, auth=login) as client,
    ):
        for round_ in range(1, 6):
            extension.good = f"t{round_}"
            assert_all_succeeded(await publish_many(client, 10, turns=5))
            assert login.calls == round_


# Once


@BOTH
@pytest.mark.parametrize("error", [INVALID])
async def test_a_second_failure_is_an_authentication_error(
    kind: ConnectionType, error: str
) -> None:
    login = Login()
    async with BayeuxServer() as server, client_of(server, kind, auth=login) as client:
        server.faults.refuse("/a", error, count=2)
        with pytest.raises(AuthenticationError) as caught:
            await client.publish("/a", 1)
        assert caught.value.error_code == 401
        assert login.calls == 1
        assert len(requests(server, "/a")) == 2
        # It was that request's matter: the session goes on.
        assert (await client.publish("/a", 2))["successful"] is True


async def test_a_second_http_401_is_an_authentication_error() -> None:
    login = Login()
    async with BayeuxServer() as server, client_of(server, LONG_POLLING, auth=login) as client:
        server.faults.respond_with(401, count=2, channel="/a")
        with pytest.raises(AuthenticationError, match="401"):
            await client.publish("/a", 1)
        assert login.calls == 1
        assert (await client.publish("/a", 2))["successful"] is True


@BOTH
@pytest.mark.parametrize("advice", [None, NONE, RETRY])
async def test_a_second_handshake_failure_ends_the_session(
    kind: ConnectionType, advice: Json | None
) -> None:
    login = Login()
    async with BayeuxServer() as server:
        server.faults.refuse_handshake(INVALID, advice, count=None)
        client = client_of(server, kind, auth=login, connection_timeout=None)
        async with asyncio.timeout(30):
            with pytest.raises(AuthenticationError):
                await client.open()
        assert login.calls == 1
        assert len(requests(server, "/meta/handshake")) == 2
        assert client.closed


@BOTH
async def test_a_second_connect_failure_ends_the_session(kind: ConnectionType) -> None:
    login = Login()
    async with BayeuxServer(timeout=0.05) as server:
        client = client_of(server, kind, auth=login)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.refuse_connect(INVALID, NONE, count=None)
        assert isinstance(await seen.fails(), AuthenticationError)
        assert login.calls == 1
        await client.close()


@BOTH
async def test_a_second_failure_of_a_subscribe_is_an_authentication_error(
    kind: ConnectionType,
) -> None:
    login = Login()
    async with BayeuxServer() as server, client_of(server, kind, auth=login) as client:
        server.faults.refuse_subscribe("/a", INVALID)
        seen = Recorder(client.channel("/a"))
        other = Recorder(client.channel("/b"))
        assert isinstance(await seen.fails(), AuthenticationError)
        assert login.calls == 1
        await subscribed(server, "/b")
        await server.publish("/b", 1)
        await other.count(1)


@BOTH
async def test_a_call_is_made_again_with_new_credentials(kind: ConnectionType) -> None:
    login = Login()

    def can_publish(_: object, __: str, message: Json) -> Any:
        return True if message["ext"]["token"] == "t1" else INVALID

    async with (
        BayeuxServer(can_publish=can_publish) as server,
        client_of(server, kind, auth=login) as client,
    ):

        @server.service("/service/echo")
        async def echo(request: ServiceRequest) -> Any:
            return request.data

        assert (await client.call("/service/echo", 7)).get("data") == 7
        assert login.calls == 1


@BOTH
async def test_subscriptions_are_renewed_in_a_session_with_new_credentials(
    kind: ConnectionType,
) -> None:
    """The session and the token are gone at once: handshake and resubscribes are refused."""
    extension = TokenInEveryMessage()
    login = Login(extension.grant)
    async with (
        BayeuxServer(extensions=[extension], timeout=0.05) as server,
        client_of(server, kind, auth=login) as client,
    ):
        channels = [f"/{n}" for n in range(20)]
        seen = {channel: Recorder(client.channel(channel)) for channel in channels}
        for channel in channels:
            await subscribed(server, channel)
        extension.good = "t1"
        server.faults.forget()
        for channel in channels:
            await server.until(lambda c=channel: served(server, client, c))  # type: ignore[misc]
            await server.publish(channel, 1)
            await seen[channel].count(1)
        assert login.calls == 1


@BOTH
async def test_closing_with_expired_credentials_asks_for_no_new_ones(kind: ConnectionType) -> None:
    extension = TokenInEveryMessage()
    login = Login(extension.grant)
    async with BayeuxServer(extensions=[extension]) as server:
        async with client_of(server, kind, auth=login) as client:
            await held(server)
            seen = Recorder(client.channel("/a"))
            await subscribed(server, "/a")
            extension.good = "another"
        assert seen.completed
        assert login.calls == 0


# What is asked anew


@BOTH
async def test_the_new_handshake_asks_headers_and_fields_anew(kind: ConnectionType) -> None:
    witness = Witness()
    tokens = ["t0"]

    class Renew(AuthExtension):
        async def authenticate(self) -> None:
            tokens.append(f"t{len(tokens)}")

    async def headers() -> dict[str, str]:
        return {"X-Token": tokens[-1]}

    def fields() -> dict[str, Any]:
        return {"ext": {"token": tokens[-1]}}

    async with BayeuxServer(extensions=[witness]) as server:
        server.faults.refuse_handshake("403::handshake_denied", NONE)
        async with client_of(
            server, kind, auth=Renew(), headers=headers, handshake_fields=fields
        ) as client:
            await client.publish("/a", 1)
        assert [m["ext"]["token"] for m in requests(server, "/meta/handshake")] == ["t0", "t1"]
    assert tokens == ["t0", "t1"]
    assert set(witness.of("X-Token")) == {"t1"}  # refused ones are not seen by extensions


@BOTH
async def test_headers_of_the_users_are_renewed_with_the_upgrade(kind: ConnectionType) -> None:
    """The credentials are in ``headers``; the extension only renews them."""
    authentication = SalesforceAuthentication("t0")
    current = ["t0"]

    class Renew(AuthExtension):
        async def authenticate(self) -> None:
            current[0] = f"t{int(current[0][1:]) + 1}"
            authentication.tokens.grant(current[0])

    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(
            server, kind, auth=Renew(), headers=lambda: {"Authorization": f"Bearer {current[0]}"}
        ) as client,
    ):
        await held(server)
        authentication.tokens.expire("t0")
        assert_all_succeeded(await publish_many(client, 20, turns=4))
        assert current == ["t1"]


# Salesforce


def salesforce(authentication: SalesforceAuthentication, **options: Any) -> BayeuxServer:
    return BayeuxServer(salesforce=True, authentication=authentication, timeout=0.05, **options)


async def test_salesforce_handshake_denied_for_the_reason_in_ext() -> None:
    authentication = SalesforceAuthentication()
    login = Login()
    login.grant = authentication.tokens.grant
    async with salesforce(authentication) as server, client_of(server, auth=login) as client:
        assert client.connection_type is LONG_POLLING
        assert login.calls == 1


async def test_salesforce_connect_refused_after_a_goodbye() -> None:
    authentication = SalesforceAuthentication()
    login = Login(authentication.tokens.grant)
    async with salesforce(authentication) as server, client_of(server, auth=login) as client:
        seen = Recorder(client.channel("/event/X__e"))
        goodbyes = Recorder(client.meta("/meta/disconnect"))
        await subscribed(server, "/event/X__e")
        old = client.client_id
        authentication.tokens.expire()
        await server.until(lambda: login.calls == 1 and old not in (client.client_id, None))
        await server.until(lambda: served(server, client, "/event/X__e"))
        await server.publish("/event/X__e", {"payload": 1})
        await seen.count(1)
        assert goodbyes.items
        assert login.calls == 1


async def test_salesforce_publishes_at_expiry() -> None:
    authentication = SalesforceAuthentication()
    login = Login(authentication.tokens.grant)
    async with salesforce(authentication) as server, client_of(server, auth=login) as client:
        authentication.tokens.expire()
        assert_all_succeeded(await publish_many(client, 100, turns=10))
        assert login.calls == 1


@pytest.mark.parametrize("status", [200, 401])
async def test_salesforce_bare_errors(status: int) -> None:
    """A request without a token is answered with one element that names nothing."""
    authentication = SalesforceAuthentication(http_status=status)

    class LateLogin(Login):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            if self.calls:
                await super().outgoing(payload, headers)

    login = LateLogin()
    login.grant = authentication.tokens.grant
    async with salesforce(authentication) as server, client_of(server, auth=login) as client:
        assert client.state is ClientState.CONNECTED
        assert login.calls == 1


@pytest.mark.parametrize("kinds", [None, LONG_POLLING])
async def test_salesforce_unknown_client_is_no_authentication_failure(
    kinds: ConnectionType | None,
) -> None:
    authentication = SalesforceAuthentication()
    login = Login(authentication.tokens.grant)
    async with salesforce(authentication) as server, client_of(server, kinds, auth=login) as client:
        seen = Recorder(client.channel("/event/X__e"))
        await subscribed(server, "/event/X__e")
        old = client.client_id
        server.faults.forget()
        await server.until(lambda: len(requests(server, "/meta/handshake")) == 2)
        await server.until(lambda: served(server, client, "/event/X__e"))
        await server.publish("/event/X__e", {"payload": 1})
        await seen.count(1)
        assert client.client_id != old
        assert login.calls == 0


@BOTH
@pytest.mark.parametrize(
    "error", ["403::Unknown client", "401:x1:Unknown client", "402::session_unknown"]
)
@pytest.mark.parametrize("advice", [None, HANDSHAKE])
async def test_unknown_clients_shake_hands_without_new_credentials(
    kind: ConnectionType, error: str, advice: Json | None
) -> None:
    login = Login()
    async with (
        BayeuxServer(timeout=0.05) as server,
        client_of(server, kind, auth=login) as client,
    ):
        states = Recorder(client.state_changes)
        server.faults.refuse_connect(error, advice)
        await states.until(lambda: len(requests(server, "/meta/handshake")) == 2)
        await states.until(lambda: states.items[-1].state is ClientState.CONNECTED)
        assert login.calls == 0


@BOTH
async def test_an_unknown_client_told_to_a_publish_is_no_authentication_failure(
    kind: ConnectionType,
) -> None:
    login = Login()
    async with BayeuxServer() as server, client_of(server, kind, auth=login) as client:
        server.faults.refuse("/a", "403::Unknown client")
        with pytest.raises(ServerError) as caught:
            await client.publish("/a", 1)
        assert not isinstance(caught.value, AuthenticationError)
        assert login.calls == 0


@BOTH
async def test_a_publish_that_is_forbidden_is_no_authentication_failure(
    kind: ConnectionType,
) -> None:
    login = Login()
    async with BayeuxServer() as server, client_of(server, kind, auth=login) as client:
        server.faults.refuse("/a", "403:denied_by_security_policy:publish_denied")
        with pytest.raises(ServerError) as caught:
            await client.publish("/a", 1)
        assert not isinstance(caught.value, AuthenticationError)
        assert login.calls == 0


# No new credentials


@BOTH
async def test_a_failed_login_fails_what_waited_for_it(kind: ConnectionType) -> None:
    login = Login()
    login.error = OSError("the login server is down")
    async with BayeuxServer() as server, client_of(server, kind, auth=login) as client:
        server.faults.refuse("/a", INVALID, count=3)
        results = await asyncio.gather(
            *(client.publish("/a", n) for n in range(3)), return_exceptions=True
        )
        for result in results:
            assert isinstance(result, AuthenticationError)
            assert result.__cause__ is login.error
        assert login.calls == 1
        assert client.state is ClientState.CONNECTED
        login.error = None
        server.faults.refuse("/a", INVALID)
        assert (await client.publish("/a", 1))["successful"] is True
        assert login.calls == 2


class CancelledLogin(AuthExtension):
    """Awaits what others cancel."""

    async def authenticate(self) -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError


@BOTH
async def test_a_login_that_meets_a_cancellation_has_failed(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, auth=CancelledLogin()) as client:
        server.faults.refuse("/a", INVALID)
        async with asyncio.timeout(30):
            with pytest.raises(AuthenticationError) as caught:
                await client.publish("/a", 1)
        cause = caught.value.__cause__
        assert str(cause) == "`authenticate` raised CancelledError"
        assert isinstance(cause, ClientError)
        assert isinstance(cause.__cause__, asyncio.CancelledError)
        assert (await client.publish("/a", 2))["successful"] is True


@BOTH
async def test_a_failed_login_at_the_handshake_fails_the_opening(kind: ConnectionType) -> None:
    login = Login()
    login.error = OSError("the login server is down")
    async with BayeuxServer() as server:
        server.faults.refuse_handshake("403::handshake_denied", NONE)
        client = client_of(server, kind, auth=login, connection_timeout=None)
        with pytest.raises(AuthenticationError) as caught:
            await client.open()
        assert caught.value.__cause__ is login.error
        login.error = None
        async with client:  # it can be opened again
            assert client.state is ClientState.CONNECTED


@BOTH
async def test_an_auth_extension_with_static_credentials(kind: ConnectionType) -> None:
    """As aiocometd has it: ``authenticate`` need not be written."""

    class Static(AuthExtension):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            headers["Authorization"] = "Bearer t"

    async with (
        BayeuxServer(authentication=BearerAuthentication("t")) as server,
        client_of(server, kind, auth=Static()) as client,
    ):
        await client.publish("/a", 1)
        server.faults.refuse("/a", INVALID, count=2)
        with pytest.raises(AuthenticationError):
            await client.publish("/a", 2)
    async with BayeuxServer(authentication=BearerAuthentication("other")) as server:
        with pytest.raises(AuthenticationError):
            await client_of(server, kind, auth=Static()).open()


@BOTH
async def test_closing_does_not_wait_for_a_login(kind: ConnectionType) -> None:
    class Endless(AuthExtension):
        async def authenticate(self) -> None:
            await asyncio.get_running_loop().create_future()

    async with BayeuxServer() as server:
        client = client_of(server, kind, auth=Endless())
        await client.open()
        server.faults.refuse("/a", INVALID)
        publish = asyncio.ensure_future(client.publish("/a", 1))
        await server.until(lambda: requests(server, "/a"))
        async with asyncio.timeout(30):
            await client.close()
        with pytest.raises(TransportConnectionClosed):
            await publish


@BOTH
@pytest.mark.parametrize("connection_timeout", [90.0, None])
async def test_without_auth_http_401_ends_at_once(
    kind: ConnectionType, connection_timeout: float | None
) -> None:
    async with BayeuxServer(authentication=BearerAuthentication("t")) as server:
        client = client_of(server, kind, connection_timeout=connection_timeout)
        begun = time.monotonic()
        with pytest.raises(AuthenticationError):
            await client.open()
        assert time.monotonic() - begun < 30


@BOTH
@pytest.mark.parametrize("error", [INVALID, "403::handshake_denied"])
@pytest.mark.parametrize("advice", [None, NONE])
async def test_without_auth_a_refused_handshake_ends_at_once(
    kind: ConnectionType, error: str, advice: Json | None
) -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_handshake(error, advice, count=None)
        client = client_of(server, kind, connection_timeout=None)
        async with asyncio.timeout(30):
            with pytest.raises(AuthenticationError):
                await client.open()


@BOTH
@pytest.mark.parametrize("advice", [None, NONE])
async def test_without_auth_a_refused_connect_ends_at_once(
    kind: ConnectionType, advice: Json | None
) -> None:
    async with BayeuxServer(timeout=0.05) as server:
        client = client_of(server, kind, connection_timeout=None)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        server.faults.refuse_connect(INVALID, advice, count=None)
        assert isinstance(await seen.fails(), AuthenticationError)
        await client.close()


@BOTH
async def test_without_auth_a_refused_publish_is_an_authentication_error(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        server.faults.refuse("/a", INVALID)
        with pytest.raises(AuthenticationError):
            await client.publish("/a", 1)


# bearer_auth


class CountingBearer(BearerAuth):
    """Counts how often the server had to say that a token is bad."""

    failures = 0

    async def authenticate(self) -> None:
        self.failures += 1
        await super().authenticate()


async def test_a_bearer_token_is_renewed_ahead_of_its_expiry() -> None:
    authentication = BearerAuthentication()
    given: list[float] = []
    loop = asyncio.get_running_loop()
    lifetime = 0.6

    async def provider() -> tuple[str, float]:
        token = f"t{len(given)}"
        given.append(loop.time())
        authentication.tokens.grant(token)
        # Later than it says: the machine may stall between renewing one and using it.
        loop.call_later(lifetime + 5, authentication.tokens.expire, token)
        return token, lifetime

    auth = CountingBearer(provider, margin=0.2)
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, LONG_POLLING, auth=auth) as client,
        asyncio.timeout(60),
    ):
        while len(given) < 4:
            await client.publish("/a", 1)
    assert auth.failures == 0
    assert min(later - earlier for earlier, later in pairwise(given)) < lifetime


@BOTH
async def test_a_hundred_publishes_with_bearer_auth(kind: ConnectionType) -> None:
    authentication = SalesforceAuthentication()
    given: list[str] = []

    async def provider() -> str:
        await asyncio.sleep(0.01)  # a token service takes its time
        given.append(f"t{len(given)}")
        authentication.tokens.grant(given[-1])
        return given[-1]

    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, kind, auth=bearer_auth(provider)) as client,
    ):
        await held(server)
        authentication.tokens.expire()
        assert_all_succeeded(await publish_many(client, 100, turns=10))
        assert given == ["t0", "t1"]


class Stuck(Login):
    """Never gets new credentials, and remembers that it was told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled = 0

    async def authenticate(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


@BOTH
async def test_authenticate_that_never_ends_is_cancelled(kind: ConnectionType) -> None:
    auth = Stuck()
    async with (
        BayeuxServer() as server,
        client_of(server, kind, auth=auth, max_network_delay=0.5) as client,
    ):
        server.faults.refuse("/a", INVALID, count=1)
        async with asyncio.timeout(30):
            with pytest.raises(AuthenticationError, match="max_network_delay"):
                await client.publish("/a", 1)
        assert auth.cancelled == 1
        assert (await client.publish("/b", 1))["successful"] is True


@BOTH
async def test_closing_cancels_authenticate(kind: ConnectionType) -> None:
    auth = Stuck()
    async with BayeuxServer() as server:
        client = client_of(server, kind, auth=auth, max_network_delay=60.0)
        await client.open()
        server.faults.refuse("/a", INVALID, count=1)
        publish = asyncio.ensure_future(client.publish("/a", 1))
        await server.until(lambda: bool(requests(server, "/a")))
        await client.close()
        with pytest.raises(CometDError):
            await publish
