"""The short way of a payload: whole text frames, taken out of what a socket brings.

aiohttp puts each message into a queue and wakes the task that waits for it, which takes longer than
to decode a small payload. What is one plain frame needs none of that. All else is left to aiohttp:
control frames, messages in several frames, large ones, binary ones, and what is broken. The order
is kept: while aiohttp holds a message, what comes behind it goes the same way.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Final, Self, cast

from rx_cometd._transports.meter import Meter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Frames"]


class Frames(Meter):
    """Hands whole text frames on by themselves, and the rest to the protocol behind.

    It begins to once the protocol has given a message as long as the first that it was handed: then
    nothing of the stream came before this was put in between. The same is asked of each message
    that the protocol gives, or all is left to it from then on.

    Args:
        protocol: What reads the rest.
        transport: The connection.
        most: Bytes that a payload may have; 0 is any number.

    Attributes:
        failure: What the receiver of the payloads raised; it ends the connection.
    """

    __slots__ = (
        "_begun",
        "_context",
        "_handed",
        "_left",
        "_missing",
        "_most",
        "_receive",
        "_straight",
        "_transport",
        "_watching",
        "failure",
    )

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport, most: int) -> None:
        super().__init__(protocol)
        self._transport = transport
        self._most = min(most or _LARGE, _LARGE)
        self._receive: Callable[[bytes], None] = _ignore
        self._context = copy_context()
        #: Whether frames are told apart; if not, all is for the protocol.
        self._watching = True
        #: Whether text frames go straight on, where nothing is before them.
        self._straight = False
        #: The lengths of the messages that the protocol was handed, and has not given yet.
        self._handed: deque[int] = deque()
        #: How much is still to come of a frame that the protocol is handed.
        self._left = 0
        #: The beginning of a frame that is kept until it is known, or complete, and what it wants.
        self._begun = b""
        self._missing = 0
        self.failure: Exception | None = None

    @classmethod
    def between(cls, transport: asyncio.Transport, most: int = 0) -> Self:
        """Put it between a transport and its protocol; ``most`` is as above."""
        frames = cls(cast("asyncio.Protocol", transport.get_protocol()), transport, most)
        transport.set_protocol(frames)
        return frames

    def receive_with(self, receive: Callable[[bytes], None]) -> None:
        """Have payloads taken by a function, in the context of the caller."""
        self._receive = receive
        self._context = copy_context()

    def mute(self) -> None:
        """Have nobody take payloads any more."""
        self._receive = _ignore

    def given(self, length: int) -> None:
        """Take note of a message that the protocol gave, and how long it was."""
        self._watching = bool(self._handed) and self._handed.popleft() == length and self._watching
        self._straight = self._watching

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self.count += len(data)
        self.at = monotonic()
        take = self._resume if self._begun or self._left else self._tell_apart
        try:
            self._context.run(take, data)
        except Exception as error:
            self.failure = error
            self._transport.abort()

    def _resume(self, data: bytes) -> None:
        """Take what belongs to a frame that came in part, and then the rest."""
        position = 0
        while self._begun and position < len(data):
            # Only what belongs to it: what is read at once is large, and would have to be copied.
            begun, self._begun = self._begun, b""
            more = data[position : position + self._missing]
            position += len(more)
            self._tell_apart(begun + more)
        if self._left:
            more = data[position : position + self._left]
            self._left -= len(more)
            position += len(more)
            self._hand_on(more)
        if position < len(data):
            self._tell_apart(data, position)

    def _tell_apart(self, data: bytes, position: int = 0) -> None:
        """Take what is behind a place that is the beginning of a frame."""
        size = len(data)
        while size - position >= _HEAD and self._watching:
            length = data[position + 1]
            begin = position + _HEAD
            if length == _TWO_BYTES and size - begin >= 2:
                length = data[begin] << 8 | data[begin + 1]
                begin += 2
            elif length >= _TWO_BYTES:  # or there is a mask, which no server may use
                position = self._pass_on(data, position)
                continue
            end = begin + length
            if data[position] != _TEXT or length > self._most or self._handed or not self._straight:
                position = self._pass_on(data, position)
            elif end <= size:
                position = end
                self.payloads += 1
                self.complete = self.count
                self._receive(data[begin:end])
            else:
                self._begun, self._missing = data[position:], end - size
                return
        if position < size:
            if self._watching:
                self._begun, self._missing = data[position:], 1
            else:
                self._hand_on(data[position:])

    def _pass_on(self, data: bytes, position: int) -> int:
        """Hand a frame to the protocol, or what there is of it; give the place behind that."""
        size = len(data)
        form = data[position + 1] & 0x7F
        begin = position + _HEAD + _LENGTHS.get(form, 0)
        if begin > size:
            self._begun, self._missing = data[position:], begin - size
            return size
        length = int.from_bytes(data[position + _HEAD : begin], "big") if form in _LENGTHS else form
        kind = data[position]
        if kind & ~_FINAL in _BEGINNING:
            self._handed.append(length)
        elif kind & ~_FINAL == _CONTINUATION and self._handed:
            self._handed[-1] += length
        elif kind not in _PINGS:
            # A farewell, or what is no frame: there are none behind it.
            self._watching = False
            return position
        masked = data[position + 1] & ~0x7F
        end = begin + length + (4 if masked else 0)
        self._left = max(0, end - size)
        self._hand_on(data[position:end])
        return min(end, size)


def _ignore(_: bytes) -> None:
    """Take what nobody wants."""


#: The bytes that each frame begins with: its kind, and its length or how that is written.
_HEAD: Final = 2
_TWO_BYTES: Final = 126
#: How many further bytes the length takes.
_LENGTHS: Final = {_TWO_BYTES: 2, 127: 8}
#: A frame that is kept until it is complete may have no more.
_LARGE: Final = 0xFFFF

#: Kinds of frames (RFC 6455, section 5.2), without bits that only extensions use.
_FINAL: Final = 0x80
_CONTINUATION: Final = 0x0
_BEGINNING: Final = frozenset({0x1, 0x2})
_TEXT: Final = _FINAL | 0x1
_PINGS: Final = frozenset({_FINAL | 0x9, _FINAL | 0xA})
