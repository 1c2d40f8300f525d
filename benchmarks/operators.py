"""What one message costs in each asynchronous operator, beside a hand-off over `asyncio.Queue`.

    python benchmarks/operators.py [--messages N] [--rounds N]

Messages come in bursts, as from payloads, and the consumer empties the buffer after each. All
take turns in the same process, so what counts is the ratio to the queue; the best round of each
is shown. Those of the operators include the `Subject` that emits and the observer, which the case
without operator shows. `observe_on` is the ReactiveX way to decouple, unbounded.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Any

from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rx_cometd.operators import bounded_buffer, conflate, map_async, to_async_iterable
from rx_cometd.operators._buffer import MessageBuffer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BURST = 100
MESSAGE = {"channel": "/stock/acme", "data": {"price": 101.5}}


async def queue(messages: int) -> None:
    """Hand over by `asyncio.Queue`: the bare minimum."""
    pending: asyncio.Queue[Any] = asyncio.Queue(BURST)

    async def produce() -> None:
        for _ in range(messages // BURST):
            for _ in range(BURST):
                pending.put_nowait(MESSAGE)
            await asyncio.sleep(0)

    producing = asyncio.create_task(produce())
    for _ in range(messages):
        await pending.get()
    await producing


async def iterate(messages: int) -> None:
    """`to_async_iterable`."""
    source = Subject[Any]()
    received = 0
    iterator = aiter(source.pipe(to_async_iterable()))
    producing = asyncio.create_task(_produce(source, messages))
    async for _ in iterator:
        received += 1
    await producing
    _check(received, messages)


async def _produce(source: Subject[Any], messages: int) -> None:
    for _ in range(messages // BURST):
        for _ in range(BURST):
            source.on_next(MESSAGE)
        await asyncio.sleep(0)
    source.on_completed()


def through(
    *operators: Callable[[], Callable[[Any], Any]],
) -> Callable[[int], Awaitable[None]]:
    """Measure operators between a subject and an observer that counts."""

    async def run(messages: int) -> None:
        source = Subject[Any]()
        done = asyncio.get_running_loop().create_future()
        received = 0

        def on_next(_: Any) -> None:
            nonlocal received
            received += 1
            if received % BURST == 0:
                emptied.set()

        emptied = asyncio.Event()
        source.pipe(*(operator() for operator in operators)).subscribe(
            on_next, done.set_exception, lambda: done.set_result(None)
        )
        for _ in range(messages // BURST):
            emptied.clear()
            for _ in range(BURST):
                source.on_next(MESSAGE)
            await emptied.wait()
        source.on_completed()
        await done
        _check(received, messages)

    return run


def _check(received: int, messages: int) -> None:
    if received != messages:
        raise RuntimeError(f"{received} of {messages} messages came through")


async def work(message: Any) -> Any:
    """Do work that never waits: what remains is the cost of the operator."""
    return message


def observe_on_loop() -> Callable[[Any], Any]:
    """Decouple the ReactiveX way."""
    return ops.observe_on(AsyncIOScheduler(asyncio.get_running_loop()))


async def buffer_alone(messages: int) -> None:
    """Hand over by the buffer of the operators, as the pull view does."""
    buffer = MessageBuffer[Any]()
    for _ in range(messages // BURST):
        for _ in range(BURST):
            buffer.offer(MESSAGE)
        for _ in range(BURST):
            buffer.take_nowait()


CASES: dict[str, Callable[[int], Awaitable[None]]] = {
    "asyncio.Queue": queue,
    "the buffer alone": buffer_alone,
    "no operator: Subject to observer": through(),
    "async for, to_async_iterable": iterate,
    "bounded_buffer": through(bounded_buffer),
    "conflate, all keys different": through(lambda: conflate(lambda _: object())),
    "map_async": through(lambda: map_async(work)),
    "map_async, max_concurrency=16": through(lambda: map_async(work, max_concurrency=16)),
    "reactivex observe_on": through(observe_on_loop),
}


def main() -> None:
    """Run all cases in turn, and print the best of each."""
    parser = argparse.ArgumentParser(description="Measure the operators.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    messages = options.messages // BURST * BURST
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(options.rounds):
        for name, case in CASES.items():
            begun = time.perf_counter()
            asyncio.run(_run(case, messages))
            best[name] = min(best[name], time.perf_counter() - begun)
    bare = best["asyncio.Queue"]
    for name, seconds in best.items():
        print(f"{name:32} {seconds / messages * 1e6:6.2f} us/message {seconds / bare:6.2f} x queue")


async def _run(case: Callable[[int], Awaitable[None]], messages: int) -> None:
    await case(messages)


if __name__ == "__main__":
    main()
