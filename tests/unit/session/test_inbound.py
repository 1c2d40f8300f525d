"""What becomes of received payloads: told once, whatever an extension did to them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rx_cometd import ExtensionError, Payload
from rx_cometd._session.inbound import Inbound

if TYPE_CHECKING:
    from rx_cometd._transports.departing import Departure
    from rx_cometd.extension import PayloadOperator

pytestmark = pytest.mark.usefixtures("nothing_left")

REPLY = {"channel": "/a", "id": "7", "successful": True}
EVENT = {"channel": "/a", "data": 1}


class Listener:
    """What a session hears of its wire."""

    def __init__(self, *operators: PayloadOperator, takes_events: bool = False) -> None:
        self.takes_events = takes_events
        self.events: list[Any] = []
        self.heard: list[tuple[list[Any], tuple[str, ...]]] = []
        self.failures: list[tuple[tuple[str, ...], Exception]] = []
        self.told = asyncio.Event()
        scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        self.inbound = Inbound(operators, self, 5.0, scheduler)

    def receive(self, *messages: Any, exchange: tuple[str, ...] = ()) -> None:
        copies: list[Any] = [dict(message) for message in messages]
        self.inbound.receive(copies, {"X-Y": "z"}, exchange)

    def received_events(self, decoded: Any) -> bool:
        if self.takes_events:
            self.events.append(decoded)
        return self.takes_events

    def received_replies(self, decoded: Any, exchange: tuple[str, ...]) -> bool:
        raise NotImplementedError  # the wire asks this ahead of the extensions

    def received(
        self, messages: list[Any], exchange: tuple[str, ...], payload: Payload | None
    ) -> None:
        assert payload is not None
        self.heard.append((list(messages), exchange))
        self.told.set()

    def failed(self, exchange: tuple[str, ...], error: Exception) -> None:
        self.failures.append((exchange, error))

    def unreadable(self, error: Exception) -> None:
        raise NotImplementedError

    def leaving(self, messages: list[Any], exchange: tuple[str, ...]) -> list[Any]:
        raise NotImplementedError

    def departing(
        self, exchange: tuple[str, ...], timeout: float, departure: Departure | None
    ) -> None:
        raise NotImplementedError

    def lost(self, error: Exception) -> None:
        raise NotImplementedError


def without(kind: str) -> PayloadOperator:
    """An operator that drops messages that have a field."""

    def drop(payload: Payload) -> None:
        payload.messages[:] = [m for m in payload.messages if kind not in m]

    return ops.do_action(drop)


def failing(payload: Payload) -> None:
    raise LookupError(f"cannot look at {len(payload.messages)} messages")


async def test_messages_come_with_the_requests_that_they_answer() -> None:
    listener = Listener(ops.do_action(lambda payload: None))
    listener.receive(REPLY, EVENT, exchange=("7", "8"))
    assert listener.heard == [([REPLY, EVENT], ("7", "8"))]
    assert not listener.failures
    listener.inbound.dispose()


async def test_events_alone_are_taken_at_once() -> None:
    listener = Listener(ops.do_action(lambda payload: None), takes_events=True)
    listener.receive(EVENT)
    assert (listener.events, listener.heard) == ([[EVENT]], [])
    listener.receive(EVENT, exchange=("7",))  # the response to a request that waits for its reply
    assert listener.heard == [([EVENT], ("7",))]
    listener.inbound.dispose()


async def test_extensions_see_the_headers() -> None:
    seen: list[str] = []
    listener = Listener(ops.do_action(lambda payload: seen.append(payload.headers["x-y"])))
    listener.receive(EVENT)
    assert seen == ["z"]
    listener.inbound.dispose()


async def test_a_reply_that_an_extension_drops_fails_its_request_alone() -> None:
    listener = Listener(without("successful"))
    listener.receive(REPLY, EVENT)
    assert listener.heard == [([EVENT], ())]
    ((requests, error),) = listener.failures
    assert requests == ("7",)
    assert isinstance(error, ExtensionError)
    listener.inbound.dispose()


async def test_an_event_that_an_extension_drops_stays_dropped() -> None:
    listener = Listener(without("data"))
    listener.receive(REPLY, EVENT, exchange=("7",))
    assert listener.heard == [([REPLY], ("7",))]
    assert not listener.failures
    listener.inbound.dispose()


async def test_where_an_extension_fails_requests_fail_and_events_are_delivered() -> None:
    listener = Listener(ops.do_action(failing))
    listener.receive(REPLY, EVENT, exchange=("7", "8"))
    ((requests, error),) = listener.failures
    assert set(requests) == {"7", "8"}
    assert isinstance(error.__cause__, LookupError)
    assert listener.heard == [([EVENT], ())]
    listener.receive(EVENT)  # the pipeline was replaced, with the same operator
    assert listener.heard == [([EVENT], ())] * 2
    listener.inbound.dispose()


async def test_a_reply_that_an_extension_holds_is_known_to_be_here() -> None:
    listener = Listener(ops.delay(0.05))
    listener.receive(REPLY)
    assert (listener.inbound.holds("7"), listener.inbound.holds("8")) == (True, False)
    async with asyncio.timeout(30):
        await listener.told.wait()
    assert not listener.inbound.holds("7")
    listener.inbound.dispose()
