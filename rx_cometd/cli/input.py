"""Lines of files, pipes and terminals, without stopping the event loop or the end of a command."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["lines_of"]


async def lines_of(file: TextIO) -> AsyncIterator[str]:
    """Give the lines of a file, line feeds left out.

    Files, pipes and terminals alike can be read on a thread, and only there. It is a daemon: one
    that waits for somebody to type must not keep Ctrl-C from ending the process, as the threads
    of asyncio's executor do. Nothing is read before it is asked for.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not text.
    """
    while line := await _read_line(file):
        yield line.rstrip("\r\n")


async def _read_line(file: TextIO) -> str:
    loop = asyncio.get_running_loop()
    given: asyncio.Future[str] = loop.create_future()

    def settle(line: str, error: Exception | None) -> None:
        if given.done():  # the reader was cancelled
            return
        if error is None:
            given.set_result(line)
        else:
            given.set_exception(error)

    def read() -> None:
        line, failure = "", None
        try:
            line = file.readline()
        except (OSError, ValueError) as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, line, failure)

    threading.Thread(target=read, name="rx-cometd.input", daemon=True).start()
    return await given
