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
from rx_cometd._protocol.outcomes import Step
from rx_cometd._protocol.requests import Kind
from rx_cometd.exceptions import ServerError

if TYPE_CHECKING:
    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.connects import Connects
    from rx_cometd._protocol.requests import Requests
    from rx_cometd.messages import Message

__all__ = ["Farewell"]


class Farewell:
    """The last disconnect by the server.

    Args:
        cycle: Knows which session there is.
        connects: Told of it.
        requests: The requests that wait.

    Attributes:
        pending: Whether one came that was not acted on yet.
    """

    def __init__(self, cycle: ConnectionCycle, connects: Connects, requests: Requests) -> None:
        self._cycle = cycle
        self._connects = connects
        self._requests = requests
        self.pending = False
        self._message: Message | None = None
        self._advised = False
        #: The connects that were under way: their replies, should they come, belong to it.
        self._ended: frozenset[str] = frozenset()

    def begin(self, message: Message) -> None:
        """Take a disconnect, unless it is of an earlier session."""
        client_id = self._cycle.client_id
        if message.get("clientId", client_id) == client_id:
            self.pending = True
            self._message = message.copy()
            self._advised = reconnect_of(message.get("advice")) is not None
            self._ended = frozenset()

    def add(self, reply: Message) -> bool:
        """Take the reply to a connect that the disconnect ended. Tells whether it says more."""
        advice = reply.get("advice")
        if self._message is None or self._advised or advice is None:
            return False
        self._advised = reconnect_of(advice) is not None
        if self._advised:
            self._message["advice"] = advice
        return self._advised

    def act(self, now: float) -> None:
        """Act on a disconnect that came, after the rest of its payload."""
        self.pending = False
        self._ended = frozenset(request.id for request in self._requests.of(Kind.CONNECT))
        complete = self._advised or not self._ended
        self._connects.disconnected(self._error(), now, complete=complete)
        if self._cycle.due is Step.HANDSHAKE:
            self._requests.forget(Kind.CONNECT, Kind.HANDSHAKE)

    def complete(self, reply: Message) -> bool:
        """Take a reply to no request. Tells whether it says more of the disconnect."""
        if reply.get("channel") != m.CONNECT or str(reply.get("id")) not in self._ended:
            return False
        if self.add(reply):
            self._connects.sent_away(self._error())
        return True

    def forget(self) -> None:
        """Note that there is a new session: nothing said of the old one counts."""
        self._ended = frozenset()

    def _error(self) -> ServerError:
        return ServerError("the server ended the session", self._message)
