"""The acknowledged messages extension: the server keeps what was not acknowledged.

What happens on the wire (CometD's ``AckExtension`` on both sides):

- the handshake asks with ``ext.ack: true``; the reply grants it with ``true``, or with
  ``{"enabled": true, "batch": N}`` where the server may deliver during the handshake;
- from then on every connect carries the number of the last batch that arrived whole, and every
  connect reply the number of the batch that it closes.

A batch counts as arrived once its connect reply has, and its messages were handed to their
observers. So a batch of which only a part came is sent again: over a WebSocket, where messages
travel in frames of their own ahead of the connect reply, a link lost in between means
duplicates (delivery is at least once).

The protocol does not mark them, but it says where they are: what is sent again begins with the
first message that was not acknowledged, in the order of old. So what comes after a connect begins
with the messages that came since the last acknowledged batch, and those can be dropped by their
position, as long as each equals the one that came before in its place.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from reactivex import operators as ops

from rx_cometd._flow.arguments import check_choice
from rx_cometd._protocol.channel_names import is_meta
from rx_cometd.extension import Extension, Operators, Payload
from rx_cometd.extensions.ext import as_object, get_ext, put_ext
from rx_cometd.messages import CONNECT, HANDSHAKE

if TYPE_CHECKING:
    from rx_cometd.messages import Message

__all__ = ["Ack", "ack"]


def ack(*, deduplicate: bool = False) -> Ack:
    """Make the acknowledged messages extension.

    With it, a server that also has the extension sends again what was lost with a connection,
    in order, as long as the session lives (``maxInterval``, 10 s by default in CometD). It also
    makes ``Overflow.SUSPEND`` lossless over a WebSocket. With other servers it does nothing.

    Args:
        deduplicate: Whether to drop messages that the server sends again although they had
            arrived; over a WebSocket, that is the beginning of a batch whose end was lost with
            the link. Costs some microseconds and 100 bytes per message of a batch. Works within
            a session. List it before extensions that change messages.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``. One may serve several
        clients.

    Raises:
        TypeError: ``deduplicate`` is not a bool.

    Example:
        >>> ack()
        <Ack>
    """
    return Ack(deduplicate=deduplicate)


class Ack(Extension):
    """The extension that `ack` makes; what it remembers is each session's own."""

    def __init__(self, *, deduplicate: bool = False) -> None:
        check_choice("deduplicate", deduplicate)
        self._deduplicate = deduplicate

    def __repr__(self) -> str:
        return "<Ack>"

    def operators(self) -> Operators:
        """Make the operators of one session."""
        batches = _Batches(deduplicate=self._deduplicate)
        return Operators(
            inbound=ops.do_action(batches.receive), outbound=ops.do_action(batches.send)
        )


class _Session:
    """The batches of one Bayeux session; a handshake begins the next.

    Attributes:
        granted: Whether the server acknowledges; ``None`` if its handshake was not seen, as
            when the pipeline was made again within a session.
        batch: The number of the last batch that arrived whole.
        came: What came since that batch.
        closed: Whether that batch was closed by the reply to the last connect. Else the reply is
            lost, and the next connect has the server send the batch again.
    """

    __slots__ = ("batch", "came", "closed", "granted")

    def __init__(self, *, granted: bool | None = None) -> None:
        self.granted = granted
        self.batch = 0
        self.came = _Came()
        self.closed = True

    def arrived(self, batch: int, end: int) -> None:
        """Take note of a batch, and of where it ended in what came."""
        self.granted = True
        self.batch = batch
        self.closed = True
        self.came.acknowledge(end)


class _Came:
    """The messages that came since the last batch that arrived whole, in their order."""

    def __init__(self) -> None:
        self._digests: deque[bytes] = deque()
        #: How many came before the first of them, in this session.
        self._begin = 0
        #: How many of them were sent again so far; ``None`` where nothing is being sent again.
        self._again: int | None = None

    @property
    def end(self) -> int:
        """How many came in this session."""
        return self._begin + len(self._digests)

    def acknowledge(self, end: int) -> None:
        """Forget those up to an ``end``: the server will not send them again."""
        while self._begin < end and self._digests:
            self._digests.popleft()
            self._begin += 1
        self._again = None

    def send_again(self) -> None:
        """Expect them all, from the first on: the server is told that they did not arrive."""
        self._again = 0 if self._digests else None

    def is_new(self, message: Message) -> bool:
        """Take note of a message, and tell whether it is another than those that came."""
        # Not the message itself, which those behind us may change.
        text = repr((message.get("channel"), message.get("id"), message.get("data")))
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if self._again is not None:
            if self._again < len(self._digests) and self._digests[self._again] == digest:
                self._again += 1
                return False
            self._again = None  # the first that is new, or another order than was promised
        self._digests.append(digest)
        return True


class _Batches:
    """What one pipeline knows: the session, and the connect that is under way."""

    def __init__(self, *, deduplicate: bool) -> None:
        self._deduplicate = deduplicate
        self._session = _Session()
        self._connect_id: object = None

    def send(self, payload: Payload) -> None:
        for message in payload.messages:
            channel = message.get("channel")
            if channel == CONNECT:
                self._connect_id = message.get("id")
                if self._session.granted:
                    put_ext(message, "ack", self._session.batch)
                if not self._session.closed:
                    self._session.came.send_again()
                self._session.closed = False
            elif channel == HANDSHAKE:
                self._session = _Session(granted=False)
                self._connect_id = None
                put_ext(message, "ack", True)

    def receive(self, payload: Payload) -> None:
        # The messages that a batch closes came before its reply, or come in the same payload.
        replies = [m for m in payload.messages if m.get("successful") is True]
        for message in replies:
            if message.get("channel") == HANDSHAKE:
                self._handshaken(payload, get_ext(message, "ack"))
        if self._deduplicate and self._session.granted is not False:
            self._drop_repeated(payload)
        for message in replies:  # a failed connect leaves the batch as it is, the server keeps all
            if message.get("channel") == CONNECT:
                self._connected(payload, message)

    def _drop_repeated(self, payload: Payload) -> None:
        came = self._session.came
        new = [m for m in payload.messages if not _is_event(m) or came.is_new(m)]
        if len(new) < len(payload.messages):
            payload.messages[:] = new

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
            session, end = self._session, self._session.came.end
            payload.on_delivered(lambda: session.arrived(batch, end))


def _is_event(message: Message) -> bool:
    return "data" in message and not is_meta(message.get("channel", ""))
