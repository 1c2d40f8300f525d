"""The ready-made extensions in a client, against the embedded server."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import operators as cometd_ops
from rx_cometd.client import Client
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ServerError
from rx_cometd.extensions import (
    ReplayOption,
    SqliteStore,
    ack,
    bearer_auth,
    binary,
    log_payloads,
    replay,
    timestamp,
    timesync,
)
from rx_cometd.testing import BayeuxServer, ReplayLog, SalesforceAuthentication

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rx_cometd.extensions import ReplayId
    from rx_cometd.messages import Event

BOTH = pytest.mark.parametrize("connection_type", list(ConnectionType))
X = "/event/X__e"


class Inbox:
    """Keeps what an observer gets, and waits for it."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._more = asyncio.Event()

    def __call__(self, item: Any) -> None:
        self.items.append(item)
        self._more.set()

    async def until(self, count: int) -> list[Any]:
        async with asyncio.timeout(30):
            while len(self.items) < count:
                self._more.clear()
                await self._more.wait()
        return self.items


def at_once() -> Iterator[float]:
    while True:
        yield 0.01


def requests(server: BayeuxServer, channel: str) -> list[dict[str, Any]]:
    return [m for _, payload in server.received for m in payload if m["channel"] == channel]


@BOTH
async def test_ack_brings_what_a_broken_link_lost(connection_type: ConnectionType) -> None:
    async with (
        BayeuxServer(timeout=1) as server,
        Client(server.url, connection_type, extensions=[ack()], backoff=at_once) as client,
    ):
        inbox = Inbox()
        client.channel("/a").pipe(cometd_ops.data()).subscribe(inbox)
        await server.until(lambda: server.subscribers("/a"))
        await server.publish("/a", 1)
        await inbox.until(1)
        for number in range(2, 6):
            server.faults.drop_link()
            await server.publish("/a", number)
            await inbox.until(number)
        assert sorted(set(inbox.items)) == [1, 2, 3, 4, 5]
        # What was acknowledged last is what was delivered: nothing is kept any more.
        acknowledged = [m["ext"]["ack"] for m in requests(server, "/meta/connect")]
        assert acknowledged == sorted(acknowledged)
        assert acknowledged[-1] > acknowledged[0]


@BOTH
async def test_binary_data_there_and_back(connection_type: ConnectionType) -> None:
    data = bytes(range(256)) * 3 + b"tail"
    async with (
        BayeuxServer() as server,
        Client(server.url, connection_type, extensions=[binary()]) as client,
    ):
        inbox = Inbox()
        client.channel("/b").pipe(cometd_ops.data()).subscribe(inbox)
        await server.until(lambda: server.subscribers("/b"))
        await client.publish("/a", data)
        await client.publish("/a", {"data": b"1", "last": False, "meta": {"n": 1}})
        for message in requests(server, "/a"):
            await server.publish("/b", message["data"], ext=message["ext"])
        assert await inbox.until(2) == [data, {"data": b"1", "last": False, "meta": {"n": 1}}]


@BOTH
async def test_clocks_are_compared_and_messages_stamped(connection_type: ConnectionType) -> None:
    clock = timesync()
    async with (
        BayeuxServer(timeout=0.05) as server,
        Client(server.url, connection_type, extensions=[clock, timestamp()]),
    ):
        await server.until(lambda: len(requests(server, "/meta/connect")) > 2)
        # One clock, as it happens: the offset is what milliseconds and this machine's load make it,
        # and after a stall that is more, until there are new measurements.
        await server.until(lambda: abs(clock.offset) < 0.5 and 0 <= clock.lag < 0.5, 30.0)
    assert requests(server, "/meta/connect")[-1]["timestamp"].endswith(" GMT")
    assert set(requests(server, "/meta/connect")[-1]["ext"]["timesync"]) == {"tc", "l", "o"}


async def test_log_has_what_travels_and_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rx_cometd.payloads")
    async with BayeuxServer() as server:
        fields = {"ext": {"com.devexperts.auth.AuthToken": "6e3b41"}}
        client = Client(
            server.url,
            ConnectionType.LONG_POLLING,
            extensions=[log_payloads()],
            handshake_fields=fields,
            auth=bearer_auth(lambda: "6e3b41"),
        )
        async with client:
            await client.publish("/a", "seen")
    lines = [r.getMessage() for r in caplog.records if r.name == "rx_cometd.payloads"]
    assert any(line.startswith("> ") and '"seen"' in line for line in lines)
    assert any(line.startswith("< ") and '"/meta/handshake"' in line for line in lines)
    assert "6e3b41" not in "".join(lines)


