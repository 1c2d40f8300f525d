"""Running the commands: in this process against a server of the test's, or on their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import rx_cometd
from rx_cometd.cli.app import app
from tests.children import child

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

ROOT = Path(rx_cometd.__file__).parent.parent
COMMAND = (
    # Not in development mode, in which asyncio tells of every slow turn of a busy machine.
    *(sys.executable, "-W", "error"),
    *("-c", "from rx_cometd.cli import main; main()"),
)
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PATH": os.environ.get("PATH", ""),
    "PYTHONUNBUFFERED": "1",
    "TERM": "xterm-256color",
}


class Outcome(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


class Invocation:
    """Runs commands in this process, on a thread: they have an event loop of their own."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    async def __call__(self, *arguments: str) -> Outcome:
        def invoke() -> int:
            with pytest.raises(SystemExit) as exit_:
                app(arguments, prog_name="rx-cometd")
            code = exit_.value.code
            assert isinstance(code, int)
            return code

        code = await asyncio.to_thread(invoke)
        captured = self._capfd.readouterr()
        return Outcome(code, captured.out, captured.err)


def heed_interrupts() -> None:
    """Have Ctrl-C end what is run, as where it is run by a shell at a terminal."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def spawned(
    *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a command as a process of its own, which ends with the block."""
    async with child(
        *(*COMMAND, *arguments),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # A shell has what it runs in the background ignore Ctrl-C, and children inherit that.
        preexec_fn=heed_interrupts,
    ) as process:
        yield process


async def line_from(stream: asyncio.StreamReader | None, wanted: Callable[[str], bool]) -> str:
    """Read lines up to one that is wanted."""
    assert stream is not None
    seen: list[str] = []
    while line := (await stream.readline()).decode():
        seen.append(line)
        if wanted(line):
            return line
    raise AssertionError("".join(seen))
