"""Works at the same time, for as long as none of them has ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["until_first"]


async def until_first(*works: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> None:
    """Wait for the first of several works; coroutines that are not done are cancelled.

    What the first one raised is raised as it is; a task group would wrap it.

    Args:
        works: Coroutines, and futures, which go on as they are.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    ours = [task for task, work in zip(tasks, works, strict=True) if task is not work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
    for task in done:
        task.result()
