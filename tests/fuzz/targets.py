"""What is fuzzed: the codec, the protocol, and a whole client over a wire."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
from typing import TYPE_CHECKING, Any

from rx_cometd import Client, CometDError, ConnectionType
from rx_cometd._protocol.codec import Codec
from rx_cometd._protocol.outcomes import Due, ResendDue, Settled, Step
from rx_cometd._protocol.protocol import Protocol
from rx_cometd.exceptions import ProtocolError
from tests.fuzz.mutating import Mutator
from tests.fuzz.wire import FuzzedServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd.messages import Message

__all__ = ["TARGETS", "decoded", "fuzz_client", "fuzz_codec", "fuzz_protocol"]


def decoded(data: str | bytes) -> list[Message]:
    """Decode a payload, as a session does."""
    codec = Codec()
    return codec.messages(codec.parse(data), data)


def fuzz_codec(seed: int) -> None:
    """Decode a payload: a list of objects comes of it, or a `ProtocolError`."""
    with contextlib.suppress(ProtocolError):
        for message in decoded(Mutator(seed).payload()):
            assert isinstance(message, dict)


def fuzz_protocol(seed: int) -> None:
    """Have a protocol receive payloads: its delays stay sane, and all requests have an end."""
    mutator, dice = Mutator(seed), random.Random(seed)
    protocol = Protocol(list(ConnectionType), backoff=lambda: itertools.repeat(1.0))
    protocol.open(0.0)
    published, settled = 0, 0
    sent = ["1"]
    for now in range(12):
        if protocol.due is Step.HANDSHAKE:
            protocol.handshake({})
        elif protocol.due is Step.CONNECT:
            protocol.connect(float(now))
        if not protocol.over:
            protocol.subscribe(f"/{dice.choice('abc')}")
            protocol.publish("/a", now, {}, call=dice.random() < 0.3)
            published += 1
        sent += [str(m["id"]) for outgoing in protocol.take() for m in outgoing.messages]
        data = mutator.payload(ID=dice.choice(sent[-4:]), CLIENT="c")
        with contextlib.suppress(ProtocolError):
            protocol.receive(decoded(data), float(now), sent[-1:] if now % 2 else ())
        settled += _check(protocol)
    protocol.end(None)
    settled += _check(protocol)
    assert settled == published


def _check(protocol: Protocol) -> int:
    """Check the outcomes; gives how many requests were settled."""
    settled = 0
    for outcome in protocol.outcomes():
        if isinstance(outcome, Due | ResendDue):
            assert math.isfinite(outcome.delay)
            assert outcome.delay >= 0
        settled += isinstance(outcome, Settled)
    return settled


def fuzz_client(seed: int) -> None:
    """Have a whole client talk to a server that is out of its mind, over either transport.

    Each of its calls has an end, with a `CometDError` if not well; nothing else is raised, and
    nothing is left to the loop's exception handler.
    """
    asyncio.run(_fuzz_client(seed))


async def _fuzz_client(seed: int) -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with FuzzedServer(seed) as server:
        client = Client(
            server.url,
            list(ConnectionType)[seed % 2],
            connection_timeout=0.3,
            max_network_delay=0.1,
            backoff=lambda: itertools.repeat(0.01),
            max_message_size=1_000_000,
        )
        errors: list[Exception] = []
        client.channel("/a").subscribe(_use, errors.append)
        async with asyncio.timeout(20):
            outcomes = await asyncio.gather(
                client.open(),
                client.publish("/a", 1),
                client.call("/service/b", 2, timeout=0.1),
                return_exceptions=True,
            )
            await client.close()
        for outcome in (*outcomes, *errors):
            assert not isinstance(outcome, BaseException) or isinstance(outcome, CometDError)
    assert not unhandled, unhandled
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _use(message: Any) -> None:
    """Have a look at what came."""
    assert len(repr(message)) > 0


#: Each with how much of the time it gets.
TARGETS: dict[str, tuple[Callable[[int], None], float]] = {
    "codec": (fuzz_codec, 0.2),
    "protocol": (fuzz_protocol, 0.3),
    "client": (fuzz_client, 0.5),
}
