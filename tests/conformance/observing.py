"""What a test sees of an observable, and how it waits for things without sleeping for luck."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rx_cometd.states import ClientState, StateChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from reactivex import Observable

    from rx_cometd import Client
    from tests.conformance.conftest import MakeClient
    from tests.conformance.serving import Server

__all__ = ["Seen", "States", "confirmed", "data_of", "eventually", "numbers_of", "warmed"]

_T = TypeVar("_T")


class Seen(Generic[_T]):
    """Everything that one subscription to an observable brings.

    Attributes:
        items: What came, in order.
        times: When, by `time.monotonic`.
        error: How it ended, if not well.
        completed: Whether it ended well.
        subscription: What disposes of it.
    """

    def __init__(self, source: Observable[_T]) -> None:
        self.items: list[_T] = []
        self.times: list[float] = []
        self.error: Exception | None = None
        self.completed = False
        self._changed = asyncio.Event()
        self.subscription = source.subscribe(self._next, self._fail, self._complete)

    @property
    def ended(self) -> bool:
        return self.completed or self.error is not None

    async def until(self, condition: Callable[[], Any], timeout: float = 60.0) -> None:
        """Wait for something that only changes with what comes here."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"in vain; seen: {self}") from None

    async def count(self, count: int, timeout: float = 60.0) -> list[_T]:
        await self.until(lambda: len(self.items) >= count, timeout)
        return self.items

    async def end(self, timeout: float = 60.0) -> Exception | None:
        await self.until(lambda: self.ended, timeout)
        return self.error

    def dispose(self) -> None:
        self.subscription.dispose()

    def __repr__(self) -> str:
        tail = ", ".join(f"{item!r:.100}" for item in self.items[-5:])
        return f"<Seen {len(self.items)} (...{tail}) {self.completed=} {self.error=}>"

    def _next(self, item: _T) -> None:
        self.items.append(item)
        self.times.append(time.monotonic())
        self._changed.set()

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._changed.set()

    def _complete(self) -> None:
        self.completed = True
        self._changed.set()


class States(Seen[StateChange]):
    """The states of a client."""

    def __init__(self, client: Client) -> None:
        self._reached = 1  # the first one is the present state, and no change
        super().__init__(client.state_changes)

    @property
    def names(self) -> list[str]:
        return [change.state.name for change in self.items]

    async def reach(self, state: ClientState, timeout: float = 60.0) -> StateChange:
        """Wait for the client to come to a state, after the one that was waited for last."""
        await self.until(lambda: self._find(state) is not None, timeout)
        found = self._find(state)
        assert found is not None
        self._reached = found + 1
        return self.items[found]

    def _find(self, state: ClientState) -> int | None:
        places = range(self._reached, len(self.items))
        return next((place for place in places if self.items[place].state is state), None)


async def eventually(condition: Callable[[], Any], timeout: float = 60.0) -> None:
    """Wait for something that tells nobody when it changes: asked again and again.

    Args:
        condition: A function or coroutine function.
        timeout: Seconds until it is given up.
    """
    deadline = time.monotonic() + timeout
    while True:
        outcome = condition()
        if inspect.isawaitable(outcome):
            outcome = await outcome
        if outcome:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s")
        await asyncio.sleep(0.01)  # the condition may be another process's: nothing tells


async def confirmed(client: Client, *channels: str) -> None:
    """Wait for the server to confirm subscriptions."""
    await eventually(lambda: client.subscriptions.issuperset(channels))


async def warmed(server: Server, make_client: MakeClient) -> None:
    """Have a server serve somebody without haste.

    What a Java server does for the first time takes it hundreds of milliseconds, on a machine that
    is busy more, and clients in a hurry would not wait for it.
    """
    async with make_client(server, max_network_delay=60.0, connection_timeout=60.0) as client:
        await client.publish("/test/warm", 1)


def data_of(messages: Iterable[Any]) -> list[Any]:
    return [message["data"] for message in messages]


def numbers_of(messages: Iterable[Any]) -> list[int]:
    """Give the numbers that a server's ``publish(count=...)`` puts into its messages."""
    return [message["data"]["n"] for message in messages]
