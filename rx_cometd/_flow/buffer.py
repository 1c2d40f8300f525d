"""The bounded buffer behind every operator that lets messages wait.

Every rule of buffering lives here, and nothing else: bounds, policies, marks, counts, the order
of messages and the end of the stream. No asyncio, no scheduler, no observer: the owner offers
and takes, and is woken. All calls must come from one thread, the event loop's.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from rx_cometd._flow.conflation import channel_of, conflate
from rx_cometd._flow.delivery import Hold, hold
from rx_cometd._flow.drop_log import DropLog
from rx_cometd._flow.ending import on_behalf_of
from rx_cometd._flow.flow import Overflow
from rx_cometd._protocol.user_functions import failure_of
from rx_cometd.exceptions import BufferOverflowError, ClientError
from rx_cometd.statistics.snapshot import BufferStatistics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container, Hashable

    from rx_cometd._flow.flow import Flow

__all__ = ["DEFAULT_MAX_PENDING_COUNT", "MessageBuffer"]

DEFAULT_MAX_PENDING_COUNT: Final = 100
"""The bound where no client says another."""

#: Members of an enum take long to look up (Python 3.11), and these are for each message past it.
_SUSPEND: Final = Overflow.SUSPEND
_DROP_OLDEST: Final = Overflow.DROP_OLDEST
_DROP_NEWEST: Final = Overflow.DROP_NEWEST
_CONFLATE: Final = Overflow.CONFLATE

_T = TypeVar("_T")


class _Tracked:
    """A waiting message whose processing somebody wants to know of."""

    __slots__ = ("held", "message")

    def __init__(self, message: Any, held: Hold) -> None:
        self.message = message
        self.held = held


class MessageBuffer(Generic[_T]):
    """Messages that wait for a consumer, in order, bounded.

    The owner calls `offer` for what arrives and `complete` or `fail` at its end, looks at
    `pending_count` and takes with `take_nowait`; once nothing is pending and `terminated` is
    true, `error` tells how the stream ended. `close` forgets everything.

    Two stores, of which at most one holds messages: a queue, and, once a buffer with the policy
    ``CONFLATE`` was full, the latest message of each key until the consumer has caught up.

    Attributes:
        max_pending_count: The bound; ``<= 0`` is unbounded.
        dropped_count: Messages that the policy dropped so far, and the one that ended the
            stream by an overflow.
        taken: The hold on the message that `take_nowait` gave last, ``None`` if nobody tracks
            it. It is the owner's to call once that message has been processed.
        terminated: Whether the stream has ended; what is pending is still to be taken.
        error: Why it ended, ``None`` if it completed.
        wake: The owner's callback, called when a message came and when the stream ends.
        lingers: Whether the buffer stays with its client until `close`, though nothing is pending:
            its owner works on what it took, or has still to tell the end.
        workers: The tasks that take messages, or work on those that the owner took.
        client: The client that waits for what is left to do, once the stream has ended; ``None``
            if there is none.
    """

    def __init__(
        self,
        max_pending_count: int | None = None,
        overflow: Overflow | None = None,
        *,
        flow: Flow | None = None,
        key: Callable[[_T], Hashable] | None = None,
        on_overflow: Callable[[_T, int], object] | None = None,
        now: Callable[[], datetime] | None = None,
        quiet: bool = False,
    ) -> None:
        """Open a buffer and attach it to the flow.

        Args:
            max_pending_count: The bound; ``<= 0`` is unbounded, ``None`` the flow's, or 100.
            overflow: The policy; ``None`` is the flow's, or ``ERROR``. If the flow has none
                either: ``SUSPEND`` whenever the flow is lossless, ``ERROR`` when it is not.
            flow: The client's side.
            key: For ``CONFLATE``: what messages replace each other; the channel if ``None``.
            on_overflow: Called with each dropped message and the drops so far.
            now: The clock of the log lines.
            quiet: Drops are what the owner is for: neither counted with the flow nor logged.

        Raises:
            ClientError: ``SUSPEND`` is asked for where it cannot work.
        """
        if max_pending_count is None:
            max_pending_count = flow.max_pending_count if flow else DEFAULT_MAX_PENDING_COUNT
        if overflow is None:
            overflow = flow.overflow if flow else Overflow.ERROR
        self.max_pending_count = max_pending_count
        self.dropped_count = 0
        self.taken: Hold | None = None
        self.terminated = False
        self.error: Exception | None = None
        self.wake: Callable[[], object] | None = None
        self.lingers = False
        self.workers: Container[asyncio.Task[Any] | None] = ()
        self.client: Flow | None = None
        self._overflow = overflow
        self._flow = flow
        self._key: Callable[[Any], Hashable] = channel_of if key is None else key
        self._on_overflow = on_overflow
        self._quiet = quiet
        self._log: DropLog | None = DropLog(now or _monotonic, max_pending_count, overflow)
        # From this many on, `offer` has to think. Unbounded, only conflation has to.
        self._limit = max_pending_count if max_pending_count > 0 else sys.maxsize
        if max_pending_count <= 0 and overflow is Overflow.CONFLATE:
            self._limit = 0
            # The latest of each key is then what was asked for, and no sign of slowness.
            self._log = None
        self._queue: deque[Any] = deque()
        self._latest: OrderedDict[Hashable, Any] = OrderedDict()
        self._suspended = False
        self._suspensions = 0
        #: The turn of the loop in which the buffer became full.
        self._full_since: object | None = None
        self._attach()

    def __repr__(self) -> str:
        policy = "default" if self._overflow is None else self._overflow.name
        state = "terminated" if self.terminated else "suspended" if self._suspended else "open"
        return (
            f"<MessageBuffer {self.pending_count}/{self.max_pending_count} {policy} {state}, "
            f"{self.dropped_count} dropped>"
        )

    @property
    def pending_count(self) -> int:
        """Messages that wait, exact at all times."""
        return len(self._queue) + len(self._latest)

    def statistics(self) -> BufferStatistics:
        """Tell what waits here, what was dropped, and how often the connect was held back."""
        return BufferStatistics(
            self._policy.value,
            self.max_pending_count,
            self.pending_count,
            self.dropped_count,
            self._suspensions,
            self._suspended,
        )

    def is_done_by(self, task: asyncio.Task[Any] | None) -> bool:
        """Tell whether it is a task that works on what was taken, or is to take what waits."""
        return task in self.workers and (self.lingers or self.pending_count > 0)

    @property
    def _policy(self) -> Overflow:
        """The policy that is followed at present, where nobody chose one."""
        if self._overflow is not None:
            return self._overflow
        lossless = self._flow is not None and self._flow.lossless
        return Overflow.SUSPEND if lossless else Overflow.ERROR

    def offer(self, message: _T) -> None:
        """Put an arriving message in, as the policy says; nothing once `terminated`."""
        if self.terminated:
            return
        if self._flow is None:
            self.client = on_behalf_of() or self.client
        held = hold()
        entry: Any = message if held is None else _Tracked(message, held)
        if len(self._queue) >= self._limit or self._latest:
            self._offer_to_full(entry)
            return
        self._queue.append(entry)
        if len(self._queue) == self._limit:
            self._reach_high_mark()
        if self.wake is not None:
            self.wake()

    def take_nowait(self) -> _T:
        """Take the message that has waited longest.

        Raises:
            LookupError: None is pending.
        """
        if self._queue:
            entry = self._queue.popleft()
        elif self._latest:
            entry = self._latest.popitem(last=False)[1]
        else:
            raise LookupError("no message is pending")
        if self._suspended and len(self._queue) <= self.max_pending_count // 2:
            self._resume()
        if self.terminated and not self.pending_count and not self.lingers:
            self._detach()
        if type(entry) is _Tracked:
            self.taken = entry.held
            entry = entry.message
        else:
            self.taken = None
        message: _T = entry
        return message

    def complete(self) -> None:
        """End the stream after what is pending."""
        self._terminate(None)

    def fail(self, error: Exception) -> None:
        """End the stream with an error after what is pending."""
        self._terminate(error)

    def close(self) -> None:
        """Forget what is pending, without calling it processed, and leave the flow."""
        self.terminated = True
        self._queue.clear()
        self._latest.clear()
        self._detach()

    def _offer_to_full(self, entry: Any) -> None:
        policy = self._overflow
        if policy is _DROP_OLDEST:
            dropped = [self._queue.popleft()]
            self._queue.append(entry)
        elif policy is _DROP_NEWEST:
            dropped = [entry]
        elif policy is _CONFLATE:
            dropped = self._conflate(entry)
        else:
            self._accept_beyond(entry)
            return
        # State first: the user's `on_overflow` may dispose, or look at `pending_count`.
        for lost in dropped:
            self._drop(lost)
        if self.wake is not None:
            self.wake()

    def _conflate(self, entry: Any) -> list[Any]:
        """Give the messages that later ones of the same key replaced."""
        try:
            self._latest, dropped = conflate(self._latest, self._queue, entry, self._key_of)
        except Exception as error:
            self._count(_message(entry))
            self.fail(error)
            return []
        self._queue.clear()
        if 0 < self.max_pending_count < len(self._latest):
            dropped.append(self._latest.popitem(last=False)[1])
        return dropped

    def _key_of(self, entry: Any) -> Hashable:
        return self._key(_message(entry))

    def _accept_beyond(self, entry: Any) -> None:
        """Accept a message past the high mark if the server keeps the later ones, else fail.

        What was under way when the connect was held back still arrives: the rest of one payload.
        And where nobody chose a policy, what comes in the very turn of the loop in which the
        buffer became full is accepted: the consumer could not run meanwhile, so it says nothing
        about him. The bound counts what waits beyond that.
        """
        error = self._refusal()
        if isinstance(error, BufferOverflowError) and self._is_same_turn():
            self._queue.append(entry)
            if self.wake is not None:
                self.wake()
            return
        if error is not None:
            self._count(_message(entry))
            self.fail(error)
            return
        self._queue.append(entry)
        self._suspend()
        if self.wake is not None:
            self.wake()

    def _is_same_turn(self) -> bool:
        flow, turn = self._flow, self._full_since
        return flow is not None and turn is not None and flow.turn is turn

    def _refusal(self) -> ClientError | None:
        """Say why a message past the bound cannot be kept."""
        if self._flow is not None:
            if self._overflow is _SUSPEND:
                return self._flow.refusal()
            if self._overflow is None and self._flow.lossless:
                return None
        return BufferOverflowError(self.max_pending_count)

    def _reach_high_mark(self) -> None:
        # Where it is refused there still was room for this message: the next one will fail.
        if self._overflow not in {Overflow.SUSPEND, None}:
            return
        if self._refusal() is None:
            self._suspend()
        elif self._overflow is None and self._flow is not None:
            self._full_since = self._flow.turn

    def _suspend(self) -> None:
        if self._flow is not None and not self._suspended:
            self._suspended = True
            self._suspensions += 1
            self._flow.suspend(self)

    def _resume(self) -> None:
        if self._flow is not None and self._suspended:
            self._suspended = False
            self._flow.resume(self)

    def _drop(self, entry: Any) -> None:
        """Drop a message as the policy wants it: that is all the processing it gets."""
        self._count(_message(entry))
        if self._log is not None and not self._quiet:
            self._log.dropped(self.dropped_count)
        if type(entry) is _Tracked:
            entry.held()

    def _count(self, message: _T) -> None:
        self.dropped_count += 1
        if self._flow is not None and not self._quiet:
            self._flow.dropped(self._policy)
        if self._on_overflow is not None:
            try:
                self._on_overflow(message, self.dropped_count)
            except BaseException as error:
                self.fail(failure_of(error, "on_overflow"))

    def _terminate(self, error: Exception | None) -> None:
        if self.terminated:
            return
        self.terminated = True
        self.error = error
        self._resume()  # nothing more comes in, so nothing has to be held back
        self.client = on_behalf_of() or self.client or self._flow
        if self.client is not None and self._flow is None:
            # Behind streams that were merged: from now on the client knows what it waits for.
            self._flow = self.client
            self._flow.attach(self)
        if not self.pending_count and not self.lingers:
            self._detach()
        if self.wake is not None:
            self.wake()

    def _attach(self) -> None:
        if self._overflow is Overflow.SUSPEND and self.max_pending_count > 0:
            refusal = _no_flow() if self._flow is None else self._flow.refusal()
            if refusal is not None:
                raise refusal
        if self._flow is not None:
            self._flow.attach(self)

    def _detach(self) -> None:
        flow, self._flow = self._flow, None
        self._suspended = False
        if flow is not None:
            flow.detach(self)


def _message(entry: Any) -> Any:
    return entry.message if type(entry) is _Tracked else entry


def _no_flow() -> ClientError:
    return ClientError(
        "SUSPEND holds back the client's next connect, but this source is no channel of a client, "
        "nor made of one by operators of rx_cometd alone: apply the buffer to the channel first"
    )


def _monotonic() -> datetime:
    """Give a time that only goes forward, whatever is done to the machine's clock."""
    return datetime.fromtimestamp(time.monotonic(), UTC)
