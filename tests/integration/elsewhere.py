"""The embedded server in a thread of its own: it goes on while the loop of a test stands still."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self

from rx_cometd.testing import BayeuxServer

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType


class Elsewhere:
    """An embedded server on an event loop of its own.

    Args:
        options: Those of the server.

    Attributes:
        url: Its address.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server: BayeuxServer
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        self.url = self.server.url
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self.server = BayeuxServer(**self._options)
        await self.server.start()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def subscribed(self, channel: str) -> None:
        """Wait for a subscriber."""
        until = self.server.until(lambda: self.server.subscribers(channel), 30)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(until, self._loop))

    def publish(self, channel: str, count: int) -> None:
        """Publish so many numbers, soon."""

        async def publish() -> None:
            for number in range(count):
                await self.server.publish(channel, number)

        asyncio.run_coroutine_threadsafe(publish(), self._loop)
