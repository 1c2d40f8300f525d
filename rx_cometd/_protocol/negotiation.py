"""Which transport to use: what the user prefers, what the server lists, what proved not to work.

Three rules of the contract meet here. The handshake goes over the first preference, and a
server without it gets the next one. The handshake reply then decides: the first preference
that the server lists. And a network error never disables a transport: only an answer to a
handshake that shows that the server does not speak it does, and only if it never worked
(``stickyReconnect`` of the reference clients). One that is silent or cut off is doubted: others
are tried before it, until all are doubted, or the server asks for a new session. One that did work
is doubted where the server, or a proxy, answers that it is not spoken here, twice in a row: then
it is no trouble of the network. It is tried again at the next new session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from rx_cometd._protocol.refusals import cause_text
from rx_cometd.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd.connection_types import ConnectionType

__all__ = ["Negotiation"]

#: How many answers in a row make a proven type doubtful: one may be a server that is starting.
_REFUSALS: Final = 2


class Negotiation:
    """Chooses the connection type.

    Args:
        preferences: The connection types of the user, most wanted first.

    Attributes:
        preferences: The same.
        current: The type in use, ``None`` before the first is tried.

    Raises:
        ClientError: There is no preference.
    """

    def __init__(self, preferences: Sequence[ConnectionType]) -> None:
        if not preferences:
            raise ClientError("no connection type is given")
        self.preferences = tuple(preferences)
        self.current: ConnectionType | None = None
        self._unsupported: set[ConnectionType] = set()
        #: What the last handshake reply lists.
        self._listed: object = None
        self._doubtful: set[ConnectionType] = set()
        self._proven: set[ConnectionType] = set()
        #: How often in a row a proven type was refused by an answer.
        self._refusals: dict[ConnectionType, int] = {}

    def begin(self) -> bool:
        """Take the type for the next handshake as current. Tells whether there is one."""
        upcoming = self.upcoming()
        if upcoming is not None:
            self.current = upcoming
        return upcoming is not None

    def upcoming(self) -> ConnectionType | None:
        """Give the type for the next handshake, ``None`` where all proved not to work."""
        usable = [t for t in self.preferences if t not in self._unsupported]
        trusted = [t for t in usable if t not in self._doubtful]
        if not trusted:
            # All were tried: the next round begins with the first preference.
            self._doubtful.clear()
            trusted = usable
        return trusted[0] if trusted else None

    def falls_back(self, upcoming: ConnectionType) -> bool:
        """Tell whether a type is a later preference than the current one."""
        return upcoming in self._later

    @property
    def proven(self) -> bool:
        """Whether any type ever worked."""
        return bool(self._proven)

    @property
    def has_alternative(self) -> bool:
        """Whether a later preference could be tried, should the current type fail."""
        return self.current not in self._proven and any(
            t not in self._unsupported | self._doubtful for t in self._later
        )

    def nothing_in_common(self, listed: object) -> ClientError:
        """Make the error of a server that lists none of the preferences."""
        types = cast("list[object]", listed) if isinstance(listed, list) else []
        return ClientError(
            "no connection type in common: the server lists "
            f"{', '.join(map(str, types)) or 'none'}, this client may use {self._allowed}: "
            "give one that the server lists"
        )

    def nothing_left(self, error: Exception) -> ClientError:
        """Make the error of a server that speaks none of the preferences, caused by the last."""
        failure = ClientError(
            "the server answers a handshake over none of the connection types that this client "
            f"may use ({self._allowed}): is there a Bayeux server at this address? "
            f"Last: {cause_text(error)}"
        )
        failure.__cause__ = error
        return failure

    @property
    def _allowed(self) -> str:
        return ", ".join(t.value for t in self.preferences)

    @property
    def _later(self) -> tuple[ConnectionType, ...]:
        """The preferences after the current one."""
        if self.current is None:
            return ()
        return self.preferences[self.preferences.index(self.current) + 1 :]

    def choose(self, listed: object) -> bool:
        """Take one of the types that a handshake reply lists. Tells whether there is overlap.

        Args:
            listed: The ``supportedConnectionTypes`` field; without it the current type stays.
        """
        self._listed = listed
        if not isinstance(listed, list):
            return True
        common = [t for t in self.preferences if t.value in listed]
        working = [t for t in common if t not in self._unsupported | self._doubtful]
        if not common:
            return False
        self.current = (working or common)[0]
        return True

    def choose_again(self) -> None:
        """Take another of the types that the last handshake reply lists, where one is doubted."""
        self.choose(self._listed)

    def worked(self) -> None:
        """Note that a connect succeeded over the current type: it is trusted from now on."""
        if self.current is not None:
            self._proven.add(self.current)
            self._doubtful.discard(self.current)
            self._refusals.pop(self.current, None)

    def failed(self, *, unsupported: bool, refused: bool = False) -> None:
        """Note that the server, or something on the way to it, does not let the type through.

        Args:
            unsupported: Whether the failure says that the server does not speak it at all.
            refused: Whether it was an answer that refused it, and not silence or a cut.
        """
        current = self.current
        if current is None:
            return
        if current not in self._proven:
            (self._unsupported if unsupported else self._doubtful).add(current)
        elif refused:
            self._refusals[current] = self._refusals.get(current, 0) + 1
            if self._refusals[current] >= _REFUSALS and len(self.preferences) > 1:
                self._doubtful.add(current)

    def renew(self, *, proven_only: bool = False) -> None:
        """Give the doubted types another chance: a new session is sought.

        Args:
            proven_only: Whether only to those that worked once; the others, where it is the
                server that wants the new session.
        """
        self._doubtful -= self._proven if proven_only else self._doubtful.copy()
