"""The acknowledged messages extension: the server keeps what was not acknowledged.

What happens on the wire (CometD's ``AckExtension`` on both sides):

- the handshake asks with ``ext.ack: true``; the reply grants it with ``true``, or with
  ``{"enabled": true, "batch": N}`` where the server may deliver during the handshake;
- from then on every connect carries the number of the last batch that arrived whole, and every
  connect reply the number of the batch that it closes.

A batch counts as arrived once its connect reply has, and its messages were handed to their
observers. So a batch of which only a part came is sent again: over a WebSocket, where messages
travel in frames of their own ahead of the connect reply, a link lost in between means
duplicates. The protocol gives no way to tell them (delivery is at least once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reactivex import operators as ops

from rx_cometd.extension import Extension, Operators, Payload
from rx_cometd.extensions.ext import as_object, get_ext, put_ext
from rx_cometd.messages import CONNECT, HANDSHAKE

if TYPE_CHECKING:
    from rx_cometd.messages import Message

__all__ = ["Ack", "ack"]


def ack() -> Ack:
    """Make the acknowledged messages extension.

    With it, a server that has the extension too sends again what was lost with a connection,
    in order, as long as the session lives (``maxInterval``, 10 s by default in CometD). It also
    makes ``Overflow.SUSPEND`` lossless over a WebSocket. With a server that has not, it does
    nothing.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``. One may serve several
        clients.

    Example:
        >>> ack()
        <Ack>
    """
    return Ack()


class Ack(Extension):
    """The extension that `ack` makes; what it remembers is each session's own."""

    def __repr__(self) -> str:
        return "<Ack>"

    def operators(self) -> Operators:
        """Make the operators of one session."""
        batches = _Batches()
        return Operators(
            inbound=ops.do_action(batches.receive), outbound=ops.do_action(batches.send)
        )


class _Session:
    """The batches of one Bayeux session; a handshake begins the next.

    Attributes:
        granted: Whether the server acknowledges; ``None`` if its handshake was not seen, as
            when the pipeline was made anew within a session.
        batch: The number of the last batch that arrived whole.
    """

    __slots__ = ("batch", "granted")

    def __init__(self, *, granted: bool | None = None) -> None:
        self.granted = granted
        self.batch = 0

    def arrived(self, batch: int) -> None:
        self.granted = True
        self.batch = batch


class _Batches:
    """What one pipeline knows: the session, and the connect that is under way."""

    def __init__(self) -> None:
        self._session = _Session()
        self._connect_id: object = None

    def send(self, payload: Payload) -> None:
        for message in payload.messages:
            channel = message.get("channel")
            if channel == CONNECT:
                self._connect_id = message.get("id")
                if self._session.granted:
                    put_ext(message, "ack", self._session.batch)
            elif channel == HANDSHAKE:
                self._session = _Session(granted=False)
                self._connect_id = None
                put_ext(message, "ack", True)

    def receive(self, payload: Payload) -> None:
        for message in payload.messages:
            if message.get("successful") is not True:
                continue  # a failed connect leaves the batch as it is, the server keeps all
            channel = message.get("channel")
            if channel == CONNECT:
                self._connected(payload, message)
            elif channel == HANDSHAKE:
                self._handshaken(payload, get_ext(message, "ack"))

    def _handshaken(self, payload: Payload, granted: Any) -> None:
        if granted is True:
            self._session.granted = True
        elif (answer := as_object(granted)).get("enabled"):
            self._session.granted = True
            self._close(payload, answer.get("batch"))

    def _connected(self, payload: Payload, message: Message) -> None:
        # A reply to an overtaken connect counts for nothing: what came with it was perhaps
        # discarded on the way, and the server sends it again as long as it is unacknowledged.
        if self._session.granted is False or self._connect_id is None:
            return
        if str(message.get("id")) == str(self._connect_id):
            self._close(payload, get_ext(message, "ack"))

    def _close(self, payload: Payload, batch: object) -> None:
        if isinstance(batch, int) and not isinstance(batch, bool):
            session = self._session
            payload.on_delivered(lambda: session.arrived(batch))
