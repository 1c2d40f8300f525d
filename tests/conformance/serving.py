"""The servers of a test session: shared where a test leaves them whole, its own where not."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from tests.conformance.embedded import EmbeddedServer
from tests.servers import FayeServer, Java9Server, JavaServer, NodeServer, ServerProcess

if TYPE_CHECKING:
    from tests.conformance.differences import Name
    from tests.servers import Counters

__all__ = ["ROLES", "Pool", "Role", "Server", "make_server"]

#: Seconds that servers hold a connect: short, so that what depends on it is quick to show.
TIMEOUT: Final = 1.5
#: Seconds that a session outlives its last connect; in Faye it is twice the timeout in all.
MAX_INTERVAL: Final = 5.0
HASTY_TIMEOUT: Final = 0.5
HASTY_MAX_INTERVAL: Final = 0.4


class Server(Protocol):
    """What the real servers and the embedded one have in common for the tests."""

    @property
    def url(self) -> str: ...

    @property
    def port(self) -> int: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def kill(self) -> None: ...

    async def restart(self) -> None: ...

    def pause(self) -> None: ...

    def unpause(self) -> None: ...

    async def control(self, command: str, **arguments: Any) -> Any: ...

    async def sessions(self) -> list[str]: ...

    async def subscribers(self, channel: str) -> list[str]: ...

    async def counters(self) -> Counters: ...


_COMETD: Final[dict[Name, type[ServerProcess]]] = {
    "java": JavaServer,
    "java9": Java9Server,
    "node": NodeServer,
}


def make_server(
    name: Name, *, timeout: float = TIMEOUT, max_interval: float = MAX_INTERVAL, **native: Any
) -> EmbeddedServer | ServerProcess:
    """Make a server, not yet started.

    Args:
        name: Which one.
        timeout: Seconds that it holds a connect.
        max_interval: Seconds that a session outlives its last connect, where that can be set.
        native: Options by the server's own names.
    """
    if name == "embedded":
        return EmbeddedServer(timeout=timeout, max_interval=max_interval, **native)
    if name == "faye":
        return FayeServer(**{"timeout": timeout, **native})
    milliseconds = {
        "timeout": round(timeout * 1000),
        "maxInterval": round(max_interval * 1000),
        "sweepPeriod": 100,
    }
    return _COMETD[name](**{**milliseconds, **native})


Role = Literal["steady", "victim", "hasty"]

ROLES: Final[dict[Role, dict[str, Any]]] = {
    # Stays as it is all the time.
    "steady": {},
    # For tests that kill and pause it, so that what they do to it does not show elsewhere.
    "victim": {},
    # Forgets sessions almost at once.
    "hasty": {"timeout": HASTY_TIMEOUT, "max_interval": HASTY_MAX_INTERVAL},
}


class Pool:
    """Real servers that tests share, one of each role, started when first asked for."""

    def __init__(self) -> None:
        self._servers: dict[tuple[Name, Role], ServerProcess] = {}
        self._stack = AsyncExitStack()

    async def server(self, name: Name, role: Role) -> Server:
        """Give a running server, whole whatever an earlier test left of it."""
        server = self._servers.get((name, role))
        if server is None:
            made = make_server(name, **ROLES[role])
            assert isinstance(made, ServerProcess)
            server = self._servers[name, role] = await self._stack.enter_async_context(made)
        try:
            server.unpause()
        except RuntimeError:  # it was killed
            await server.start()
        await server.control("reset_counters")
        return server

    async def stop(self) -> None:
        await self._stack.aclose()
