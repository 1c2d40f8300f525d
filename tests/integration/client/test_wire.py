"""What comes is garbage, what goes is too large, and what is counted."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from rx_cometd import (
    ClientError,
    CometDError,
    ConnectionType,
    ProtocolError,
    Statistics,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import (
    BOTH,
    LONG_POLLING,
    WEBSOCKET,
    Json,
    Recorder,
    client_of,
    held,
    payloads_with,
    requests,
    subscribed,
)

pytestmark = pytest.mark.usefixtures("nothing_left")

GARBAGE: dict[str, str | bytes] = {
    "text": "garbage",
    "html": "<html>502 Bad Gateway</html>",
    "half": '[{"channel": "/a", "data',
    "object": "{}",
    "foreign object": '{"error": "500::x", "y": 1}',
    "null": "null",
    "number": "17",
    "string": '"/meta/connect"',
    "scalars": '[1, "a", null, true]',
    "nested": "[[[[]]]]",
    "deep": "[" * 100_000,
    "empty objects": "[{}, {}]",
    "no channel": '[{"data": 1}, {"id": "1"}, {"successful": true}]',
    "odd types": '[{"channel": 1, "data": 2}, {"channel": ["/a"], "id": {}}, {"channel": null}]',
    "odd replies": '[{"channel": "/meta/connect", "id": ["1"], "successful": "no"}]',
    "odd advice": '[{"channel": "/meta/connect", "advice": 3}, {"channel": "/a", "advice": []}]',
    "foreign reply": '[{"channel": "/meta/connect", "id": "-1", "successful": false}]',
    "binary": b"\xff\xfe\x00\x01",
    "null bytes": b"\x00" * 100,
    "10 MB": "x" * 10_000_000,
    "10 MB of JSON": json.dumps([["x" * 100] * 10] * 8_000),
}


async def _works(server: BayeuxServer, seen: Recorder) -> None:
    """Check that messages still flow."""
    await subscribed(server, "/a")
    count = len(seen.items)
    await server.publish("/a", "after")
    await seen.until(lambda: len(seen.items) > count)
    assert seen.data[-1] == "after"
    assert not seen.ended


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
async def test_garbage_frames_are_skipped(garbage: str | bytes) -> None:
    async with BayeuxServer() as server, client_of(server, WEBSOCKET) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        session = client.client_id
        await server.faults.garbage(garbage)
        await server.publish("/a", "before")
        await _works(server, seen)
        await client.publish("/b", 1)
        assert seen.data[0] == "before"
        assert client.client_id == session
        assert client.statistics().reconnects == 0


FAILING = {name: garbage for name, garbage in GARBAGE.items() if name != "odd advice"}


@pytest.mark.parametrize("garbage", FAILING.values(), ids=list(FAILING))
async def test_garbage_for_a_connect_is_a_failed_connect(garbage: str | bytes) -> None:
    async with BayeuxServer(timeout=0.1) as server, client_of(server, LONG_POLLING) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        session = client.client_id
        await server.faults.garbage(garbage, channel="/meta/connect")
        changes = Recorder(client.state_changes)
        await changes.until(lambda: any(c.error for c in changes.items))
        await changes.until(lambda: changes.items[-1].resumed)
        await _works(server, seen)
        assert client.client_id == session


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
async def test_garbage_for_a_publish_fails_it(garbage: str | bytes) -> None:
    async with BayeuxServer() as server, client_of(server, LONG_POLLING) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.faults.garbage(garbage, channel="/b")
        with pytest.raises(CometDError) as caught:
            await client.publish("/b", 1)
        assert isinstance(caught.value, ProtocolError) or "500" in str(caught.value)
        assert len(str(caught.value)) < 200
        await client.publish("/b", 2)
        await _works(server, seen)


@BOTH
@pytest.mark.parametrize("name", ["text", "null", "no channel", "10 MB"])
async def test_garbage_for_a_handshake_is_tried_again(kind: ConnectionType, name: str) -> None:
    async with BayeuxServer() as server:
        if kind is LONG_POLLING:
            await server.faults.garbage(GARBAGE[name], channel="/meta/handshake")
        else:
            server.faults.lose_replies("/meta/handshake")
        async with client_of(server, kind, max_network_delay=0.6) as client:
            assert len(requests(server, "/meta/handshake")) == 2
            await client.publish("/a", 1)


VALID: Json = {"channel": "/a", "data": "valid"}


@pytest.mark.parametrize(
    "payload",
    [
        [VALID, 1, "x", None, [], {}],
        [{}, {"data": 3}, VALID],
        [[VALID]],
        [[[], [1, VALID]], {"channel": 5}],
        VALID,
        [{"channel": "/meta/connect", "id": 0, "data": []}, VALID],
        [{"channel": "/a/*/b", "data": 1}, {"channel": "", "data": 1}, VALID],
    ],
    ids=str,
)
@BOTH
async def test_nothing_valid_in_the_same_payload_is_lost(
    kind: ConnectionType, payload: Any
) -> None:
    async with BayeuxServer(timeout=0.1) as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await server.faults.garbage(json.dumps(payload), channel="/meta/connect")
        await seen.count(1)
        assert seen.items[0] == VALID
        await _works(server, seen)


@BOTH
async def test_truncated(kind: ConnectionType) -> None:
    async with BayeuxServer(timeout=0.1) as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        changes = Recorder(client.state_changes)
        await subscribed(server, "/a")
        server.faults.truncate(channel="/meta/connect")
        await changes.until(lambda: changes.items[-1].resumed)
        assert isinstance(changes.items[-2].error, TransportError)
        await _works(server, seen)


async def test_an_empty_response_is_a_failure_and_no_hot_loop() -> None:
    async with BayeuxServer(timeout=0.1) as server, client_of(server, LONG_POLLING) as client:
        seen = Recorder(client.channel("/a"))
        changes = Recorder(client.state_changes)
        await subscribed(server, "/a")
        await server.faults.garbage("", channel="/meta/connect")
        await changes.until(lambda: changes.items[-1].resumed)
        assert "empty" in str(changes.items[-2].error)
        await _works(server, seen)
        await server.faults.garbage("", channel="/b")
        with pytest.raises(TransportError, match="empty"):
            await client.publish("/b", 1)


@BOTH
@pytest.mark.parametrize("content_type", ["text/json", "text/plain", "application/octet-stream"])
async def test_content_types(kind: ConnectionType, content_type: str) -> None:
    async with (
        BayeuxServer(content_type=content_type) as server,
        client_of(server, kind) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await client.publish("/a", 1)
        await seen.count(1)


@BOTH
async def test_replies_without_ids(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        server.faults.omit_ids()
        async with client_of(server, kind) as client:
            seen = Recorder(client.channel("/a"))
            await client.publish("/a", 1)
            await seen.count(1)
            assert client.subscriptions == {"/a"}


@pytest.mark.parametrize("listed", [["/a"], ["/a", "/b"]])
async def test_subscription_as_an_array(listed: list[str]) -> None:
    async with BayeuxServer() as server, client_of(server) as client:
        server.faults.rewrite("/meta/subscribe", {"subscription": listed})
        seen = Recorder(client.channel("/a"))
        await client.publish("/a", 1)
        await seen.count(1)
        assert client.subscriptions == {"/a"}


# Sizes


@BOTH
async def test_payloads_are_split_by_our_own_limit(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_message_size=2000) as client:
        await asyncio.gather(*(client.publish("/a", "x" * 100) for _ in range(50)))
        payloads = payloads_with(server, "/a")
        assert sum(map(len, payloads)) == 50
        assert 3 < len(payloads) < 16
        assert max(len(json.dumps(p)) for p in payloads) <= 2000
        # One message is one message, whatever its size.
        await client.publish("/b", "x" * 3000)


@BOTH
async def test_what_the_server_finds_too_large_is_split_smaller(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(max_message_size=64 * 1024) as server,
        client_of(server, kind) as client,
    ):
        observers = [Recorder(client.channel(f"/c/{i}")) for i in range(2000)]
        await subscribed(server, "/c/1999")
        for i in (0, 1000, 1999):
            await subscribed(server, f"/c/{i}")
            await server.publish(f"/c/{i}", i)
            await observers[i].count(1)
        await client.publish("/b", 1)
        assert len(client.subscriptions) == 2000
        assert max(len(json.dumps(p)) for p in payloads_with(server, "/meta/subscribe")) < 65536


@BOTH
async def test_a_publish_that_is_too_large_fails(kind: ConnectionType) -> None:
    async with (
        BayeuxServer(max_message_size=64 * 1024) as server,
        client_of(server, kind) as client,
    ):
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await held(server)
        with pytest.raises(TransportError) as caught:
            await client.publish("/a", "x" * 100_000)
        assert (caught.value.http_status, caught.value.close_code) in {(413, None), (None, 1009)}
        await client.publish("/a", 1)
        await seen.count(1)


@BOTH
async def test_a_message_larger_than_we_take(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind, max_message_size=5000) as client:
        seen = Recorder(client.channel("/a"))
        changes = Recorder(client.state_changes)
        await subscribed(server, "/a")
        await held(server)
        await server.publish("/a", "x" * 6000)
        await changes.until(lambda: changes.items[-1].error or changes.items[-1].resumed)
        error = next(c.error for c in changes.items if c.error)
        assert isinstance(error, ProtocolError)
        await changes.until(lambda: changes.items[-1].resumed)
        await _works(server, seen)


async def test_a_message_larger_than_we_take_says_nothing_of_what_the_server_takes() -> None:
    """Closing with 1009 is our word, not the server's: what we send is not split smaller by it."""
    async with (
        BayeuxServer() as server,
        client_of(server, WEBSOCKET, max_message_size=40_000) as client,
    ):
        changes = Recorder(client.state_changes)
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        await asyncio.gather(*(client.publish("/b", "x" * 1000) for _ in range(30)))
        await held(server)
        await server.publish("/a", "x" * 50_000)
        await changes.until(lambda: changes.items[-1].resumed)
        await asyncio.gather(*(client.publish("/b", "x" * 1000) for _ in range(30)))
        assert [len(p) for p in payloads_with(server, "/b")] == [30, 30]
        await _works(server, seen)


