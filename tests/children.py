"""Child processes of tests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def child(*command: str, **options: Any) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Run a process that is killed at the end of the block, whatever happens in it.

    One that outlives a failed test troubles those that follow: it writes into their output, and
    tells of its pipes when they collect.

    Args:
        command: The program and its arguments.
        options: Those of `asyncio.create_subprocess_exec`.
    """
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                process.kill()
        await process.communicate()  # until its pipes are closed, too
