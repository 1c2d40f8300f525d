"""How much of what was written has not reached the other end: a link that is sending is alive.

What is written goes into the buffer of the event loop's transport, and from there into that of the
kernel, which may hold megabytes. Only the peer's acknowledgements empty the latter.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Any, Final

if sys.platform != "win32":  # what the kernel holds is not told there
    import fcntl
    import termios

if TYPE_CHECKING:
    import asyncio

__all__ = ["unsent"]

_COUNT: Final = struct.Struct("i")


def unsent(transport: asyncio.WriteTransport) -> int:
    """Give how many bytes of what was written the peer does not have yet, as far as is known."""
    buffered = 0 if transport.is_closing() else transport.get_write_buffer_size()
    return buffered + _in_kernel(transport.get_extra_info("socket"))


def _in_kernel(socket: Any) -> int:
    """Give how many bytes the kernel holds for a peer: ``TIOCOUTQ``, as tcp(7) has it."""
    if socket is None or sys.platform == "win32":
        return 0
    try:
        answer = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, _COUNT.pack(0))
    except (OSError, ValueError):  # closed, or a system that does not tell it of sockets
        return 0
    return int(_COUNT.unpack(answer)[0])