@BOTH
async def test_messages_of_ten_megabytes(kind: ConnectionType) -> None:
    async with BayeuxServer() as server, client_of(server, kind) as client:
        seen = Recorder(client.channel("/a"))
        await subscribed(server, "/a")
        data = "x" * 10_000_000
        await client.publish("/a", data)
        await seen.count(1)
        assert seen.data == [data]


# Counters


@BOTH
async def test_statistics(kind: ConnectionType) -> None:
    async with BayeuxServer() as server:
        client = client_of(server, kind)
        assert client.statistics() == Statistics(0, 0, 0, 0, 0, 0, 0, 0, None)
        started = time.time()
        async with client:
            await held(server)
            before = client.statistics()
            assert (before.messages_in, before.messages_out) == (2, 3)
            assert (before.handshakes, before.reconnects) == (1, 0)
            assert before.last_seen is not None
            assert started <= before.last_seen <= time.time()
            await client.publish("/a", "x" * 1000)
            after = client.statistics()
            assert (after.messages_in, after.messages_out) == (3, 4)
            assert 1000 < after.bytes_out - before.bytes_out < 1200
            assert 20 < after.bytes_in - before.bytes_in < 200
            server.faults.drop_link()
            changes = Recorder(client.state_changes)
            await changes.until(lambda: changes.items[-1].resumed)
            assert client.statistics().reconnects == 1
        total = client.statistics()
        async with client:
            assert client.statistics().handshakes == total.handshakes + 1


