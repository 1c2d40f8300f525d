"""A disconnect that the server sends, with what it says beside it.

What it means is in the advice, and that may come apart from it. The servers of CometD disconnect
without any, and answer the connect that they held with ``reconnect: none``: in the same payload
over long-polling, in the next frame over a WebSocket. The disconnect's own advice counts before
that of the connect, for it is about the disconnect and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd import messages as m
from rx_cometd._protocol.advice import reconnect_of
from rx_cometd.exceptions import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rx_cometd._protocol.requests import Request
    from rx_cometd.messages import Message

__all__ = ["Farewell"]


class Farewell:
    """The last disconnect by the server.

    Attributes:
        pending: Whether one came that was not acted upon yet.
    """

    def __init__(self) -> None:
        self.pending = False
        self._message: Message | None = None
        self._advised = False
        self._connects: frozenset[str] = frozenset()

    def begin(self, message: Message) -> None:
        """Take a disconnect."""
        self.pending = True
        self._message = message.copy()
        self._advised = reconnect_of(message.get("advice")) is not None
        self._connects = frozenset()

    def add(self, reply: Message) -> None:
        """Take the reply to a connect that the disconnect ended."""
        advice = reply.get("advice")
        if self._message is None or self._advised or advice is None:
            return
        if reconnect_of(advice) is not None:
            self._message["advice"] = advice
            self._advised = True

    def act(self, connects: Iterable[Request]) -> ServerError | None:
        """Give the error of a disconnect that came, once.

        Args:
            connects: Those that are under way. Their replies, should they come, belong to it.
        """
        if not self.pending:
            return None
        self.pending = False
        self._connects = frozenset(request.id for request in connects)
        return self._error()

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing that the server might still say of it."""
        return self._advised or not self._connects

    def complete(self, reply: Message) -> ServerError | None:
        """Take a reply to no request. Gives the error anew where it says more of the disconnect."""
        awaited = not self.is_complete and reply.get("channel") == m.CONNECT
        if not awaited or str(reply.get("id")) not in self._connects:
            return None
        self.add(reply)
        return self._error() if self._advised else None

    def forget(self) -> None:
        """Note that there is a new session: nothing said of the old one counts."""
        self._connects = frozenset()

    def _error(self) -> ServerError:
        return ServerError("the server ended the session", self._message)
