"""`publish_to`, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from reactivex.subject import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.flow import Overflow, flow_of
from rx_cometd.exceptions import BufferOverflowError, InvalidChannelError, ServerError
from rx_cometd.operators import publish_to
from tests.unit.operators.flows import LocalFlow, with_flow
from tests.unit.operators.times import play, seen, ticks, turns

if TYPE_CHECKING:
    from rx_cometd.messages import Message

on_next, on_completed = ReactiveTest.on_next, ReactiveTest.on_completed


class DistantServer:
    """Replies after as many ticks as the data says, and refuses what is negative."""

    def __init__(self, scheduler: TestScheduler) -> None:
        self.scheduler = scheduler
        self.received: list[tuple[str, int]] = []
        self.in_flight = 0
        self.most_in_flight = 0

    async def publish(self, channel: str, data: Any, /) -> Message:
        self.received.append((channel, data))
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        await ticks(self.scheduler, abs(data))
        self.in_flight -= 1
        if data < 0:
            raise ServerError("refused", {"error": "403::no"})
        return {"channel": channel, "successful": True, "id": str(data)}


class Run:
    """Publishes what comes at ticks 1, 2, ... and looks at the replies."""

    def __init__(self) -> None:
        self.scheduler = TestScheduler()
        self.server = DistantServer(self.scheduler)

    async def __call__(self, items: list[int], *args: Any, **options: Any) -> list[Any]:
        observer = self.scheduler.create_observer()
        source = self.scheduler.create_hot_observable(
            *(on_next(at, item) for at, item in enumerate(items, 1)),
            on_completed(len(items) + 1),
        )
        replies: Any = source.pipe(publish_to(self.server, *args, **options))
        replies.subscribe(observer, scheduler=self.scheduler)
        await play(self.scheduler, 60)
        return [(time, _short(told)) for time, told in seen(observer)]


def _short(told: Any) -> Any:
    if isinstance(told, Exception):
        return type(told)
    return told["id"] if isinstance(told, dict) else told  # pyright: ignore[reportUnknownVariableType]


async def test_replies_come_in_the_order_of_the_items() -> None:
    run = Run()
    assert await run([10, 5, 1], "/a") == [(11, "10"), (11, "5"), (11, "1"), (11, "|")]
    assert run.server.received == [("/a", 10), ("/a", 5), ("/a", 1)]


async def test_in_flight_is_bounded() -> None:
    run = Run()
    assert await run([5, 5, 5, 5], "/a", max_in_flight=2) == [
        (6, "5"),
        (7, "5"),
        (11, "5"),
        (12, "5"),
        (12, "|"),
    ]
    assert run.server.most_in_flight == 2


async def test_channel_may_depend_on_the_item() -> None:
    run = Run()
    await run([1, 2], "/a/{}".format)
    assert run.server.received == [("/a/1", 1), ("/a/2", 2)]


async def test_refused_publish_is_the_error_in_its_turn() -> None:
    assert await Run()([10, -1, 3], "/a") == [(11, "10"), (11, ServerError)]


async def test_refused_publish_as_a_value() -> None:
    assert await Run()([10, -1, 3], "/a", errors="value") == [
        (11, "10"),
        (11, ServerError),
        (11, "3"),
        (11, "|"),
    ]


async def test_what_waits_is_bounded() -> None:
    run = Run()
    assert await run([10, 1, 2, 3], "/a", max_in_flight=1, max_pending_count=1) == [
        (11, "10"),
        (12, "1"),
        (12, BufferOverflowError),
    ]
    run = Run()
    await run(
        [10, 1, 2, 3],
        "/a",
        max_in_flight=1,
        max_pending_count=1,
        overflow=Overflow.DROP_OLDEST,
    )
    assert run.server.received == [("/a", 10), ("/a", 3)]


@pytest.mark.parametrize("errors", ["raise", "value"])
async def test_channel_function_that_raises_is_an_error(errors: Any) -> None:
    def channel(item: int) -> str:
        raise ZeroDivisionError

    assert await Run()([1], channel, errors=errors) == [(1, ZeroDivisionError)]


async def test_message_is_processed_once_its_reply_is_here() -> None:
    scheduler = TestScheduler()
    source = Subject[int]()
    flow = LocalFlow()
    done: list[int] = []
    replies = with_flow(source, flow).pipe(publish_to(DistantServer(scheduler), "/a"))
    assert flow_of(replies) is flow
    replies.subscribe()
    with Delivery(lambda: done.append(1)):
        source.on_next(5)
    await turns()
    assert done == []
    await play(scheduler, 6)
    assert done == [1]


def test_arguments_are_checked_when_the_operator_is_made() -> None:
    async def coroutine_function(item: Any) -> str:
        return "/a"

    client = DistantServer(TestScheduler())
    with pytest.raises(TypeError, match="channel"):
        publish_to(client, cast("Any", coroutine_function))
    with pytest.raises(TypeError, match="channel"):
        publish_to(client, cast("Any", 1))
    with pytest.raises(ValueError, match="max_in_flight"):
        publish_to(client, "/a", max_in_flight=0)
    with pytest.raises(ValueError, match="errors"):
        publish_to(client, "/a", errors=cast("Any", "ignore"))
    with pytest.raises(TypeError, match="overflow"):
        publish_to(client, "/a", overflow=cast("Any", "ERROR"))


@pytest.mark.parametrize("channel", ["", "orders", "/orders/*", "/meta/connect"])
def test_a_channel_that_takes_no_messages_is_refused_at_once(channel: str) -> None:
    with pytest.raises(InvalidChannelError):
        publish_to(Run().server, channel)
