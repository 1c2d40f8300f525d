"""What a peer is told to do, and how it measures itself. Needs nothing but Python."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        kind: Which of the peer's functions does it.
        url: Where the generator is.
        transport: ``websocket`` or ``long-polling``.
        messages: How many are measured.
        warm_up: How many come before those that count: for caches, and for those who compile as
            they go.
        json: The JSON library; ``raw`` leaves data as JSON, where the peer can.
        per_frame: Messages in a frame or response, or published in a batch.
        channels: Channels that the messages are spread over.
        globs: Whether each is observed by a glob of its own, not by its name.
        observers: Observers of each channel.
        extensions: Synchronous extensions that look at each payload.
        in_flight: Publishes that wait for their replies at a time.
        rate: Messages a second; 0 is as fast as can be.
        compress: Whether frames are deflated.
        coalesced: Whether many frames are written at once.
        typed: How data gets its type, and whose it is: ``operators msgspec``, ``channel pydantic``.
        loop: The event loop: ``asyncio``, ``uvloop`` or ``aiofastnet``.
        authority: A file with the certificate to trust.
    """

    kind: str
    url: str
    messages: int
    warm_up: int = 0
    transport: str = "websocket"
    json: str = "json"
    per_frame: int = 1
    channels: int = 1
    globs: bool = False
    observers: int = 1
    extensions: int = 0
    in_flight: int = 1
    rate: int = 0
    compress: bool = False
    coalesced: bool = False
    typed: str = ""
    loop: str = "asyncio"
    authority: str = ""

    @property
    def names(self) -> list[str]:
        """The channels or globs to observe."""
        last = "*" if self.globs else "x"
        return [f"/bench/{n}/{last}" for n in range(self.channels)]

    @property
    def ssl(self) -> ssl.SSLContext | None:
        """The context for TLS, ``None`` where there is none."""
        if not self.url.startswith("https"):
            return None
        return ssl.create_default_context(cafile=self.authority)

    def order(self, messages: int) -> dict[str, Any]:
        """What to publish for so many messages to come."""
        return {
            "messages": messages,
            "per_frame": self.per_frame,
            "channels": self.channels,
            "rate": self.rate,
            "compress": self.compress,
            "coalesced": self.coalesced,
        }

    def json_functions(self) -> tuple[Callable[[Any], str | bytes], Callable[[Any], Any]]:
        """The JSON library's ``dumps`` and ``loads``."""
        if self.json == "orjson":
            import orjson  # noqa: PLC0415 - only where it is wanted

            return orjson.dumps, orjson.loads
        if self.json == "msgspec":
            import msgspec  # noqa: PLC0415 - only where it is wanted

            return msgspec.json.encode, msgspec.json.decode
        return json.dumps, json.loads


@dataclass
class Stopwatch:
    """Measures this process: wall clock and CPU time."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def stop(self, messages: int) -> dict[str, float]:
        """What it took."""
        cpu = time.process_time() - self.cpu
        wall = time.perf_counter() - self.wall
        return {"messages": messages, "wall": wall, "cpu": cpu}


class Counting:
    """The work of every receiver: counts messages, and says when there were enough."""

    def __init__(self) -> None:
        self.left = 0
        self.enough = asyncio.Event()

    def expect(self, messages: int) -> None:
        """Wait for so many from now on."""
        self.left = messages
        self.enough.clear()

    def on_next(self, _: object) -> None:
        """Count a message."""
        self.left -= 1
        if not self.left:
            self.enough.set()


def latencies(delays: list[int]) -> dict[str, float]:
    """Tell of delays, in nanoseconds, what is looked at: microseconds by percentile."""
    delays = sorted(delays)
    last = len(delays) - 1
    return {name: delays[round(last * part)] / 1000 for name, part in _PERCENTILES.items()}


_PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}

if TYPE_CHECKING:
    Kinds = Mapping[str, Callable[[Task], Awaitable[dict[str, float]]]]


def perform(kinds: Kinds) -> None:
    """Do the task that the command line gives, and print what it took."""
    task = Task(**json.loads(sys.argv[1]))
    with asyncio.Runner(loop_factory=_loop_factory(task.loop)) as runner:
        result = runner.run(_run(kinds, task))
    print(json.dumps(result))


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "uvloop":
        import uvloop  # noqa: PLC0415 - only where it is wanted

        return uvloop.new_event_loop
    if name == "aiofastnet":
        import aiofastnet  # noqa: PLC0415 - only where it is wanted

        return aiofastnet.loop_factory()
    return None


async def _run(kinds: Kinds, task: Task) -> dict[str, float]:
    return await kinds[task.kind](task)