# The user's functions


async def test_headers_that_raise_fail_the_payload() -> None:
    broken = False

    def headers() -> dict[str, str]:
        if broken:
            raise LookupError("mine")
        return {}

    async with BayeuxServer() as server, client_of(server, LONG_POLLING, headers=headers) as client:
        await held(server)
        broken = True
        with pytest.raises(LookupError):
            await client.publish("/a", 1)
        broken = False
        await client.publish("/a", 1)


@BOTH
async def test_headers_that_raise_fail_the_opening(kind: ConnectionType) -> None:
    async def headers() -> dict[str, str]:
        raise LookupError("mine")

    async with BayeuxServer() as server:
        client = client_of(server, kind, headers=headers, connection_timeout=0.1)
        with pytest.raises(TransportTimeoutError) as caught:
            await client.open()
        assert isinstance(caught.value.__cause__, LookupError)
        assert not server.received


@BOTH
async def test_headers_that_hang_are_no_end_to_it(kind: ConnectionType) -> None:
    """They must not leave the client connected, as it thinks, and deaf."""
    hanging = False

    async def headers() -> dict[str, str]:
        if hanging:
            await asyncio.sleep(60)
        return {}

    async with BayeuxServer(timeout=0.1) as server:
        client = client_of(server, kind, headers=headers, max_network_delay=0.2)
        await client.open()
        seen, changes = Recorder(client.channel("/a")), Recorder(client.state_changes)
        await subscribed(server, "/a")
        hanging = True
        server.faults.drop_link()
        await changes.until(lambda: any(isinstance(c.error, ClientError) for c in changes.items))
        hanging = False
        await changes.until(lambda: changes.items[-1].resumed)
        await _works(server, seen)
        await client.close()


@BOTH
async def test_handshake_fields_that_hang_are_asked_again(kind: ConnectionType) -> None:
    asked: list[int] = []

    async def fields() -> dict[str, str]:
        asked.append(1)
        if len(asked) < 3:
            await asyncio.sleep(60)
        return {}

    async with (
        BayeuxServer() as server,
        client_of(server, kind, handshake_fields=fields, max_network_delay=0.05) as client,
    ):
        assert len(asked) >= 3  # more, where the machine stands still for longer than the delay
        assert client.client_id in server.sessions


async def test_a_function_that_encodes_to_nonsense() -> None:
    def dumps(_: object) -> str:
        raise ValueError("mine")

    async with BayeuxServer() as server:
        client = client_of(server, json_dumps=dumps, connection_timeout=0.1)
        with pytest.raises((ClientError, TransportTimeoutError)) as caught:
            await client.open()
        assert "mine" in str(caught.value) + str(caught.value.__cause__)
