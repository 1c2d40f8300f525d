"""A port of 127.0.0.1 that stays one's own while nobody listens on it."""

import socket
import sys

__all__ = ["ReservedPort"]


class ReservedPort:
    """A port that nobody else is given while the server it belongs to is dead.

    A port that is free again may go to whoever asks for any port. So a socket stays bound to it
    that never listens. Servers set `SO_REUSEADDR`; Linux lets them listen there all the same, and
    gives the port neither to who asks for any nor to a connection. Elsewhere it is not kept.

    Args:
        port: Which one; 0 for a free one.

    Attributes:
        port: The port; elsewhere than on Linux the one asked for.

    Raises:
        OSError: Somebody has it.
    """

    def __init__(self, port: int = 0) -> None:
        self.port: int = port
        self._socket: socket.socket | None = None
        if sys.platform == "linux":
            self._socket = holder = socket.socket()
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                holder.close()
                raise
            self.port = holder.getsockname()[1]

    def release(self) -> None:
        """Leave it to others."""
        if self._socket is not None:
            self._socket.close()
