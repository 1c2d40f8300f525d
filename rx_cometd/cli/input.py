"""Lines of files, pipes and terminals, without stopping the event loop or the end of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rx_cometd.cli.daemon import on_daemon_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["lines_of"]


async def lines_of(file: TextIO) -> AsyncIterator[str]:
    """Give the lines of a file, line feeds left out.

    Files, pipes and terminals alike can be read on a thread, and only there. Nothing is read
    before it is asked for.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not text.
    """
    while line := await on_daemon_thread(file.readline):
        yield line.rstrip("\r\n")
