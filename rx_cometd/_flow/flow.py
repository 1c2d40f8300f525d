"""What buffers and the client tell each other: bounds, policies, and when to hold back.

Layer 2 knows no session, so the two sides meet in the small `Flow` protocol: a `Client` hands
its flow to its channels, the operators of rx_cometd pass it on, and a buffer finds it with
`flow_of`.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

    from rx_cometd.exceptions import ClientError
    from rx_cometd.statistics import BufferStatistics

__all__ = ["Buffer", "Flow", "Overflow", "UnderWay", "flow_of", "piped_from"]


class Overflow(Enum):
    """What a full buffer does with one more message."""

    ERROR = "error"
    """Deliver what is buffered, then fail with `BufferOverflowError`."""
    DROP_OLDEST = "drop_oldest"
    """Drop the message that has waited longest."""
    DROP_NEWEST = "drop_newest"
    """Drop the arriving message."""
    CONFLATE = "conflate"
    """Keep the latest message of each channel (or of each ``key``)."""
    SUSPEND = "suspend"
    """Hold back the next ``/meta/connect`` until the buffer is half empty."""


class UnderWay(Protocol):
    """What is still to be done with messages, as the client sees it that waits for it."""

    def is_done_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether a task does it: that one cannot wait for it."""
        ...


class Buffer(UnderWay, Protocol):
    """A buffer as its client sees it."""

    @property
    def pending_count(self) -> int:
        """Messages that wait in the buffer, exact at all times."""
        ...

    def statistics(self) -> BufferStatistics:
        """Tell what waits in it, what it dropped, and how often it had the connect held back."""
        ...


class Flow(Protocol):
    """A client as the buffers of its channels see it. All methods are loop-confined."""

    @property
    def max_pending_count(self) -> int:
        """The client's default bound; ``<= 0`` is unbounded."""
        ...

    @property
    def overflow(self) -> Overflow | None:
        """The client's default policy; ``None`` is ``SUSPEND`` if lossless, else ``ERROR``."""
        ...

    def refusal(self) -> ClientError | None:
        """Say why ``SUSPEND`` would lose messages now, ``None`` if it would not (or not known)."""
        ...

    @property
    def lossless(self) -> bool:
        """Whether the server is known to keep the messages while the connect is held back."""
        ...

    @property
    def turn(self) -> object | None:
        """What tells apart the turns of the loop that messages come in.

        The same object for all messages that come in one turn, in one payload or several;
        ``None`` while none is being delivered.
        """
        ...

    def attach(self, buffer: Buffer) -> None:
        """Count a buffer's messages as the client's, from its subscription on."""
        ...

    def detach(self, buffer: Buffer) -> None:
        """Forget a buffer: it was disposed of, completed or failed. Also resumes it."""
        ...

    def suspend(self, buffer: Buffer) -> None:
        """Hold back the next ``/meta/connect``: the buffer passed its high mark. Idempotent."""
        ...

    def resume(self, buffer: Buffer) -> None:
        """Let connects go again: the buffer is below its low mark. Idempotent."""
        ...

    def dropped(self, policy: Overflow) -> None:
        """Count a message that a buffer dropped, by its policy."""
        ...

    def begin_work(self, work: UnderWay) -> None:
        """Note that work on a message is under way: who drains the client waits for it."""
        ...

    def end_work(self, work: UnderWay) -> None:
        """Note that it is done, or was given up. Idempotent."""
        ...


#: The flow of the pipe whose operator is being applied.
_piped: ContextVar[Flow | None] = ContextVar("rx_cometd_piped_flow", default=None)


def flow_of(source: object) -> Flow | None:
    """Find the flow of the client that a source belongs to, ``None`` if there is none.

    To be asked when an operator is applied, not later: where several operators were composed
    into one (``reactivex.compose``), the sources of the inner ones know no client, but the pipe
    that applies them does.
    """
    flow: Flow | None = getattr(source, "flow", None)
    return _piped.get() if flow is None else flow


@contextmanager
def piped_from(flow: Flow | None) -> Generator[None]:
    """Apply an operator to what belongs to a client."""
    token = _piped.set(flow)
    try:
        yield
    finally:
        _piped.reset(token)
