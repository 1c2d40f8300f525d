"""Running commands at a pseudo-terminal, as people do; read without threads, so none is left."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.children import child
from tests.integration.cli.commands import ENVIRONMENT, ROOT, heed_interrupts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping


class Terminal:
    """What a command shows, and what is typed.

    Attributes:
        process: The command.
        shown: All that was shown, its escape sequences included.
        before: The attributes that the terminal had before the command was run.
    """

    def __init__(
        self, ours: int, theirs: int, process: asyncio.subprocess.Process, before: list[object]
    ) -> None:
        self.process = process
        self.shown = b""
        self.before = before
        self._ours, self._theirs = ours, theirs
        self._more = asyncio.Event()
        os.set_blocking(ours, False)
        asyncio.get_running_loop().add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self.shown += chunk
        except BlockingIOError:
            self._more.set()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def attributes(self) -> list[object]:
        """Give what a command may change of the terminal, and has to restore."""
        return [*termios.tcgetattr(self._theirs)]

    async def until(self, *wanted: str, timeout: float = 60.0) -> None:
        """Wait until all of these texts have been shown."""
        try:
            async with asyncio.timeout(timeout):
                while not all(text.encode() in self.shown for text in wanted):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{wanted} not in {self.shown.decode(errors='replace')}") from None

    async def end(self, timeout: float = 60.0) -> int:
        """Wait for the end of the command, and give its exit code."""
        code = await asyncio.wait_for(self.process.wait(), timeout)
        self._read()  # what it wrote last
        return code

    def close(self) -> None:
        """Put it away."""
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        os.close(self._theirs)


def _take_the_terminal() -> None:
    heed_interrupts()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C, typed, interrupts


@asynccontextmanager
async def at_terminal(
    *command: str, columns: int = 80, lines: int = 24, variables: Mapping[str, str] | None = None
) -> AsyncGenerator[Terminal]:
    """Run a program at a terminal; both end with the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    before = [*termios.tcgetattr(theirs)]
    async with child(
        *command,
        cwd=ROOT,
        env={**ENVIRONMENT, **(variables or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    ) as process:
        terminal = Terminal(ours, theirs, process, before)
        try:
            yield terminal
        finally:
            terminal.close()
