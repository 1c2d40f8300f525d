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
from typing import TYPE_CHECKING, Final

from rx_cometd._flow.edge import ends_task, report_failure
from rx_cometd._protocol.outcomes import Lane, Outgoing
from rx_cometd.exceptions import TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

__all__ = ["Lanes", "broken_off"]

_ORDINARY: Final = Lane.ORDINARY


class Lanes:
    """Sends payloads in their lanes, and owns the tasks that do.

    Ordinary payloads are made up when their lane is free, at the end of a turn of the event loop:
    so all that was asked for in the turn travels together, and over long-polling all that was asked
    for while a request was under way.

    Args:
        send: Sends one payload; over long-polling, it is done when the response was handled.
        gather: Puts what is to travel in the next ordinary payload, if anything is.
        failed: Told of a payload that could not be sent, or was broken off, and why.
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
            self._attempt = self.spawn(self._sent(outgoing), "handshake")
        elif outgoing.lane is Lane.RESUBSCRIBE:
            self._resubscribing = self.spawn(self._sent(outgoing), "resubscribe")
        elif outgoing.lane is Lane.CONNECT:
            self._attempt = self.spawn(self._sent(outgoing, self._resubscribing), "connect")
        else:
            self.spawn(self._sent(outgoing, self._until_emptied()), "disconnect")

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

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a coroutine in a task that `close` cancels."""
        task = self._loop.create_task(coroutine, name=f"rx_cometd.session.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(report_failure)
        return task

    def abandon_attempt(self) -> None:
        """Cancel the handshake or connect that is under way, without a word to anybody."""
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
            self._worker = self.spawn(self._work(), "ordinary")
            self._worker.add_done_callback(self._replace_worker)
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
                await self._sent(self._queue.popleft())
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

    def _replace_worker(self, _: asyncio.Task[None]) -> None:
        """Have another go on, where somebody else than `close` ended the one that sends."""
        self._worker = self._asleep = None
        if self._wanted or self._queue or self._emptied is not None:
            self._wake()

    # -- all of them ---------------------------------------------------------------------------

    async def _sent(self, outgoing: Outgoing, earlier: asyncio.Future[None] | None = None) -> None:
        """Send a payload, after an earlier one; whatever comes of it, it is sent or has failed."""
        try:
            if earlier is not None:
                await asyncio.wait([earlier])
            await self._send(outgoing)
        except GeneratorExit:
            raise  # the loop was closed without us
        except BaseException as error:
            if not self._closed:
                self._failed(outgoing, broken_off(error))
            if ends_task(error):
                raise


def broken_off(error: BaseException) -> Exception:
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
