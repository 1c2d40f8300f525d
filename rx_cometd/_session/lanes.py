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
from typing import TYPE_CHECKING

from rx_cometd._protocol.outcomes import Lane, Outgoing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Any

__all__ = ["Lanes"]


class Lanes:
    """Sends payloads in their lanes, and owns the tasks that do.

    Args:
        send: Sends one payload; over long-polling, it is done when the response was handled.
            It must not raise.
    """

    def __init__(self, send: Callable[[Outgoing], Awaitable[None]]) -> None:
        self._send = send
        self._queue: deque[Outgoing] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._resubscribing: asyncio.Task[None] | None = None
        #: The handshake or connect that is under way.
        self._attempt: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, outgoing: Outgoing) -> None:
        """Send a payload, in its turn."""
        if outgoing.lane is Lane.HANDSHAKE:
            self._attempt = self.spawn(self._one(outgoing), "handshake")
        elif outgoing.lane is Lane.RESUBSCRIBE:
            self._resubscribing = self.spawn(self._one(outgoing), "resubscribe")
        elif outgoing.lane is Lane.CONNECT:
            self._attempt = self.spawn(self._after(self._resubscribing, outgoing), "connect")
        elif outgoing.lane is Lane.DISCONNECT:
            self.spawn(self._after(self._worker, outgoing), "disconnect")
        else:
            self._put_in_order(outgoing)

    def spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a coroutine in a task that `close` cancels."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, name=f"rx_cometd.session.{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def abandon_attempt(self) -> None:
        """Cancel the handshake or connect that is under way, without a word to anybody."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None

    async def close(self) -> None:
        """Cancel what is under way."""
        self._queue.clear()
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _put_in_order(self, outgoing: Outgoing) -> None:
        if self._queue:
            self._queue[-1].messages.extend(outgoing.messages)
        else:
            self._queue.append(outgoing)
        if self._worker is None:
            worker = self.spawn(self._work(), "ordinary")
            if not worker.done():
                self._worker = worker

    async def _work(self) -> None:
        # Noted here as well: an eager task (Python 3.12) runs before `spawn` returns.
        self._worker = asyncio.current_task()
        try:
            while self._queue:
                if self._resubscribing is not None and not self._resubscribing.done():
                    await asyncio.wait([self._resubscribing])
                await self._send(self._queue.popleft())
        finally:
            self._worker = None

    async def _one(self, outgoing: Outgoing) -> None:
        await self._send(outgoing)

    async def _after(self, earlier: asyncio.Future[None] | None, outgoing: Outgoing) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        await self._send(outgoing)
