"""Lanes: which payload goes beside which, and which waits for which.

Handshakes and connects have a lane of their own, so that nothing ever waits behind a held
connect. So has the payload that resubscribes: what was sent in the session that is lost may
hang for long. All other payloads go one after the other, in order; over long-polling that means
one request at a time, and what is published meanwhile is gathered into the next one. They and
the connect wait for the payload that resubscribes, a disconnect for everything before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from rx_cometd._protocol.outcomes import Lane, Outgoing
from rx_cometd.exceptions import TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

__all__ = ["Lanes"]

_ORDINARY: Final = Lane.ORDINARY


class Lanes:
    """Sends payloads in their lanes, and owns the tasks that do.

    Ordinary payloads are made up when their lane is free, at the end of a turn of the event loop:
    so all that was asked for in the turn travels together, and over long-polling all that was asked
    for while a request was under way.

    Args:
        send: Sends one payload; over long-polling, it is done when the response was handled.
        gather: Puts what is to travel in the next ordinary payload, if anything is.
        failed: Told of a payload whose sending was broken off, and why.
    """

    def __init__(
        self,
        send: Callable[[Outgoing], Awaitable[None]],
        gather: Callable[[], None],
        failed: Callable[[Outgoing, Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._gather = gather
        self._failed = failed
        self._closed = False
        self._queue: deque[Outgoing] = deque()
        #: What sends ordinary payloads, one after the other, for as long as the session lives.
        self._worker: asyncio.Task[None] | None = None
        #: Wakes the worker; ``None`` while it has something to do.
        self._asleep: asyncio.Future[None] | None = None
        #: What it is sending.
        self._in_hand: Outgoing | None = None
        #: Whether something is to be gathered.
        self._wanted = False
        #: How many batches hold back what is to be gathered.
        self._batches = 0
        #: Told when the worker has nothing more to do, if that is waited for.
        self._emptied: asyncio.Future[None] | None = None
        self._resubscribing: asyncio.Task[None] | None = None
        #: The handshake or connect that is under way.
        self._attempt: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, outgoing: Outgoing) -> None:
        """Send a payload, in its turn."""
        if outgoing.lane is _ORDINARY:
            self._put_in_order(outgoing)
        elif outgoing.lane is Lane.HANDSHAKE:
            self._attempt = self._begin(outgoing, "handshake")
        elif outgoing.lane is Lane.RESUBSCRIBE:
            self._resubscribing = self._begin(outgoing, "resubscribe")
        elif outgoing.lane is Lane.CONNECT:
            self._attempt = self._begin(outgoing, "connect", self._resubscribing)
        else:
            self._begin(outgoing, "disconnect", self._until_emptied())

    def gather_soon(self) -> None:
        """Gather the next ordinary payload at the end of this turn, or when its lane is free."""
        if not self._wanted:
            self._wanted = True
            if not self._batches:
                self._wake()

    def hold_batch(self) -> None:
        """Gather nothing for the time being."""
        self._batches += 1

    def release_batch(self) -> None:
        """Gather again, if no other batch holds it back."""
        self._batches -= 1
        if self._wanted and not self._batches:
            self._wake()

    def spawn(
        self,
        coroutine: Coroutine[Any, Any, None],
        name: str,
        failed: Callable[[Exception], None],
    ) -> asyncio.Task[None]:
        """Run a coroutine in a task that `close` cancels.

        Args:
            coroutine: What to run.
            name: What it does.
            failed: Told why it did not come to its end: it raised, or somebody else cancelled it.
        """
        task = self._loop.create_task(coroutine, name=f"rx_cometd.session.{name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, failed))
        return task

    def _ended(self, failed: Callable[[Exception], None], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Here, not within the task: one that is cancelled before it began runs nothing of its own.
        error: BaseException | None
        try:
            error = task.exception()
        except asyncio.CancelledError as cancellation:
            error = cancellation
        if error is not None and not self._closed:
            failed(_broken_off(error))

    def abandon_attempt(self) -> None:
        """Cancel the handshake or connect that is under way; its caller fails the requests."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    async def close(self) -> None:
        """Cancel what is under way."""
        self._closed = True
        self._queue.clear()
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- ordinary payloads ---------------------------------------------------------------------

    def _put_in_order(self, outgoing: Outgoing) -> None:
        if self._queue:
            self._queue[-1].messages.extend(outgoing.messages)
        else:
            self._queue.append(outgoing)
        self._wake()

    def _wake(self) -> None:
        asleep, self._asleep = self._asleep, None
        if self._closed:
            return
        if self._worker is None:
            self._worker = self.spawn(self._work(), "ordinary", self._replace_worker)
        elif asleep is not None and not asleep.done():
            asleep.set_result(None)

    async def _work(self) -> None:
        # An eager task (Python 3.12) runs before this turn is over.
        await asyncio.sleep(0)
        while True:
            if self._resubscribing is not None and not self._resubscribing.done():
                await asyncio.wait([self._resubscribing])
            if self._wanted and not self._batches:
                self._wanted = False
                self._gather()
            while self._queue:
                self._in_hand = self._queue.popleft()
                await self._send(self._in_hand)
                self._in_hand = None
            if self._wanted and not self._batches:
                # Wanted since before the last payload was sent: let this turn end.
                await asyncio.sleep(0)
                continue
            if self._emptied is not None:
                self._emptied.set_result(None)
                self._emptied = None
            self._asleep = self._loop.create_future()
            await self._asleep

    def _until_emptied(self) -> asyncio.Future[None] | None:
        """Give what tells when all that is ordinary was sent, ``None`` where it is."""
        if self._worker is None or self._asleep is not None:
            return None
        if self._emptied is None:
            self._emptied = self._loop.create_future()
        return self._emptied

    def _replace_worker(self, error: Exception) -> None:
        """Have another go on where the one that sends was ended."""
        self._worker = self._asleep = None
        outgoing, self._in_hand = self._in_hand, None
        if outgoing is not None:
            self._failed(outgoing, error)
        if self._wanted or self._queue or self._emptied is not None:
            self._wake()

    # -- the others ----------------------------------------------------------------------------

    def _begin(
        self, outgoing: Outgoing, name: str, earlier: asyncio.Future[None] | None = None
    ) -> asyncio.Task[None]:
        """Send a payload in a task of its own, after an earlier one."""
        failed = partial(self._failed, outgoing)
        return self.spawn(self._after(earlier, outgoing), name, failed)

    async def _after(self, earlier: asyncio.Future[None] | None, outgoing: Outgoing) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await self._send(outgoing)


def _broken_off(error: BaseException) -> Exception:
    """Give what ended the work of a task of a session, as an `Exception`.

    The rule for the user's functions keeps away what they raise. What is left is what comes out of
    the user's HTTP session, and that somebody cancels tasks that are not his.
    """
    if isinstance(error, Exception):
        return error
    failure = TransportError(
        f"{type(error).__name__} broke off what a task of this session did: cancel no tasks but "
        "your own"
    )
    failure.__cause__ = error
    return failure
