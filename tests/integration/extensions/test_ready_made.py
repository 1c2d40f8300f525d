"""The ready-made extensions through the client: what tests/extensions does not show."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops

from rx_cometd import AuthExtension, ConnectionType, Extension, Overflow
from rx_cometd import operators as cometd_ops
from rx_cometd.extensions import (
    MemoryStore,
    ReplayOption,
    bearer_auth,
    binary,
    log_payloads,
    replay,
    timesync,
)
from rx_cometd.testing import (
    BayeuxServer,
    ReplayLog,
    SalesforceAuthentication,
    TimesyncExtension,
)
from tests.integration.client_driver import BOTH, Recorder, client_of, held, requests, subscribed

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rx_cometd import Event, Message
    from rx_cometd.extensions import ReplayId

pytestmark = pytest.mark.usefixtures("nothing_left")

X = "/event/X__e"


def salesforce(log: ReplayLog) -> BayeuxServer:
    return BayeuxServer(salesforce=True, replay=log, timeout=0.3)


def number(message: Any) -> int:
    replay_id: int = message["data"]["event"]["replayId"]
    return replay_id


async def publish(server: BayeuxServer, count: int) -> None:
    for _ in range(count):
        await server.publish(X, {"payload": 1})


# Replay: the marker moves when an event was processed, whoever processes it


async def test_marker_and_observers() -> None:
    """Two observers, of which one is asynchronous: both must be done."""
    store, gate = MemoryStore(), asyncio.Semaphore(0)

    async def work(message: Event) -> int:
        await gate.acquire()
        return number(message)

    async with (
        salesforce(ReplayLog(gaps=(1,))) as server,
        client_of(server, extensions=[replay(store)]) as client,
    ):
        at_once = Recorder(client.channel(X))
        done = Recorder(client.channel(X).pipe(cometd_ops.map_async(work)))
        await subscribed(server, X)
        await publish(server, 3)
        await at_once.until(lambda: len(at_once.items) == 3)
        assert store.load(X) is None
        gate.release()
        await done.until(lambda: done.items == [1])
        assert store.load(X) == 1
        gate.release()
        gate.release()
        await done.until(lambda: done.items == [1, 2, 3])
        assert store.load(X) == 3


async def test_marker_and_a_failing_work() -> None:
    """What failed was not processed: it comes again."""
    store = MemoryStore()
    log = ReplayLog(gaps=(1,))
    seen: list[int] = []

    async def work(message: Event) -> int:
        seen.append(number(message))
        if seen == [1, 2]:
            raise ValueError("not now")
        return number(message)

    async with salesforce(log) as server:
        async with client_of(server, extensions=[replay(store)]) as client:
            failing = Recorder(client.channel(X).pipe(cometd_ops.map_async(work)))
            await subscribed(server, X)
            await publish(server, 3)
            assert isinstance(await failing.fails(), ValueError)
            assert store.load(X) == 1
        async with client_of(server, extensions=[replay(store)]) as client:
            done = Recorder(client.channel(X).pipe(cometd_ops.map_async(work)))
            await done.until(lambda: len(done.items) >= 2)
            assert done.items == [2, 3]
            assert store.load(X) == 3


async def test_marker_and_async_iteration() -> None:
    store = MemoryStore()
    async with (
        salesforce(ReplayLog(gaps=(1,))) as server,
        client_of(server, extensions=[replay(store)]) as client,
    ):
        events = client.channel(X).pipe(cometd_ops.to_async_iterable())
        iterator = aiter(events)
        first = asyncio.ensure_future(anext(iterator))
        await subscribed(server, X)
        await publish(server, 3)
        assert number(await first) == 1
        assert store.load(X) is None  # the body of the loop is at work on it
        assert number(await anext(iterator)) == 2
        assert store.load(X) == 1
        assert number(await anext(iterator)) == 3
        assert store.load(X) == 2
        await iterator.aclose()


async def test_marker_and_bounded_buffers() -> None:
    store = MemoryStore()
    async with (
        salesforce(ReplayLog(gaps=(1,))) as server,
        client_of(server, extensions=[replay(store)]) as client,
    ):
        at: list[tuple[int, object]] = []

        def note(message: Any) -> int:
            at.append((number(message), store.load(X)))
            return number(message)

        buffered = client.channel(X).pipe(cometd_ops.bounded_buffer(10, Overflow.ERROR))
        done = Recorder(buffered.pipe(ops.map(note)))
        await subscribed(server, X)
        await publish(server, 3)
        await done.until(lambda: done.items == [1, 2, 3])
        assert at == [(1, None), (2, 1), (3, 2)]
        assert store.load(X) == 3


async def test_marker_and_the_pull_view() -> None:
    store = MemoryStore()
    async with (
        salesforce(ReplayLog(gaps=(1,))) as server,
        client_of(server, extensions=[replay(store)]) as client,
    ):
        await client.subscribe(X)
        await publish(server, 3)
        assert number(await client.receive()) == 1
        assert store.load(X) is None
        assert number(await client.receive()) == 2
        assert store.load(X) == 1
        assert number(await client.receive()) == 3
        assert store.load(X) == 2


async def test_marker_moves_on_where_another_extension_fails() -> None:
    """The events are delivered all the same, so that they need not come again."""

    def fail(payload: Any) -> None:
        if any("data" in m for m in payload.messages):
            raise ValueError("not this one")

    store = MemoryStore()
    extensions = [replay(store), Extension.of(inbound=ops.do_action(fail))]
    async with (
        salesforce(ReplayLog(gaps=(1,))) as server,
        client_of(server, extensions=extensions) as client,
    ):
        seen = Recorder(client.channel(X))
        await subscribed(server, X)
        for n in range(1, 4):
            await held(server)
            await publish(server, 1)
            await seen.until(lambda n=n: number(seen.items[-1]) == n if seen.items else False)  # type: ignore[misc]
        assert [number(m) for m in seen.items] == [1, 2, 3]
        assert store.load(X) == 3


@pytest.mark.parametrize("fallback", list(ReplayOption))
async def test_fallback_at_subscribe_and_at_resubscribe(fallback: ReplayId) -> None:
    store, log = MemoryStore(), ReplayLog(gaps=(1,))
    told: list[object] = []
    extension = replay(
        store, fallback=fallback, on_fallback=lambda _, refused, __: told.append(refused)
    )
    async with salesforce(log) as server:
        await publish(server, 3)
        store.save(X, 99)
        async with client_of(server, extensions=[extension]) as client:
            seen = Recorder(client.channel(X))
            await subscribed(server, X)
            await server.until(lambda: len(requests(server, "/meta/subscribe")) == 2)
            await publish(server, 1)
            await seen.until(lambda: bool(seen.items) and number(seen.items[-1]) == 4)
            assert store.load(X) == 4
            # The session and the events are lost; the marker is refused once more.
            log.age_out(X)
            server.faults.forget()
            await server.until(lambda: len(requests(server, "/meta/subscribe")) == 4)
            await server.until(lambda: server.subscribers(X))
            await publish(server, 1)
            await seen.until(lambda: number(seen.items[-1]) == 5)
            assert store.load(X) == 5
    assert told == [99, 4]
    asked = [m["ext"]["replay"][X] for m in requests(server, "/meta/subscribe")]
    assert asked == [99, int(fallback), 4, int(fallback)]


# Binary


@BOTH
@pytest.mark.parametrize("tail", [b"", b"x"])
async def test_a_mebibyte_there_and_back(kind: ConnectionType, tail: bytes) -> None:
    data = random.Random(7).randbytes(1 << 20) + tail
    async with (
        BayeuxServer() as server,
        client_of(server, kind, extensions=[binary()], max_network_delay=10) as client,
    ):
        seen = Recorder(client.channel("/b"))
        await subscribed(server, "/b")
        await client.publish("/b", data)
        await seen.count(1)
        assert seen.data == [data]
        assert "ext" not in seen.items[0]


# Time


@BOTH
async def test_a_clock_that_is_ahead(kind: ConnectionType) -> None:
    clock = timesync()
    async with (
        BayeuxServer(timeout=0.05, timesync=TimesyncExtension(offset=3600)) as server,
        client_of(server, kind, extensions=[clock]),
    ):
        await server.until(lambda: len(requests(server, "/meta/connect")) > 3)
        # After a stall it takes some more measurements.
        await server.until(lambda: abs(clock.offset - 3600) < 1 and 0 <= clock.lag < 1, 30.0)


# Logs


@BOTH
async def test_no_credential_in_any_log(
    kind: ConnectionType, caplog: pytest.LogCaptureFixture
) -> None:
    """The log of everything, down to asyncio and aiohttp, through failures and all."""
    caplog.set_level(logging.DEBUG)
    secrets = ["s3cr3t-0", "s3cr3t-1", "s3cr3t-h", "s3cr3t-x", "s3cr3t-q", "s3cr3t-c"]
    authentication = SalesforceAuthentication()
    given: list[str] = []

    def provider() -> str:
        given.append(f"s3cr3t-{len(given)}")
        authentication.tokens.grant(given[-1])
        return given[-1]

    def failing(payload: Any) -> None:
        if any(m.get("data") == "bad" for m in payload.messages):
            raise ValueError("not this one")

    async with BayeuxServer(authentication=authentication, timeout=0.1) as server:
        client = client_of(
            f"{server.url}?access_token=s3cr3t-q",
            kind,
            extensions=[log_payloads(), Extension.of(outbound=ops.do_action(failing))],
            auth=bearer_auth(provider),
            headers={"X-Api-Key": "s3cr3t-h", "Cookie": "session=s3cr3t-c"},
            handshake_fields={"ext": {"com.example.authn": {"token": "s3cr3t-x"}}},
        )
        async with client:
            await client.publish("/a", {"password": "s3cr3t-x", "n": 1})
            with pytest.raises(Exception, match="extension"):
                await client.publish("/a", "bad")
            authentication.tokens.expire()
            await client.publish("/a", 2)
            server.faults.drop_link()
            states = Recorder(client.state_changes)
            await states.until(lambda: len(states.items) > 1 and states.items[-1].error is None)
            server.faults.refuse("/a", "403::no")
            results = await asyncio.gather(client.publish("/a", 3), return_exceptions=True)
            text = caplog.text + repr(client) + "".join(map(repr, states.items))
            text += "".join(map(repr, results)) + "".join(map(str, results))
        assert len(given) == 2
    text += caplog.text
    assert '"n": 1' in text
    assert "***" in text
    for secret in secrets:
        assert secret not in text


# Auth and replay together


async def test_replay_goes_on_after_a_renewed_login() -> None:
    authentication = SalesforceAuthentication()
    store, log = MemoryStore(), ReplayLog(gaps=(1,))

    class Login(AuthExtension):
        calls = 0

        async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
            headers["Authorization"] = f"Bearer t{self.calls}"

        async def authenticate(self) -> None:
            self.calls += 1
            # What is published while the client is away is replayed.
            await publish(server, 2)
            authentication.tokens.grant(f"t{self.calls}")

    login = Login()
    authentication.tokens.grant("t0")
    async with (
        BayeuxServer(
            salesforce=True, replay=log, authentication=authentication, timeout=0.05
        ) as server,
        client_of(server, extensions=[replay(store)], auth=login) as client,
    ):
        seen = Recorder(client.channel(X))
        await subscribed(server, X)
        await publish(server, 2)
        await seen.until(lambda: len(seen.items) == 2)
        authentication.tokens.expire()
        await seen.until(lambda: len(seen.items) >= 4)
        assert [number(m) for m in seen.items] == [1, 2, 3, 4]
        assert login.calls == 1
