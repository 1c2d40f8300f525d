"""The user's requests: sent at the end of a turn, and who is told what became of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rx_cometd import (
    BufferOverflowError,
    ClientInvalidOperation,
    ServerError,
    TransportConnectionClosed,
    TransportError,
)
from rx_cometd._protocol.outcomes import Settled
from rx_cometd._session.lanes import Lanes
from rx_cometd._session.user_requests import UserRequests
from tests.unit.protocol.driver import Driver, reply_to

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from rx_cometd._protocol.outcomes import Outgoing

pytestmark = pytest.mark.usefixtures("nothing_left")


class Desk:
    """Requests over a protocol that is connected; what is sent stays here."""

    def __init__(self, max_outbox: int = 0) -> None:
        self.driver = Driver().connected()
        self.sent: list[list[dict[str, Any]]] = []
        self.calls = 0
        self.lanes = Lanes(self._send, self._gather, lambda _, __: None)
        self.requests = UserRequests(
            self.driver.protocol, self.lanes, max_outbox, call_begins=self._call_begins
        )

    async def _send(self, outgoing: Outgoing) -> None:
        messages: list[Any] = outgoing.messages
        self.sent.append(messages)

    def _gather(self) -> None:
        for outgoing in self.driver.protocol.take():
            self.lanes.put(outgoing)

    def _call_begins(self) -> None:
        self.calls += 1

    def publish(self, data: object, **options: Any) -> asyncio.Task[Any]:
        return started(self.requests.publish("/a", data, {}, **options))

    @property
    def data(self) -> list[list[Any]]:
        """What was published, by payload."""
        return [[message.get("data") for message in payload] for payload in self.sent]


def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(coroutine)


async def settle() -> None:
    """Let everything happen that has only to be begun."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_is_asked_for_in_one_turn_travels_in_one_payload() -> None:
    desk = Desk()
    first = [desk.publish(1), desk.publish(2)]
    await settle()
    second = desk.publish(3)
    await settle()
    assert desk.data == [[1, 2], [3]]
    for task in (*first, second):
        assert not task.done()
        task.cancel()
    await desk.lanes.close()


async def test_each_caller_is_told_of_its_own_reply() -> None:
    desk = Desk()
    taken, refused, lost = desk.publish(1), desk.publish(2), desk.publish(3)
    await settle()
    ids = [message["id"] for message in desk.sent[0]]
    reply: Any = {"channel": "/a", "id": ids[0], "successful": True}
    desk.requests.settle(Settled(ids[1], None, ServerError("no", {})))
    desk.requests.settle(Settled(ids[0], reply))
    desk.requests.settle(Settled(ids[2], None))
    desk.requests.settle(Settled("unknown", reply))
    assert await taken is reply
    with pytest.raises(ServerError, match="no"):
        await refused
    with pytest.raises(TransportConnectionClosed, match="lost"):
        await lost
    await desk.lanes.close()


async def test_who_gives_up_is_forgotten_before_it_is_sent() -> None:
    desk = Desk()
    task = asyncio.current_task()
    desk.requests.hold_batch(task)
    gone, kept = desk.publish("gone"), desk.publish("kept")
    await settle()
    gone.cancel()
    await settle()
    desk.requests.release_batch(task)
    await settle()
    assert desk.data == [["kept"]]
    kept.cancel()
    await desk.lanes.close()


async def test_so_many_may_wait_and_no_more() -> None:
    desk = Desk(max_outbox=2)
    waiting = [desk.publish(1), desk.publish(2)]
    await settle()
    with pytest.raises(BufferOverflowError, match="2"):
        await desk.requests.publish("/a", 3, {})
    desk.driver.answer(desk.sent[0][0])
    reply: Any = reply_to(desk.sent[0][0])
    desk.requests.answered([reply])
    last = desk.publish(4)
    await settle()
    assert not last.done()
    assert desk.data == [[1, 2], [4]]
    for task in (*waiting, last):
        task.cancel()
    await desk.lanes.close()


async def test_a_call_is_told_when_it_begins() -> None:
    desk = Desk()
    publishing, calling = desk.publish(1), desk.publish(2, call=True)
    await settle()
    assert desk.calls == 1
    publishing.cancel()
    calling.cancel()
    await desk.lanes.close()


@pytest.mark.parametrize("error", [None, TransportError("gone")], ids=["closed", "given up"])
async def test_the_end_is_told_to_all_who_wait_and_all_who_come(error: Exception | None) -> None:
    desk = Desk()
    waiting = [
        desk.publish(1),
        started(desk.requests.confirmed("/b")),
        started(desk.requests.unsubscribed("/c")),
    ]
    await settle()
    desk.requests.end(error)
    expected = ClientInvalidOperation if error is None else TransportError
    for task in (*waiting, desk.publish(2)):
        with pytest.raises(expected):
            await task
    desk.requests.unsubscribe("/b")  # nobody is left to be asked
    desk.requests.flush_soon()
    await settle()
    assert desk.data == [[1]]
    await desk.lanes.close()


async def test_what_is_flushed_is_waited_for_and_nothing_follows_it() -> None:
    desk = Desk()
    publishing = desk.publish(1)
    await settle()
    flushing = started(desk.requests.flushed())
    await settle()
    with pytest.raises(ClientInvalidOperation, match="drained"):
        await desk.requests.publish("/a", 2, {})
    assert not flushing.done()
    reply: Any = {"channel": "/a", "id": desk.sent[0][0]["id"], "successful": True}
    desk.requests.answered([reply])
    assert await publishing is reply
    await flushing
    await desk.lanes.close()


async def test_subscribers_are_told_of_theirs() -> None:
    desk = Desk()
    confirmed, refused = (started(desk.requests.confirmed(name)) for name in ("/b", "/c"))
    taken_back = started(desk.requests.confirmed("/d"))
    left, kept = (started(desk.requests.unsubscribed(name)) for name in ("/b", "/c"))
    await settle()
    desk.requests.settle_subscribe("/b", None)
    desk.requests.settle_subscribe("/c", ServerError("no", {}))
    desk.requests.settle_unsubscribe("/b", None)
    desk.requests.settle_unsubscribe("/c", ServerError("stay", {}))
    desk.requests.settle_unsubscribe("/d", None)
    await confirmed
    await left
    for task, text in ((refused, "no"), (kept, "stay")):
        with pytest.raises(ServerError, match=text):
            await task
    with pytest.raises(ClientInvalidOperation, match="/d was unsubscribed from meanwhile"):
        await taken_back
    await desk.lanes.close()


async def test_subscribing_again_settles_the_unsubscribe_before() -> None:
    desk = Desk()
    leaving = started(desk.requests.unsubscribed("/b"))
    await settle()
    desk.requests.subscribe("/b")
    await leaving
    await settle()
    assert [message["channel"] for message in desk.sent[0]] == ["/meta/subscribe"]
    await desk.lanes.close()
