"""The link of a command: opened in time, its changes told, sought again or not."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.text import Text

from rx_cometd import (
    ClientState,
    ExtensionError,
    StateChange,
    TransportConnectionClosed,
    TransportTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from rx_cometd import Client, ConnectionType
    from rx_cometd.cli.connection import Connection

__all__ = ["LinkReport", "describe_change", "opened"]


@asynccontextmanager
async def opened(client: Client, connection: Connection) -> AsyncGenerator[Client]:
    """Open a client for a block, and close it behind it.

    Raises:
        TransportTimeoutError: It was not connected within ``--timeout``.
        TransportConnectionClosed: The link was lost, and ``--no-reconnect`` forbids to seek it.
    """
    last: StateChange | None = None
    was_up = False
    # Expires at once when the link is lost and not to be sought again.
    limit = asyncio.timeout(connection.timeout)

    def watch(change: StateChange) -> None:
        nonlocal last, was_up
        if change.error is not None:
            last = change
        lost = change.state in (ClientState.UNCONNECTED, ClientState.REHANDSHAKING)
        if change.state is ClientState.CONNECTED:
            was_up = True
        elif lost and was_up and not connection.reconnect:
            limit.reschedule(asyncio.get_running_loop().time())

    with client.state_changes.subscribe(watch):
        try:
            async with limit:
                try:
                    await client.open()
                    limit.reschedule(None)
                    yield client
                finally:
                    await client.close()
        except TimeoutError:
            if not limit.expired():
                raise
            cause = None if last is None else last.error
            if was_up:
                error = TransportConnectionClosed("the link was lost, and --no-reconnect was given")
                raise error from cause
            raise TransportTimeoutError(f"no link for {connection.timeout:g} s") from cause


class LinkReport:
    """Tells what becomes of a connection, as it happens.

    During an outage each cause is told once, however many attempts fail by it.

    Args:
        tell: Takes a text, and its style.
        reconnect: Whether a link that is lost is sought again; if not, the command tells of it.
    """

    def __init__(self, tell: Callable[[str, str], object], *, reconnect: bool = True) -> None:
        self._tell = tell
        self._told: set[str] = set()
        self._reconnect = reconnect
        self._done = self._was_up = False

    @classmethod
    def on_stderr(cls, *, reconnect: bool = True) -> LinkReport:
        """Make one that writes lines on standard error."""
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        return cls(lambda text, style: console.print(Text(text, style=style)), reconnect=reconnect)

    def __call__(self, change: StateChange) -> None:
        """Take in a change of the state."""
        told = describe_change(change)
        if told is None or told[0] in self._told or self._done:
            return
        if not self._was_up and isinstance(change.error, ExtensionError):
            return  # tried once more; if it fails again the command ends by it, and tells it
        if change.state is ClientState.CONNECTED:
            self._was_up = True
            self._told.clear()
            self._done = not self._reconnect
        self._told.add(told[0])
        self._tell(*told)


def describe_change(change: StateChange) -> tuple[str, str] | None:
    """Give what to say of a change, and its style; ``None`` for steps that need no words."""
    reason = "" if change.error is None else f": {change.error}"
    match change.state:
        case ClientState.CONNECTED:
            kind = cast("ConnectionType", change.connection_type).value
            session = "the same session" if change.resumed else "session"
            return f"connected over {kind}, {session} {change.client_id}", "green"
        case ClientState.UNCONNECTED:
            return f"link lost, seeking it{reason}", "yellow"
        case ClientState.REHANDSHAKING:
            return f"seeking a new session{reason}", "yellow"
        case _:  # the end of it is the command's to tell
            return None
