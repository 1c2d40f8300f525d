"""The life of a client: opening, closing, negotiation, and what it tells of itself."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rx_cometd import (
    Client,
    ClientError,
    ClientInvalidOperation,
    ClientState,
    ConnectionType,
    InvalidChannelError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    NO_MORE,
    WEBSOCKET,
    Recorder,
    client_of,
    facts,
    held,
    quickly,
    requests,
    subscribed,
)
from tests.integration.stores.servers import free_port

pytestmark = pytest.mark.usefixtures("nothing_left")


def _refuse(*_: object) -> str:
    return "403::no"


# Opening and closing


@BOTH
async def test_open_and_close(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        assert facts(client) == (True, ClientState.DISCONNECTED, None)
        await client.open()
        assert facts(client) == (False, ClientState.CONNECTED, kind)
        assert list(server.sessions) == [client.client_id]
        await client.close()
        assert facts(client) == (True, ClientState.DISCONNECTED, None)
        assert client.client_id is None
        assert not server.sessions
        assert [m["channel"] for m in requests(server, "/meta/disconnect")] == ["/meta/disconnect"]


async def test_the_default_is_websocket_by_a_handshake_on_it() -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        assert client.connection_type is WEBSOCKET
        assert {kind for kind, _ in server.received} == {WEBSOCKET}


@BOTH
async def test_open_twice_is_refused(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        with pytest.raises(ClientInvalidOperation, match="open already"):
            await client.open()
        assert client.state is ClientState.CONNECTED


async def test_open_while_opening_is_refused() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        opening = asyncio.create_task(client.open())
        await asyncio.sleep(0)
        with pytest.raises(ClientInvalidOperation):
            await client.open()
        await opening
        await client.close()


@BOTH
async def test_close_is_idempotent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.close()
        await client.open()
        await asyncio.gather(client.close(), client.close())
        await client.close()
        assert len(requests(server, "/meta/disconnect")) == 1


@BOTH
async def test_a_closed_client_can_be_opened_again(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        for value in range(2):
            async with client:
                seen = Recorder(client.channel("/a"))
                await client.publish("/a", value)
                await seen.count(1)
            assert seen.data == [value]
            assert seen.completed
        assert client.statistics().handshakes == 2


@BOTH
async def test_a_session_that_ended_can_be_opened_again_without_closing(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await held(server)
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        assert isinstance(await seen.fails(), ServerError)
        assert client.closed
        await client.open()
        await client.publish("/a", 1)
        await client.close()


@BOTH
async def test_closing_right_after_the_session_ended_leaves_nothing(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        seen = Recorder(client.channel("/a"))
        await held(server)
        await server.disconnect(client.client_id or "", advice=NO_MORE)
        await seen.fails()
        await client.close()
        assert not {t for t in asyncio.all_tasks() if "rx_cometd.session" in t.get_name()}
        assert not {t for t in asyncio.all_tasks() if "rx_cometd.link" in t.get_name()}


@BOTH
async def test_an_error_in_the_block_closes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        with pytest.raises(LookupError):
            async with client:
                raise LookupError
        assert client.closed
        assert not server.sessions


async def test_closing_ends_with_code_1000_after_the_disconnect() -> None:
    codes: list[tuple[int | None, bool]] = []
    async with BayeuxServer() as server:
        async with client_of(server, WEBSOCKET) as client:
            (session,) = server.sessions.values()
            link = session.link
            assert link is not None
            ws: Any = vars(link)["_ws"]
        await server.until(lambda: ws.closed)
        codes.append((ws.close_code, bool(requests(server, "/meta/disconnect"))))
    assert client.closed
    assert codes == [(1000, True)]


# Opening that fails


@BOTH
async def test_nothing_listens(kind: ConnectionType) -> None:
    client = client_of(f"http://127.0.0.1:{free_port()}/cometd", kind, connection_timeout=0.1)
    with pytest.raises(TransportTimeoutError) as caught:
        await client.open()
    assert isinstance(caught.value.__cause__, TransportError)
    assert client.closed


@BOTH
async def test_opening_waits_for_the_server(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        await server.stop()
        client = client_of(server, [kind])
        opening = asyncio.create_task(client.open())
        changes = Recorder(client.state_changes)
        await changes.until(lambda: any(c.error for c in changes.items))
        await server.start()
        await opening
        assert client.connection_type is kind
        await client.close()


async def test_a_network_error_never_disables_a_transport() -> None:
    async with BayeuxServer() as server:
        await server.stop()
        client = client_of(server)
        opening = asyncio.create_task(client.open())
        changes = Recorder(client.state_changes)
        await changes.until(lambda: sum(bool(c.error) for c in changes.items) > 5)
        await server.start()
        await opening
        assert client.connection_type is WEBSOCKET
        await client.close()


@BOTH
async def test_a_refused_handshake_with_advice_none(kind: ConnectionType) -> None:
    async with BayeuxServer(can_handshake=_refuse) as server:
        client = client_of(server, kind)
        with pytest.raises(ServerError) as caught:
            await client.open()
        assert (caught.value.error_code, caught.value.error_message) == (403, "no")
        assert caught.value.advice["reconnect"] == "none"
        assert client.closed
        assert len(requests(server, "/meta/handshake")) == 1


@BOTH
async def test_a_refused_handshake_with_advice_handshake_is_tried_again(
    kind: ConnectionType,
) -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_handshake("500::later", {"reconnect": "handshake"}, count=2)
        async with client_of(server, kind):
            assert len(requests(server, "/meta/handshake")) == 3


async def test_one_connection_type_means_that_one_or_fail() -> None:
    async with BayeuxServer(connection_types=[LONG_POLLING]) as server:
        with pytest.raises(ClientError, match="websocket"):
            await client_of(server, WEBSOCKET).open()
    async with BayeuxServer(connection_types=[WEBSOCKET]) as server:
        with pytest.raises(ClientError, match="long-polling"):
            await client_of(server, LONG_POLLING).open()


@pytest.mark.parametrize("status", [400, 404, 405, 426, 501])
async def test_a_refused_upgrade_falls_back(status: int) -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_websocket(status)
        started = time.monotonic()
        never: Any = lambda: iter([300.0])  # noqa: E731
        async with client_of(server, backoff=never, connection_timeout=None) as client:
            assert client.connection_type is LONG_POLLING
        assert time.monotonic() - started < 60


async def test_a_200_in_place_of_an_upgrade_falls_back() -> None:
    async with BayeuxServer() as server:
        server.faults.refuse_websocket(200)
        async with client_of(server) as client:
            assert client.connection_type is LONG_POLLING


async def test_a_server_with_long_polling_only() -> None:
    async with BayeuxServer(connection_types=[LONG_POLLING]) as server, client_of(server) as client:
        assert client.connection_type is LONG_POLLING


async def test_a_server_with_websocket_only_for_one_who_prefers_the_other() -> None:
    types = [LONG_POLLING, WEBSOCKET]
    async with BayeuxServer(connection_types=[WEBSOCKET]) as server:
        client = Client(server.url, types, backoff=quickly)
        async with client:
            assert client.connection_type is WEBSOCKET


@pytest.mark.parametrize("listed", [["callback-polling"], ["eventsource", "x"]])
async def test_no_common_connection_type(listed: list[str]) -> None:
    async with BayeuxServer() as server:
        server.faults.rewrite("/meta/handshake", {"supportedConnectionTypes": listed})
        client = client_of(server)
        with pytest.raises(ClientError, match="websocket, long-polling"):
            await client.open()
        assert client.closed


async def test_the_handshake_reply_decides() -> None:
    async with BayeuxServer() as server:
        server.faults.rewrite("/meta/handshake", {"supportedConnectionTypes": ["long-polling"]})
        async with client_of(server) as client:
            seen = Recorder(client.channel("/a"))
            await client.publish("/a", 1)
            await seen.count(1)
            assert client.connection_type is LONG_POLLING
            assert requests(server, "/meta/connect")[0]["connectionType"] == "long-polling"


async def test_a_failing_server_is_no_reason_to_fall_back_for_good() -> None:
    async with BayeuxServer() as server:
        server.faults.respond_with(503, count=4)
        async with client_of(server) as client:
            assert client.connection_type in set(ConnectionType)
        async with client_of(server) as client:
            assert client.connection_type is WEBSOCKET


# Cancellation


@BOTH
@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_cancelling_open_leaves_nothing(kind: ConnectionType, turns: int) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        opening = asyncio.create_task(client.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if opening.cancelled():
            assert facts(client) == (True, ClientState.DISCONNECTED, None)
        else:
            await client.close()
        async with client:
            await client.publish("/a", 1)


@BOTH
async def test_cancelling_open_while_the_server_is_silent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.stall()
        client = client_of(server, kind)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await client.open()
        assert client.closed
        server.faults.resume()
        async with client:
            pass


async def test_cancelling_open_does_not_end_the_session_of_observers() -> None:
    async with BayeuxServer() as server:
        client = client_of(server)
        seen = Recorder(client.channel("/a"))
        opening = asyncio.create_task(client.open())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await subscribed(server, "/a")
        await server.publish("/a", 1)
        await seen.count(1)
        seen.subscription.dispose()
        await server.until(lambda: not server.sessions)
        await client.close()


@BOTH
async def test_cancelling_close_does_not_stop_it(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        await client.open()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        assert closing.cancelled()
        await client.close()
        assert not server.sessions


@BOTH
async def test_closing_while_opening(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        opening = asyncio.create_task(client.open())
        await server.until(lambda: server.received)
        await client.close()
        with pytest.raises(ClientInvalidOperation):
            await opening
        assert client.closed


# Closing when the server is dead


@BOTH
async def test_closing_is_quick_when_the_server_is_silent(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind, max_network_delay=90.0)
        await client.open()
        await held(server)
        server.faults.stall()
        publishing = asyncio.create_task(client.publish("/a", 1))
        await asyncio.sleep(0.05)  # the publish is out: the server is silent, and cannot tell
        started = time.monotonic()
        await client.close()
        assert time.monotonic() - started < 1.5 + 20
        with pytest.raises((TransportError, ClientInvalidOperation)):
            await publishing


async def closing(client: Client, times: list[float]) -> None:
    """Close, and note how long it took."""
    started = time.monotonic()
    await client.close()
    times.append(time.monotonic() - started)


@BOTH
async def test_closing_is_quick_when_the_server_is_gone(kind: ConnectionType) -> None:
    times: list[float] = []
    for _ in range(5):  # the machine may stall in some of them
        async with BayeuxServer() as server:
            client = client_of(server, kind)
            await client.open()
            await server.stop()
            await closing(client, times)
    assert min(times) < 0.5


@BOTH
async def test_a_live_server_is_left_at_once(kind: ConnectionType) -> None:
    times: list[float] = []
    async with BayeuxServer() as server:
        for _ in range(5):  # the machine may stall in some of them
            client = client_of(server, kind)
            await client.open()
            await held(server)
            await closing(client, times)
    assert min(times) < 0.3


# What cannot be


@pytest.mark.parametrize(
    "url", ["", "cometd", "localhost/cometd", "ftp://host/", "http:///x", "http://h:99999/"]
)
async def test_no_address(url: str) -> None:
    with pytest.raises(ClientError):
        Client(url)


async def test_no_connection_type() -> None:
    with pytest.raises(ClientError):
        Client("http://localhost/", [])
    with pytest.raises(ClientError):
        Client("http://localhost/", "carrier-pigeon")


@pytest.mark.parametrize(
    "name",
    ["", "a", "/", "/a/", "//a", "/a/*/b", "/a*", "/**/a", "/a\n", "/meta/connect", "/meta/x"],
)
async def test_an_impossible_channel_raises_at_once(name: str) -> None:
    client = Client("http://localhost/")
    with pytest.raises(InvalidChannelError):
        client.channel(name)
    with pytest.raises(InvalidChannelError):
        await client.subscribe(name)
    with pytest.raises(InvalidChannelError):
        await client.publish(name, 1)


@pytest.mark.parametrize("name", ["/a/*", "/**"])
async def test_globs_take_no_messages(name: str) -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        with pytest.raises(InvalidChannelError):
            await client.publish(name, 1)
        with pytest.raises(InvalidChannelError):
            await client.call(name, 1)
        with pytest.raises(InvalidChannelError):
            await client.channel(name).publish(1)


@pytest.mark.parametrize("name", ["/a", "/service/a", "meta", "/meta/*", "/meta/**"])
async def test_what_is_no_meta_channel(name: str) -> None:
    with pytest.raises(InvalidChannelError):
        Client("http://localhost/").meta(name)


async def test_nothing_works_before_opening() -> None:
    client = Client("http://localhost/")
    with pytest.raises(ClientInvalidOperation):
        await client.publish("/a", 1)
    with pytest.raises(ClientInvalidOperation):
        await client.call("/service/a", 1)
    with pytest.raises(ClientInvalidOperation):
        await client.subscribe("/a")
    with pytest.raises(ClientInvalidOperation):
        await client.unsubscribe("/a")
    with pytest.raises(ClientInvalidOperation):
        await client.receive()
    with pytest.raises(ClientInvalidOperation), client.batch():
        pass
    with pytest.raises(ClientInvalidOperation):
        client.publish_threadsafe("/a", 1)
    assert [message async for message in client] == []
    assert client.pending_count == 0
    assert not client.has_pending_messages
    assert client.subscriptions == frozenset()


# What it tells of itself


async def test_repr() -> None:
    async with BayeuxServer() as server:
        client = client_of(server, LONG_POLLING)
        assert repr(client) == f"<Client {server.url} DISCONNECTED no transport>"
        async with client:
            assert repr(client) == f"<Client {server.url} CONNECTED long-polling>"


def test_repr_shows_no_credential() -> None:
    client = Client(
        "https://user:secret@example.com/cometd?token=secret#secret",
        headers={"Authorization": "secret"},
        handshake_fields={"ext": {"token": "secret"}},
        proxy="http://user:secret@proxy:1",
    )
    assert "secret" not in repr(client)
    assert repr(client.channel("/a")) == "<Channel /a>"


@pytest.mark.parametrize(
    "url", ["ftp://u:secret@host/?token=secret", "http://u:secret@/x?token=secret", "u:secret@h/x"]
)
def test_a_bad_address_shows_no_credential(url: str) -> None:
    with pytest.raises(ClientError) as caught:
        Client(url)
    assert "secret" not in str(caught.value)
