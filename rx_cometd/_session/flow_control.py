"""The client's side of flow control: which buffers wait, and whether to hold back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from rx_cometd._session.waiters import Waiters
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import ClientError, ClientInvalidOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._flow.dispatch import Dispatch
    from rx_cometd._flow.flow import Buffer, Overflow, UnderWay
    from rx_cometd.statistics import BufferStatistics, Counters

__all__ = ["FlowControl"]

#: What `FlowControl.emptied` waits for.
_EMPTIED = "emptied"
_LONG_POLLING = ConnectionType.LONG_POLLING


class Negotiated(Protocol):
    """What client and server agreed on in the handshake."""

    @property
    def connection_type(self) -> ConnectionType | None:
        """How the messages travel."""
        ...

    @property
    def acknowledges(self) -> bool:
        """Whether the ack extension binds the delivery of messages to connects."""
        ...


class FlowControl:
    """Counts what waits in a client's buffers, and knows when its connect is held back.

    Args:
        max_pending_count: The client's default bound.
        overflow: The client's default policy.
        counters: Where drops and suspensions are counted.
    """

    def __init__(
        self, max_pending_count: int, overflow: Overflow | None, counters: Counters
    ) -> None:
        self._max_pending_count = max_pending_count
        self._overflow = overflow
        self._counters = counters
        #: The buffers, and the channel or glob that each was made for, where it is but one.
        self._buffers: dict[Buffer, str | None] = {}
        self._suspending: dict[Buffer, None] = {}
        #: Work under way that is in no buffer.
        self._works: set[UnderWay] = set()
        self._session: Negotiated | None = None
        #: Who waits for the last buffer to end, and for no work to be under way.
        self._emptied: Waiters[None] = Waiters()
        self._resumed: Callable[[], None] | None = None
        self._turn: object | None = None
        #: What delivers the client's messages, ``None`` before its first session.
        self.dispatch: Dispatch | None = None

    def begin_session(self, session: Negotiated, resumed: Callable[[], None]) -> None:
        """Ask a session, from its handshake on, how its messages travel.

        Args:
            session: The session.
            resumed: Called when no buffer wants the connect held back any more.
        """
        self._session = session
        self._resumed = resumed

    def end_session(self, session: Negotiated) -> None:
        """Ask a session no more: it ended, or there is not yet a new one."""
        if self._session is session:
            self._session = None
            self._resumed = None

    def forget(self) -> None:
        """Forget all buffers: the event loop that they lived on is over."""
        self._buffers.clear()
        self._suspending.clear()
        self._works.clear()
        self._session = self._resumed = self._turn = None

    @property
    def turn(self) -> object | None:
        """What tells apart the turns of the loop that messages come in."""
        if self.dispatch is None or not self.dispatch.delivering:
            return None
        if self._turn is None:
            self._turn = object()
            asyncio.get_running_loop().call_soon(self._end_turn)
        return self._turn

    def _end_turn(self) -> None:
        self._turn = None

    @property
    def max_pending_count(self) -> int:
        """The client's default bound."""
        return self._max_pending_count

    @property
    def overflow(self) -> Overflow | None:
        """The client's default policy."""
        return self._overflow

    @property
    def pending_count(self) -> int:
        """Messages that wait in all buffers."""
        return sum(buffer.pending_count for buffer in list(self._buffers))

    def buffers(self) -> list[tuple[str | None, BufferStatistics]]:
        """Tell of each buffer, with the channel or glob that it was made for."""
        return [(channel, buffer.statistics()) for buffer, channel in list(self._buffers.items())]

    @property
    def suspended(self) -> bool:
        """Whether any buffer wants the connect held back, and that would help."""
        return bool(self._suspending) and self.lossless

    @property
    def lossless(self) -> bool:
        """Whether the server keeps messages while no connect asks for them.

        Over long-polling they travel with the connect's response; over a WebSocket they are
        pushed at once, unless the ack extension binds them to connects
        (AcknowledgedMessagesExtension.java sets the session to meta-connect delivery only).
        """
        session = self._session
        if session is None:
            return False
        return session.acknowledges or session.connection_type is _LONG_POLLING

    def refusal(self) -> ClientError | None:
        """Say why ``SUSPEND`` cannot work on the present connection."""
        if self._session is None or self.lossless:
            return None
        return ClientError(
            "SUSPEND needs a server that keeps messages back: over websocket use the extension "
            "ack() with a server that supports it, or the connection type long-polling"
        )

    def attach(self, buffer: Buffer, channel: str | None = None) -> None:
        """Count a buffer's messages as the client's."""
        self._buffers[buffer] = channel

    def detach(self, buffer: Buffer) -> None:
        """Forget a buffer."""
        self._buffers.pop(buffer, None)
        self.resume(buffer)
        self._note_emptied()

    def begin_work(self, work: UnderWay) -> None:
        """Note that work on a message is under way."""
        self._works.add(work)

    def end_work(self, work: UnderWay) -> None:
        """Note that it is done, or was given up."""
        self._works.discard(work)
        self._note_emptied()

    def _note_emptied(self) -> None:
        if not (self._buffers or self._works):
            self._emptied.settle(_EMPTIED, None)

    def check_outside(self) -> None:
        """Refuse to wait within what would be waited for.

        Raises:
            ClientInvalidOperation: A work under way, or an iteration, is done by this task.
        """
        task = asyncio.current_task()
        if any(under_way.is_done_by(task) for under_way in (*self._buffers, *self._works)):
            raise ClientInvalidOperation(
                "drain() would wait for the work, or the iteration, that calls it: leave that "
                "first, or have a task of its own do it, asyncio.create_task(client.drain())"
            )

    async def emptied(self) -> None:
        """Wait until every buffer has ended, with nothing pending and no work under way.

        Raises:
            ClientInvalidOperation: It is the caller's own work that would be waited for.
        """
        while self._buffers or self._works:
            self.check_outside()
            await self._emptied.wait(_EMPTIED)

    def suspend(self, buffer: Buffer) -> None:
        """Hold back the next connect."""
        if buffer not in self._suspending:
            self._suspending[buffer] = None
            self._counters.suspensions += 1

    def resume(self, buffer: Buffer) -> None:
        """Let connects go again, unless another buffer is still full."""
        if self._suspending.pop(buffer, _ABSENT) is _ABSENT:
            return
        if not self._suspending and self._resumed is not None:
            self._resumed()

    def dropped(self, policy: Overflow) -> None:
        """Count a message that a buffer dropped."""
        counters = self._counters
        counters.drops += 1
        counters.drops_by_policy[policy.value] = counters.drops_by_policy.get(policy.value, 0) + 1


_ABSENT = object()
