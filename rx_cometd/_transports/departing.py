"""How much of what was written has not reached the other end: a link that is sending is alive.

What is written goes into the buffer of the event loop's transport, and from there into that of the
kernel, which may hold megabytes. Only the peer's acknowledgements empty the latter.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rx_cometd._transports.base import LEAST_PROGRESS

if sys.platform != "win32":  # what the kernel holds is not told there
    import fcntl
    import termios

if TYPE_CHECKING:
    import asyncio

__all__ = ["Departure", "Departures", "unsent"]

#: Bytes after whose writing it is looked whether they are gone: less leaves at once, or waits
#: behind what is more.
_LARGE: Final = 8 * 1024
_COUNT: Final = struct.Struct("i")
#: ``tcpi_bytes_acked`` of Linux's ``struct tcp_info``: bytes that the peer has acknowledged.
_ACKNOWLEDGED: Final = struct.Struct("@120xQ")


class Departure(NamedTuple):
    """How much of a connection's bytes have reached the peer, and how many shall.

    Attributes:
        goal: How many have when a payload is gone.
        departed: How many have, when last looked.
    """

    goal: int
    departed: int

    @property
    def is_gone(self) -> bool:
        """Whether all of the payload has reached the peer."""
        return self.departed >= self.goal

    def progressed_from(self, before: Departure) -> bool:
        """Tell whether a good deal has left since another look, or the last of it."""
        return self.is_gone or self.departed - before.departed >= LEAST_PROGRESS


class Departures:
    """The payloads that leave over a connection, one behind the other.

    Args:
        transport: The connection.
    """

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._written = 0
        #: Bytes written since there was nothing unsent when last looked.
        self._unseen = 0

    def begin(self, size: int) -> Departure | None:
        """Take note of a payload that is written now.

        Returns:
            Its departure; ``None`` where it leaves at once.
        """
        self._unseen += size
        waiting = 0
        if self._unseen >= _LARGE:
            waiting = unsent(self._transport)
            if not waiting:
                self._unseen = size
        if not waiting and size < _LARGE:
            self._written += size
            return None
        departed = self._departed(waiting)
        self._written += size
        return Departure(departed + waiting + size, departed)

    def look(self, departure: Departure) -> Departure:
        """Give a departure as it is now."""
        left = unsent(self._transport)
        goal = departure.goal
        return Departure(goal, min(self._departed(left), goal) if left else goal)

    def _departed(self, waiting: int) -> int:
        """Give how many bytes have reached the peer.

        What TLS has encrypted waits where nobody tells, and compression makes fewer of them; what
        the peer has acknowledged says it all the same.
        """
        acknowledged = _acknowledged(self._transport.get_extra_info("socket"))
        return self._written - waiting if acknowledged is None else acknowledged


def unsent(transport: asyncio.WriteTransport) -> int:
    """Give how many bytes of what was written the peer does not have yet, as far as is known."""
    buffered = 0 if transport.is_closing() else transport.get_write_buffer_size()
    return buffered + _in_kernel(transport.get_extra_info("socket"))


def _in_kernel(connection: Any) -> int:
    """Give how many bytes the kernel holds for a peer: ``TIOCOUTQ``, as tcp(7) has it."""
    if connection is None or sys.platform == "win32":
        return 0
    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, _COUNT.pack(0))
    except (OSError, ValueError):  # closed, or a system that does not tell it of sockets
        return 0
    return int(_COUNT.unpack(answer)[0])


def _acknowledged(connection: Any) -> int | None:
    """Give how many bytes a peer has acknowledged, ``None`` where it is not told."""
    if connection is None or sys.platform != "linux":
        return None
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
    except OSError:  # closed
        return None
    return int(_ACKNOWLEDGED.unpack(told)[0]) if len(told) == _ACKNOWLEDGED.size else None
