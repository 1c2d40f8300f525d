"""What one message costs in each asynchronous operator, beside a hand-off over `asyncio.Queue`.

    python benchmarks/operators.py [--messages N] [--rounds N]

Messages come in bursts, as from payloads, and the consumer empties the buffer after each. All
take turns in the same process, so what counts is the ratio to the queue; the best round of each
is shown. Those of the operators include the `Subject` that emits and the observer, which the case
without operator shows. `observe_on` is the ReactiveX way to decouple, unbounded.

The last cases take what is pending in a client already: that of rx_cometd, and that of aiocometd
if ``aiocometd-noloop`` is installed (see `pull.py`, which measures from the socket on).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import time
import warnings
from typing import TYPE_CHECKING, Any

from feed import CHANNEL, PUSH, feed
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject

from rx_cometd import Client, ConnectionType
from rx_cometd._flow.buffer import MessageBuffer
from rx_cometd.operators import bounded_buffer, conflate, map_async, to_async_iterable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Case = Callable[[int], Awaitable[float | None]]

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


def pending(make: Callable[[str], Any], *, receive: bool) -> Callable[[int], Awaitable[float]]:
    """Measure what it takes to take messages out of a client, once all are pending.

    Args:
        make: Makes the client, given the server's address.
        receive: Whether to call ``receive()``, rather than ``async for``.
    """

    async def run(messages: int) -> float:
        asyncio.get_running_loop().set_exception_handler(_ignore)
        with feed() as url:
            client = make(url)
            async with client:
                await client.subscribe(CHANNEL)
                push = {"messages": messages, "per_frame": BURST}
                pushing = asyncio.ensure_future(client.publish(PUSH, push))
                while client.pending_count < messages:  # noqa: ASYNC110 - aiocometd has no event
                    await asyncio.sleep(0.01)
                begun = time.perf_counter()
                await (_receive_all if receive else _iterate_all)(client, messages)
                seconds = time.perf_counter() - begun
                pushing.cancel()
        return seconds

    return run


def _ignore(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """Say nothing: aiocometd, when closed, has the loop log the cancellation of its own tasks."""


async def _receive_all(client: Any, messages: int) -> None:
    for _ in range(messages):
        await client.receive()


async def _iterate_all(client: Any, messages: int) -> None:
    received = 0
    async for _ in client:
        received += 1
        if received == messages:
            return


def ours(url: str) -> Any:
    """Make a client of rx_cometd."""
    return Client(url, ConnectionType.WEBSOCKET, max_pending_count=0)


def theirs(url: str) -> Any:
    """Make a client of aiocometd."""
    aiocometd: Any = _aiocometd()
    return aiocometd.Client(url, aiocometd.ConnectionType.WEBSOCKET, max_pending_count=0)


def _aiocometd() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("aiocometd_noloop")  # untyped, and it warns


CASES: dict[str, Case] = {
    "asyncio.Queue": queue,
    "the buffer alone": buffer_alone,
    "no operator: Subject to observer": through(),
    "async for, to_async_iterable": iterate,
    "bounded_buffer": through(bounded_buffer),
    "conflate, all keys different": through(lambda: conflate(lambda _: object())),
    "map_async": through(lambda: map_async(work)),
    "map_async, max_concurrency=16": through(lambda: map_async(work, max_concurrency=16)),
    "reactivex observe_on": through(observe_on_loop),
    "pending, client.receive()": pending(ours, receive=True),
    "pending, async for in client": pending(ours, receive=False),
}
if importlib.util.find_spec("aiocometd_noloop") is not None:
    CASES["pending, aiocometd receive()"] = pending(theirs, receive=True)
    CASES["pending, async for in aiocometd"] = pending(theirs, receive=False)


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
            seconds = asyncio.run(_run(case, messages))
            if seconds is None:
                seconds = time.perf_counter() - begun
            best[name] = min(best[name], seconds)
    bare = best["asyncio.Queue"]
    for name, seconds in best.items():
        print(f"{name:34} {seconds / messages * 1e6:6.2f} us/message {seconds / bare:6.2f} x queue")


async def _run(case: Case, messages: int) -> float | None:
    return await case(messages)


if __name__ == "__main__":
    main()
