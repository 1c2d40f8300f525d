"""The listening socket and the connections made to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rx_cometd.testing.options import Options

__all__ = ["Listener"]


class Listener:
    """Listens, and hands over requests.

    Args:
        host: The address.
        port: The port; 0 for a free one.
        options: Of the server.
        handle: Answers a request.

    Attributes:
        host: The address.
        port: The port in use, or used last.
    """

    def __init__(
        self,
        host: str,
        port: int,
        options: Options,
        handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> None:
        self.host = host
        self.port = port
        self._options = options
        self._handle = handle
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self._options.path}"

    async def start(self) -> None:
        """Listen.

        Raises:
            RuntimeError: It does so already.
            OSError: The port is taken.
        """
        if self._runner is not None:
            raise RuntimeError("the server is running")
        app = web.Application(client_max_size=self._options.max_message_size)
        path = self._options.path.rstrip("/")
        for route in (path, path + "/{tail:.*}"):
            app.router.add_route("*", route, self._handle)
        # A held connect whose client is gone must not take the events of the next one.
        runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = runner.addresses[0][1]
        self._runner = runner
        self._loop = asyncio.get_running_loop()

    def check_loop(self) -> None:
        """Look whether anything can be answered.

        Raises:
            RuntimeError: Another event loop runs instead of the one that it was started on.
        """
        if self._runner is None or self._loop is None or self._loop.is_running():
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        raise RuntimeError(
            "the server was started on another event loop, which is not running, so it would "
            "answer nothing: give the fixture that starts it and the test the same loop "
            "(pytest-asyncio: the same loop_scope for both)"
        )

    async def refuse(self) -> None:
        """Take no more connections."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()

    async def stop(self) -> None:
        """Cut all connections and free the port."""
        runner, self._runner = self._runner, None
        if runner is not None:
            _abort_all(runner)
            await runner.cleanup()

    def abort_all(self) -> None:
        """Cut all connections."""
        if self._runner is not None:
            _abort_all(self._runner)


def _abort_all(runner: web.AppRunner) -> None:
    if runner.server is not None:
        for connection in runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()
