"""Extensions that do anything, at random: every request is settled, every event delivered."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import reactivex as rx
from reactivex import operators as ops

from rx_cometd import CometDError, ConnectionType, Extension, ExtensionError, Payload
from rx_cometd.extensions import ack
from rx_cometd.testing import BayeuxServer
from tests.integration.client_driver import BOTH, Recorder, client_of, requests

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, MutableMapping

    from reactivex import Observable

    from rx_cometd import Client, Message

pytestmark = pytest.mark.usefixtures("nothing_left")

NETWORK_DELAY = 0.2


class Whims:
    """Does something to one payload in five."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, payload: Payload) -> Observable[Payload]:
        if self._random.random() < 0.8:
            return rx.of(payload)
        return self._random.choice(WHIMS)(payload)


def raised(_: Payload) -> Observable[Payload]:
    raise ValueError("a whim")


def failed(payload: Payload) -> Observable[Payload]:
    payload.failure = ValueError("a whim")
    return rx.of(payload)


def anew(payload: Payload) -> Observable[Payload]:
    return rx.of(Payload([m.copy() for m in payload.messages], payload.headers))


def late(payload: Payload) -> Observable[Payload]:
    return rx.of(payload).pipe(ops.delay(NETWORK_DELAY / 4))


def much_too_late(payload: Payload) -> Observable[Payload]:
    return rx.of(payload).pipe(ops.delay(NETWORK_DELAY * 1.5))


def never(payload: Payload) -> Observable[Payload]:
    # The payload is held on to; one that nobody holds (``rx.never``) is dropped on purpose.
    return rx.of(payload).pipe(ops.delay(3600))


def twice(payload: Payload) -> Observable[Payload]:
    return rx.of(payload, payload)


def in_pieces(payload: Payload) -> Observable[Payload]:
    return rx.from_iterable([Payload([m], payload.headers) for m in payload.messages])


def reversed_(payload: Payload) -> Observable[Payload]:
    payload.messages.reverse()
    return rx.of(payload)


WHIMS: list[Callable[[Payload], Observable[Payload]]] = [
    *(raised, failed, anew, late, much_too_late, never, twice, in_pieces, reversed_)
]


class Moody(Extension):
    """The same as a class."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        await self._do_something()

    async def incoming(
        self, payload: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        await self._do_something()

    async def _do_something(self) -> None:
        mood = self._random.random()
        if mood < 0.05:
            raise ValueError("a mood")
        await asyncio.sleep(NETWORK_DELAY * 1.5 if mood < 0.07 else 0.001 if mood < 0.2 else 0)


def chaotic(seed: int) -> list[Extension]:
    inbound, outbound = Whims(seed), Whims(seed + 1)
    flatten: Any = ops.flat_map if seed % 2 else ops.concat_map
    pair = Extension.of(inbound=flatten(inbound), outbound=flatten(outbound))
    choices: list[list[Extension]] = [[pair], [Moody(seed)], [ack(), pair, Moody(seed)]]
    return choices[seed % 3]


@asynccontextmanager
async def opened(client: Client) -> AsyncGenerator[None]:
    """Open a client, in some tries: an extension that fails the handshake twice ends one."""
    while client.closed:
        try:
            await client.open()
        except ExtensionError:
            continue
    try:
        yield
    finally:
        await client.close()


async def observed(server: BayeuxServer, client: Client, channel: str) -> Recorder:
    """Subscribe to a channel; it may take some tries."""
    while True:
        seen = Recorder(client.channel(channel))
        # The reply to the subscribe may meet a whim, too.
        await server.until(lambda seen=seen: seen.ended or channel in client.subscriptions, 30.0)  # type: ignore[misc]
        if not seen.ended:
            return seen


@BOTH
@pytest.mark.parametrize("seed", range(4))
async def test_every_request_is_settled(kind: ConnectionType, seed: int) -> None:
    async with BayeuxServer(timeout=0.1) as server:
        client = client_of(server, kind, extensions=chaotic(seed), max_network_delay=NETWORK_DELAY)
        async with asyncio.timeout(20), opened(client):
            await observed(server, client, "/a")
            tasks: list[asyncio.Task[Any]] = []
            for n in range(40):
                tasks.append(asyncio.create_task(client.publish("/b", n)))
                await asyncio.sleep(random.Random(n).choice([0, 0, 0.005, 0.02]))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await observed(server, client, "/end")
    assert all(isinstance(r, dict | CometDError) for r in results)
    succeeded = [n for n, result in enumerate(results) if isinstance(result, dict)]
    arrived = [m["data"] for m in requests(server, "/b")]
    assert set(succeeded) <= set(arrived)
    assert len(set(arrived)) == len(arrived)  # nothing is sent twice
    assert succeeded


@BOTH
@pytest.mark.parametrize("seed", range(4))
async def test_every_event_is_delivered(kind: ConnectionType, seed: int) -> None:
    """Outbound is left in peace; messages are acknowledged, for the sake of links that break."""
    inbound = ops.flat_map(Whims(seed)) if seed % 2 else ops.concat_map(Whims(seed))
    extensions = [ack(), Extension.of(inbound=inbound)]
    async with BayeuxServer(timeout=0.1, max_interval=60) as server:
        client = client_of(server, kind, extensions=extensions, max_network_delay=NETWORK_DELAY)
        async with asyncio.timeout(20), client:
            seen = await observed(server, client, "/a")
            for n in range(30):
                await server.publish("/a", n)
                await asyncio.sleep(random.Random(n).choice([0, 0, 0.01, 0.03]))
            await seen.until(lambda: seen.ended or set(seen.data) >= set(range(30)), 10)
            assert seen.error is None
