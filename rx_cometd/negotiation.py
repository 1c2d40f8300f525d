"""Which transport to use: what the user prefers, what the server lists, what proved not to work.

Three rules of the contract meet here. The handshake goes over the first preference, and a
server without it gets the next one. The handshake reply then decides: the first preference
that the server lists. And a network error never disables a transport: only an answer that
shows that the server does not speak it does, and only if it never worked (``stickyReconnect``
of the reference clients).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd.connection_types import ConnectionType

__all__ = ["Negotiation"]


class Negotiation:
    """Chooses the connection type.

    Args:
        preferences: The connection types of the user, most wanted first.
    """

    def __init__(self, preferences: Sequence[ConnectionType]) -> None:
        self.preferences = tuple(preferences)
        self._unsupported: set[ConnectionType] = set()
        self._doubtful: set[ConnectionType] = set()
        self._proven: set[ConnectionType] = set()

    def candidate(self) -> ConnectionType | None:
        """Give the connection type for the next handshake, ``None`` if the server has none."""
        usable = [t for t in self.preferences if t not in self._unsupported]
        trusted = [t for t in usable if t not in self._doubtful]
        if not trusted:
            # All were tried: the next round begins with the first preference.
            self._doubtful.clear()
            trusted = usable
        return trusted[0] if trusted else None

    def choose(self, listed: object, current: ConnectionType) -> ConnectionType | None:
        """Choose among the types that a handshake reply lists, ``None`` if there is no overlap.

        Args:
            listed: The ``supportedConnectionTypes`` field; without it the current type stays.
            current: The type that brought the reply.
        """
        if not isinstance(listed, list):
            return current
        common = [t for t in self.preferences if t.value in listed]
        working = [t for t in common if t not in self._unsupported | self._doubtful]
        return next(iter(working or common), None)

    def worked(self, connection_type: ConnectionType) -> None:
        """Note that a connect succeeded over a type: it is trusted from now on."""
        self._proven.add(connection_type)
        self._doubtful.discard(connection_type)

    def failed(self, connection_type: ConnectionType, *, unsupported: bool) -> None:
        """Note that the server, or something on the way to it, does not let a type through.

        Args:
            connection_type: The type that failed.
            unsupported: Whether the failure says that the server does not speak it at all.
        """
        if connection_type in self._proven:
            return
        (self._unsupported if unsupported else self._doubtful).add(connection_type)
