"""Callers that wait: for the reply to a request, for a subscription, for the session."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

__all__ = ["Waiters"]

_T = TypeVar("_T")


class Waiters(Generic[_T]):
    """Futures by key, several to a key; cancelled ones do no harm.

    Each key stands for one thing that happens once: it is settled with a result or an error
    for all who wait for it then.
    """

    def __init__(self) -> None:
        self._futures: dict[str, list[asyncio.Future[_T]]] = {}

    def __len__(self) -> int:
        return len(self._futures)

    async def wait(self, key: str) -> _T:
        """Wait until a key is settled.

        Raises:
            Exception: The error that the key was settled with.
        """
        future: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(key, []).append(future)
        try:
            return await future
        finally:
            futures = self._futures.get(key)
            if futures is not None and future in futures:
                futures.remove(future)
                if not futures:
                    del self._futures[key]

    def settle(self, key: str, result: _T) -> None:
        """Give a result to all who wait for a key."""
        for future in self._futures.pop(key, ()):
            if not future.done():
                future.set_result(result)

    def fail(self, key: str, error: Exception) -> None:
        """Give an error to all who wait for a key."""
        for future in self._futures.pop(key, ()):
            if not future.done():
                future.set_exception(error)

    def fail_all(self, error: Exception) -> None:
        """Give an error to everybody."""
        for key in list(self._futures):
            self.fail(key, error)
