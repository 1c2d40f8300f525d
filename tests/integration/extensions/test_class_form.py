"""Extensions as classes, as written for aiocometd: unchanged but for the import."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Dict, List, Optional  # noqa: UP035 - as users wrote it

import pytest

from rx_cometd import AuthExtension, Client, ConnectionType, Extension, ExtensionError
from rx_cometd.testing import BayeuxServer, BearerAuthentication
from tests.integration.client_driver import BOTH, Recorder, client_of, held, requests, subscribed
from tests.integration.extensions.driver import Witness

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rx_cometd import Message

pytestmark = pytest.mark.usefixtures("nothing_left")

Payload = List[Any]  # noqa: UP006
Headers = Dict[str, str]  # noqa: UP006


# What users of aiocometd have


class Signature(Extension):
    """Adds to every message, and to the headers; remembers what came."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.received: list[Any] = []
        self.received_headers: list[Any] = []

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        self.log.append(f"{self.name} out")
        headers[f"X-{self.name}"] = "signed"
        for message in payload:
            message.setdefault("ext", {})[self.name] = "signed"

    async def incoming(self, payload: Payload, headers: Optional[Headers] = None) -> None:  # type: ignore[override]  # noqa: UP045  # pyright: ignore[reportIncompatibleMethodOverride]
        self.log.append(f"{self.name} in")
        self.received.extend(payload)
        self.received_headers.append(headers)
        for message in payload:
            if "data" in message:
                message["data"] = f"{message['data']}+{self.name}"


class Bearer(AuthExtension):
    """An expiring token in a header."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.token = tokens.pop(0)

    async def outgoing(self, payload: Payload, headers: Headers) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        headers["Authorization"] = f"Bearer {self.token}"

    async def incoming(self, payload: Payload, headers: Optional[Headers] = None) -> None:  # type: ignore[override]  # noqa: UP045  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    async def authenticate(self) -> None:
        await asyncio.sleep(0)
        self.token = self.tokens.pop(0)


@BOTH
async def test_aiocometds_users_code(kind: ConnectionType) -> None:
    witness, log = Witness(), list[str]()
    one, two = Signature("one", log), Signature("two", log)
    async with (
        BayeuxServer(timeout=0.2, extensions=[witness]) as server,
        Client(server.url, kind, extensions=[one, two]) as client,
    ):
        await client.subscribe("/chat")
        response = await client.publish("/chat", "hello")
        assert response["successful"] is True
        assert (await client.receive())["data"] == "hello+one+two"
        assert client.subscriptions == {"/chat"}
        for _, payload in server.received:
            for message in payload:
                assert message["ext"] == {"one": "signed", "two": "signed"}
        await client.unsubscribe("/chat")
    assert set(witness.of("X-one")) == set(witness.of("X-two")) == {"signed"}
    assert log[:4] == ["one out", "two out", "one in", "two in"]
    assert {m["channel"] for m in one.received} >= {"/meta/handshake", "/meta/connect", "/chat"}
    if kind is ConnectionType.WEBSOCKET:
        assert set(one.received_headers) == {None}
    else:
        assert all("Content-Type" in headers for headers in one.received_headers)


@BOTH
async def test_aiocometds_auth_extension(kind: ConnectionType) -> None:
    authentication = BearerAuthentication("good")
    auth = Bearer(["expired", "good"])
    async with (
        BayeuxServer(authentication=authentication) as server,
        client_of(server, kind, auth=auth) as client,
    ):
        await client.publish("/a", 1)
    assert auth.tokens == []


@BOTH
async def test_credentials_are_put_in_last_and_seen_first(kind: ConnectionType) -> None:
    order: list[str] = []

    class Auth(AuthExtension):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            order.append("auth out")
            assert headers.get("X-one", "signed") == "signed"

        async def incoming(
            self, payload: list[Message], headers: MutableMapping[str, str] | None = None
        ) -> None:
            order.append("auth in")

    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[Signature("one", order)], auth=Auth()),
    ):
        pass
    assert order[:4] == ["one out", "auth out", "auth in", "one in"]


@BOTH
async def test_payloads_keep_their_order(kind: ConnectionType) -> None:
    """The first payload takes longest, both ways."""

    class Slow(Extension):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            if any(m.get("data") == 0 for m in payload):
                await asyncio.sleep(0.05)

        async def incoming(
            self, payload: list[Message], headers: MutableMapping[str, str] | None = None
        ) -> None:
            if any(m.get("data") == 0 for m in payload):
                await asyncio.sleep(0.05)

    async with (
        BayeuxServer(timeout=0.2) as server,
        client_of(server, kind, extensions=[Slow()]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        async with asyncio.TaskGroup() as group:
            for n in range(5):
                group.create_task(client.publish("/a", n))
                await asyncio.sleep(0)
        await seen.count(5)
        assert [m["data"] for m in requests(server, "/a")] == list(range(5))
        assert seen.data == list(range(5))


class Failing(Extension):
    """Fails with what has the data ``"bad"``, after a while."""

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        await self._look(payload)

    async def incoming(
        self, payload: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        await self._look(payload)

    async def _look(self, payload: list[Message]) -> None:
        if any(m.get("data") == "bad" for m in payload):
            await asyncio.sleep(0.01)
            raise ValueError("not this one")


@BOTH
async def test_one_that_raises_fails_the_requests_of_that_payload_alone(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    extensions = [Failing(), Signature("one", []), Failing()]
    async with (
        BayeuxServer(timeout=0.02) as server,  # connects are in the pipeline all the time
        client_of(server, kind, extensions=extensions) as client,
    ):
        states = Recorder(client.state_changes)
        for n in range(5):
            with pytest.raises(ExtensionError) as caught:
                await client.publish("/a", "bad")
            assert isinstance(caught.value.__cause__, ValueError)
            assert (await client.publish("/a", n))["successful"] is True
        assert [m["data"] for m in requests(server, "/a")] == list(range(5))
        # No connect was taken along.
        assert [change.state.name for change in states.items] == ["CONNECTED"]
    assert "not this one" in caplog.text


@BOTH
async def test_one_that_raises_loses_no_event(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        BayeuxServer(timeout=1) as server,
        client_of(server, kind, extensions=[Failing()]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        for data in ("bad", "good", "bad", "good"):
            await held(server)
            await server.publish("/a", data)
        await seen.until(lambda: len(seen.items) >= 4)
        assert seen.data == ["bad", "good", "bad", "good"]
    assert "not this one" in caplog.text


@BOTH
async def test_only_one_direction_written(kind: ConnectionType) -> None:
    class Stamp(Extension):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            for message in payload:
                message["ext"] = {"stamp": 1}

    assert Stamp().operators().inbound is None
    async with BayeuxServer() as server, client_of(server, kind, extensions=[Stamp()]) as client:
        await client.publish("/a", 1)
        assert [m["ext"] for m in requests(server, "/a")] == [{"stamp": 1}]


@BOTH
async def test_messages_may_be_added_and_taken_out_in_place(kind: ConnectionType) -> None:
    class Editor(Extension):
        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            payload[:] = [m for m in payload if m.get("data") != "secret"]

        async def incoming(
            self, payload: list[Message], headers: MutableMapping[str, str] | None = None
        ) -> None:
            payload.extend([m for m in payload if m.get("data") == "twice"])

    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[Editor()]) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        with pytest.raises(ExtensionError, match="dropped"):
            await client.publish("/a", "secret")
        await client.publish("/a", "twice")
        await seen.count(2)
        assert seen.data == ["twice", "twice"]
