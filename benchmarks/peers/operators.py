"""Operators of ours, and those of reactivex that come nearest to them.

Messages come in bursts, as from payloads, and the consumer empties the buffer after each.
"""

from __future__ import annotations

import asyncio
import itertools
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec
import reactivex
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from benchmarks.peers.task import Stopwatch, Task, perform
from rx_cometd import operators as cometd_ops

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from reactivex import Observable

    Operator = Callable[[Any], Any]

BURST: Final = 100
MESSAGE: Final = {"channel": "/stock/acme", "data": {"price": 101.5}}


class Quote(msgspec.Struct):
    """What the data of the message is decoded to."""

    price: float


async def queue(task: Task) -> dict[str, float]:
    """Hand over by `asyncio.Queue`."""
    pending: asyncio.Queue[Any] = asyncio.Queue(BURST)

    async def produce() -> None:
        for _ in range(task.messages // BURST):
            for _ in range(BURST):
                pending.put_nowait(MESSAGE)
            await asyncio.sleep(0)

    stopwatch = Stopwatch()
    producing = asyncio.create_task(produce())
    for _ in range(task.messages):
        await pending.get()
    await producing
    return stopwatch.stop(task.messages)


async def to_async_iterable(task: Task) -> dict[str, float]:
    """Hand over to ``async for``."""
    source = Subject[Any]()

    async def produce() -> None:
        for _ in range(task.messages // BURST):
            for _ in range(BURST):
                source.on_next(MESSAGE)
            await asyncio.sleep(0)
        source.on_completed()

    iterator = aiter(source.pipe(cometd_ops.to_async_iterable()))
    stopwatch = Stopwatch()
    producing = asyncio.create_task(produce())
    async for _ in iterator:
        pass
    await producing
    return stopwatch.stop(task.messages)


def _given(make: Callable[[int], Observable[Any]]) -> Callable[[Task], Awaitable[dict[str, float]]]:
    """Measure a source that gives so many messages, all of them there already."""

    async def run(task: Task) -> dict[str, float]:
        done = asyncio.Event()
        stopwatch = Stopwatch()
        make(task.messages).subscribe(on_error=_fail, on_completed=done.set)
        await done.wait()
        return stopwatch.stop(task.messages)

    return run


def _iterated(messages: int) -> Observable[Any]:
    async def iterate() -> AsyncGenerator[Any]:
        for _ in range(messages):
            yield MESSAGE

    return cometd_ops.from_async_iterable(iterate)


def through(
    *operators: Callable[[], Operator],
) -> Callable[[Task], Awaitable[dict[str, float]]]:
    """Measure operators between a subject and an observer that counts."""

    async def run(task: Task) -> dict[str, float]:
        source = Subject[Any]()
        left = BURST
        emptied = asyncio.Event()

        def on_next(_: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                emptied.set()

        source.pipe(*(operator() for operator in operators)).subscribe(on_next, _fail)
        stopwatch = Stopwatch()
        for _ in range(task.messages // BURST):
            left = BURST
            emptied.clear()
            for _ in range(BURST):
                source.on_next(MESSAGE)
            await emptied.wait()
        return stopwatch.stop(task.messages)

    return run


def emitting(
    *operators: Callable[[], Operator],
) -> Callable[[Task], Awaitable[dict[str, float]]]:
    """Measure operators that need not emit one item for each, nor later than they get it."""

    async def run(task: Task) -> dict[str, float]:
        source = Subject[Any]()
        scheduler = AsyncIOScheduler(asyncio.get_running_loop())
        subscription = source.pipe(*(operator() for operator in operators)).subscribe(
            on_error=_fail, scheduler=scheduler
        )
        stopwatch = Stopwatch()
        for _ in range(task.messages // BURST):
            for _ in range(BURST):
                source.on_next(MESSAGE)
            await asyncio.sleep(0)
        figures = stopwatch.stop(task.messages)
        subscription.dispose()
        return figures

    return run


def _fail(error: Exception) -> None:
    raise error


async def work(message: Any) -> Any:
    """Do work that never waits: what remains is the cost of the operator."""
    return message


def _future(message: Any) -> Any:
    return reactivex.from_future(asyncio.ensure_future(work(message)))


class Taking:
    """A client whose server takes at once what is published: what remains is the operator's."""

    async def publish(self, channel: str, data: Any, *, fields: Any = None) -> Any:  # noqa: ARG002
        """Publish a message."""
        return MESSAGE


def _published(message: Any) -> Any:
    return reactivex.from_future(asyncio.ensure_future(Taking().publish("/a", message)))


def _observe_on() -> Operator:
    return ops.observe_on(AsyncIOScheduler(asyncio.get_running_loop()))


def _data(message: Any) -> Any:
    return message["data"]


def _convert(message: Any) -> Quote:
    return msgspec.convert(message["data"], Quote)


def _channel(message: Any) -> str:
    channel: str = message["channel"]
    return channel


def _price(message: Any) -> float:
    price: float = message["data"]["price"]
    return price


def _counting() -> Callable[[Any], int]:
    numbers = itertools.count()
    return lambda _: next(numbers)


KINDS: Final = {
    "subject": through(),
    "queue": queue,
    "to_async_iterable": to_async_iterable,
    "bounded_buffer": through(cometd_ops.bounded_buffer),
    "observe_on": through(_observe_on),
    "data": through(cometd_ops.data),
    "map_data": through(lambda: ops.map(_data)),
    "decode": through(cometd_ops.data, lambda: cometd_ops.decode(Quote)),
    "map_convert": through(lambda: ops.map(_convert)),
    "map_async": through(lambda: cometd_ops.map_async(work)),
    "concat_map_future": through(lambda: ops.concat_map(_future)),
    "map_async_16": through(lambda: cometd_ops.map_async(work, max_concurrency=16)),
    "merge_map_future": through(lambda: ops.flat_map(_future)),
    "publish_to": through(lambda: cometd_ops.publish_to(Taking(), "/a")),
    "merge_map_publish": through(lambda: ops.flat_map(_published)),
    "from_async_iterable": _given(_iterated),
    "from_iterable": _given(lambda messages: reactivex.from_iterable(repeat(MESSAGE, messages))),
    "on_loop": through(cometd_ops.on_loop),
    "traced": through(cometd_ops.traced),
    "conflate": through(lambda: cometd_ops.conflate(lambda _: object())),
    "ack_after": through(lambda: cometd_ops.ack_after(work)),
    "switch_map_async": emitting(lambda: cometd_ops.switch_map_async(work)),
    "switch_map_future": emitting(lambda: ops.map(_future), ops.switch_latest),
    "exhaust_map_async": emitting(lambda: cometd_ops.exhaust_map_async(work)),
    "exhaust_map_future": emitting(lambda: ops.map(_future), ops.exclusive),
    "share": emitting(cometd_ops.share),
    "rx_share": emitting(ops.share),
    "last_value": emitting(cometd_ops.last_value),
    "replay": emitting(lambda: ops.replay(1), ops.ref_count),
    "retry_with_backoff": emitting(cometd_ops.retry_with_backoff),
    "retry": emitting(ops.retry),
    "detect_gaps": emitting(lambda: cometd_ops.detect_gaps(_counting(), print)),
    "do_action": emitting(lambda: ops.do_action(_data)),
    "dedupe": emitting(lambda: cometd_ops.dedupe(_channel)),
    "distinct": emitting(lambda: ops.distinct(_channel)),
    "rate_limit": emitting(lambda: cometd_ops.rate_limit(1_000_000_000, 1)),
    "throttle_first": emitting(lambda: ops.throttle_first(1e-6)),
    "by_channel": emitting(cometd_ops.by_channel, ops.merge_all),
    "group_by": emitting(lambda: ops.group_by(_channel), ops.merge_all),
    "window_stats": emitting(lambda: cometd_ops.window_stats(3600, _price)),
    "buffer_with_time": emitting(lambda: ops.buffer_with_time(3600)),
    "buffer_bounded": emitting(lambda: cometd_ops.buffer_bounded(BURST, 3600)),
    "buffer_time_or_count": emitting(lambda: ops.buffer_with_time_or_count(3600, BURST)),
    "watch_quiet": emitting(lambda: cometd_ops.watch_quiet(3600)),
    "timeout": emitting(lambda: ops.timeout(3600)),
}

if __name__ == "__main__":
    perform(KINDS)
