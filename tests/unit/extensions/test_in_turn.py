from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from reactivex import Observable, Subject, abc
from reactivex.disposable import Disposable

from rx_cometd.exceptions import ExtensionError
from rx_cometd.extension import Payload
from rx_cometd.extensions.in_turn import in_turn

if TYPE_CHECKING:
    from collections.abc import Awaitable


class Run:
    """An `in_turn` whose action awaits a future for the channels that have one."""

    def __init__(self, *awaited: str) -> None:
        self.futures: dict[str, asyncio.Future[None]] = {
            channel: asyncio.get_running_loop().create_future() for channel in awaited
        }
        self.seen: list[str] = []
        self.source = Subject[Payload]()
        self.subscription = in_turn(self.act)(self.source).subscribe(
            lambda payload: self.seen.append(payload.messages[0].get("channel", "")),
            lambda error: self.seen.append(repr(error)),
            lambda: self.seen.append("completed"),
        )

    def act(self, payload: Payload) -> Awaitable[None] | None:
        channel = payload.messages[0].get("channel", "")
        if channel == "/bad":
            raise ValueError(channel)
        return self.futures.get(channel)

    def send(self, *channels: str) -> None:
        for channel in channels:
            self.source.on_next(Payload([{"channel": channel}]))

    async def settle(self, channel: str) -> None:
        self.futures[channel].set_result(None)
        await turn()


async def turn() -> None:
    """Let the callbacks run that are due now, and those of the futures they settle."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_passes_within_the_call_where_nothing_is_awaited() -> None:
    run = Run()
    run.send("/1", "/2")
    assert run.seen == ["/1", "/2"]


async def test_keeps_the_order_behind_what_is_awaited() -> None:
    run = Run("/2", "/4")
    run.send("/1", "/2", "/3", "/4", "/5")
    assert run.seen == ["/1"]
    await run.settle("/2")
    assert run.seen == ["/1", "/2", "/3"]
    await run.settle("/4")
    assert run.seen == ["/1", "/2", "/3", "/4", "/5"]
    run.send("/6")
    assert run.seen[-1] == "/6"


async def test_completes_after_what_waits() -> None:
    run = Run("/1")
    run.send("/1", "/2")
    run.source.on_completed()
    assert run.seen == []
    await run.settle("/1")
    assert run.seen == ["/1", "/2", "completed"]


async def test_the_end_of_the_source_comes_at_once_where_nothing_waits() -> None:
    done, failed = Run(), Run()
    done.source.on_completed()
    failed.source.on_error(KeyError("x"))
    assert done.seen == ["completed"]
    assert failed.seen == ["KeyError('x')"]


async def test_an_error_of_the_source_comes_after_what_waits() -> None:
    run = Run("/1")
    run.send("/1")
    run.source.on_error(KeyError("x"))
    await run.settle("/1")
    assert run.seen == ["/1", "KeyError('x')"]


async def test_an_action_that_raises_fails_the_pipeline_and_drops_what_waits() -> None:
    run = Run("/1")
    run.send("/1", "/bad", "/2")
    await run.settle("/1")
    assert run.seen == ["/1", "ValueError('/bad')"]
    run.send("/3")
    assert run.seen == ["/1", "ValueError('/bad')"]


async def test_an_awaitable_that_raises_fails_the_pipeline() -> None:
    run = Run("/1")
    run.send("/1", "/2")
    run.futures["/1"].set_exception(OSError("down"))
    await turn()
    assert run.seen == ["OSError('down')"]


async def test_an_awaitable_that_others_cancel_fails_the_pipeline() -> None:
    run = Run("/1")
    run.send("/1", "/2")
    run.futures["/1"].cancel()
    await turn()
    assert len(run.seen) == 1
    assert run.seen[0].startswith(ExtensionError.__name__)


async def test_disposing_cancels_what_is_awaited() -> None:
    run = Run("/1")
    run.send("/1", "/2")
    run.subscription.dispose()
    assert run.futures["/1"].cancelled()
    await turn()
    assert run.seen == []


async def test_disposing_while_what_was_awaited_failed_is_quiet() -> None:
    run = Run("/1")
    run.send("/1")
    run.futures["/1"].set_exception(OSError("down"))
    run.subscription.dispose()
    await turn()
    assert run.seen == []


async def test_disposing_before_a_coroutine_began_leaves_none_unawaited() -> None:
    async def work() -> None:
        pytest.fail("it was disposed of")

    source: Subject[Payload] = Subject()
    subscription = in_turn(lambda payload: work())(source).subscribe()
    source.on_next(Payload([]))
    subscription.dispose()
    await turn()


async def test_each_subscription_has_a_queue_of_its_own() -> None:
    held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    actions: list[Any] = [held, None]
    operator = in_turn(lambda payload: actions.pop(0))
    source: Subject[Payload] = Subject()
    one: list[Payload] = []
    two: list[Payload] = []
    operator(source).subscribe(one.append)
    operator(source).subscribe(two.append)
    source.on_next(Payload([]))
    assert (len(one), len(two)) == (0, 1)
    held.set_result(None)
    await turn()
    assert (len(one), len(two)) == (1, 1)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_source_that_goes_on_after_a_failure_does_no_more_work(ends: bool) -> None:
    def subscribe(
        observer: abc.ObserverBase[Payload], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        for _ in range(3):
            observer.on_next(Payload([]))
        if ends:
            observer.on_completed()
        else:
            observer.on_error(KeyError("too late"))
        return Disposable()

    acted: list[Payload] = []

    def act(payload: Payload) -> None:
        acted.append(payload)
        raise ValueError("bad")

    seen: list[str] = []
    in_turn(act)(Observable(subscribe)).subscribe(
        on_error=lambda error: seen.append(repr(error)),
        on_completed=lambda: seen.append("completed"),
    )
    assert seen == ["ValueError('bad')"]
    assert len(acted) == 1
