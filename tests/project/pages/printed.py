"""What a fragment prints, as it prints it."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Printed"]


class Printed:
    """Takes the place of ``print``, and can be waited for."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def __call__(self, *line: Any) -> None:
        self._lines.put_nowait(line)

    async def next(self) -> Any:
        """Wait for a line: what was printed, or all of it where that was several things."""
        async with asyncio.timeout(30):
            line = await self._lines.get()
        return line[0] if len(line) == 1 else line