async def test_tokens_are_renewed_when_the_server_says_so() -> None:
    given: list[str] = []

    async def provider() -> str:
        given.append(f"t{len(given)}")
        authentication.tokens.grant(given[-1])
        return given[-1]

    authentication = SalesforceAuthentication()
    async with (
        BayeuxServer(salesforce=True, authentication=authentication, timeout=0.2) as server,
        Client(server.url, auth=bearer_auth(provider), backoff=at_once) as client,
    ):
        inbox = Inbox()
        client.channel(X).subscribe(inbox)
        await server.until(lambda: server.subscribers(X))
        authentication.tokens.expire("t0")
        async with asyncio.timeout(30):
            while len(given) < 2:
                await client.publish("/a", {})
        await server.until(lambda: server.subscribers(X))
        await server.publish(X, {"payload": 1})
        await inbox.until(1)
        assert given == ["t0", "t1"]


class Consumer:
    """Processes events one by one, each when it is told to."""

    def __init__(self) -> None:
        self.begun = Inbox()
        self.may_finish = asyncio.Semaphore(0)

    async def __call__(self, message: Event) -> int:
        data: Any = message.get("data")
        number: int = data["event"]["replayId"]
        self.begun(number)
        await self.may_finish.acquire()
        return number


def salesforce(log: ReplayLog) -> BayeuxServer:
    return BayeuxServer(salesforce=True, replay=log, timeout=0.5)


async def test_replay_goes_on_after_the_last_event_processed(tmp_path: Path) -> None:
    log = ReplayLog(gaps=(1,))
    with SqliteStore(tmp_path / "markers.db") as store:
        async with salesforce(log) as server:
            consumer, done = Consumer(), Inbox()
            async with Client(server.url, extensions=[replay(store)], backoff=at_once) as client:
                client.channel(X).pipe(cometd_ops.map_async(consumer)).subscribe(done)
                await server.until(lambda: server.subscribers(X))
                for _ in range(4):
                    await server.publish(X, {"payload": 1})
                await consumer.begun.until(1)
                consumer.may_finish.release()
                consumer.may_finish.release()
                await done.until(2)
                # Two are done, the third is begun, the fourth waits in the buffer.
                await consumer.begun.until(3)
                assert store.load(X) == 2
            # A restart: the marker alone is left.
            consumer, done = Consumer(), Inbox()
            async with Client(server.url, extensions=[replay(store)], backoff=at_once) as client:
                client.channel(X).pipe(cometd_ops.map_async(consumer)).subscribe(done)
                for _ in range(3):
                    consumer.may_finish.release()
                await server.until(lambda: server.subscribers(X))
                await server.publish(X, {"payload": 1})
                assert await done.until(3) == [3, 4, 5]
                assert store.load(X) == 5
                # The session is forgotten: what was processed does not come again.
                server.faults.forget()
                await server.until(lambda: not server.subscribers(X))
                consumer.may_finish.release()
                await server.until(lambda: server.subscribers(X))
                await server.publish(X, {"payload": 1})
                assert await done.until(4) == [3, 4, 5, 6]
            subscribes = [m["ext"]["replay"] for m in requests(server, "/meta/subscribe")]
            assert subscribes == [{X: -1}, {X: 2}, {X: 5}]


async def test_replay_falls_back_when_the_marker_is_too_old(tmp_path: Path) -> None:
    log = ReplayLog(gaps=(1,))
    told: list[Any] = []
    with SqliteStore(tmp_path / "markers.db") as store:
        async with salesforce(log) as server:
            for _ in range(3):
                await server.publish(X, {"payload": 1})
            store.save(X, 2)
            log.age_out(X, 2)
            inbox = Inbox()

            def tell(channel: str, replay_id: ReplayId, error: ServerError) -> None:
                told.append((channel, replay_id, error.error_code))

            extension = replay(store, fallback=ReplayOption.ALL_EVENTS, on_fallback=tell)
            async with Client(server.url, extensions=[extension]) as client:
                client.channel(X).subscribe(inbox)
                await inbox.until(1)
                assert store.load(X) == 3
            assert told == [(X, 2, 400)]
            subscribes = [m["ext"]["replay"] for m in requests(server, "/meta/subscribe")]
            assert subscribes == [{X: 2}, {X: -2}]


async def test_replay_without_a_fallback_tells_the_observer(tmp_path: Path) -> None:
    log = ReplayLog()
    with SqliteStore(tmp_path / "markers.db") as store:
        store.save(X, 82)
        async with (
            salesforce(log) as server,
            Client(server.url, extensions=[replay(store)]) as client,
        ):
            errors = Inbox()
            client.channel(X).subscribe(on_error=errors)
            [error] = await errors.until(1)
            assert store.load(X) == 82
    assert isinstance(error, ServerError)
    assert error.error_code == 400
