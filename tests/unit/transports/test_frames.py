"""Frames told apart between a socket and aiohttp: nothing is lost, repeated or out of order."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rx_cometd._transports.frames import Frames

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FIRST = b"the reply to the handshake"


def frame(kind: int, payload: bytes, *, final: bool = True, mask: bytes = b"") -> bytes:
    length = len(payload)
    masked = 0x80 if mask else 0
    if length < 126:
        head = bytes([masked | length])
    elif length < 65_536:
        head = bytes([masked | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([masked | 127]) + length.to_bytes(8, "big")
    return bytes([(0x80 if final else 0) | kind]) + head + mask + payload


class Aborted(asyncio.Transport):
    """A connection: all that is done to it here is to give it up."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class Behind(asyncio.Protocol):
    """What reads the rest: finds the frames in it, and gives messages when it is told to."""

    def __init__(self) -> None:
        self.data = b""
        self._read = 0
        self.messages: list[bytes] = []
        self.controls: list[tuple[int, bytes]] = []
        self._fragments: list[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (step := self._frame(self.data[self._read :])) is not None:
            self._read += step

    @property
    def unread(self) -> bytes:
        return self.data[self._read :]

    def _frame(self, data: bytes) -> int | None:
        if len(data) < 2:
            return None
        form = data[1] & 0x7F
        begin = {126: 4, 127: 10}.get(form, 2)
        length = int.from_bytes(data[2:begin], "big") if form > 125 else form
        begin += 4 if data[1] & 0x80 else 0
        if len(data) < begin + length:
            return None
        payload = data[begin : begin + length]
        kind = data[0] & 0x0F
        if kind >= CLOSE:
            self.controls.append((kind, payload))
            return begin + length
        assert (kind == 0) == (self._fragments is not None)
        self._fragments = [*(self._fragments or ()), payload]
        if data[0] & 0x80:
            self.messages.append(b"".join(self._fragments))
            self._fragments = None
        return begin + length


class Connection:
    """Frames, with what is on both sides of it."""

    def __init__(self, most: int = 0) -> None:
        self.behind = Behind()
        self.transport = Aborted()
        self.frames = Frames(self.behind, self.transport, most)
        self.received: list[bytes] = []
        #: Those that came past the protocol behind.
        self.straight: list[bytes] = []
        self.frames.receive_with(self.take)

    def take(self, payload: bytes) -> None:
        self.straight.append(payload)
        self.received.append(payload)

    def give(self) -> None:
        """Have the protocol behind give what it has, as the task that reads does."""
        while self.behind.messages:
            message = self.behind.messages.pop(0)
            self.frames.given(len(message))
            self.received.append(message)

    def come(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.frames.data_received(piece)


def begun(most: int = 0) -> Connection:
    """Give a connection whose first message came, by way of the protocol behind."""
    connection = Connection(most)
    connection.come(frame(TEXT, FIRST))
    assert connection.straight == []
    connection.give()
    assert connection.received.pop() == FIRST
    return connection


def test_whole_text_frames_go_straight_on() -> None:
    connection = begun()
    handed = connection.behind.data
    payloads = [b"[1]", b"", b"x" * 125, b"y" * 126, b"z" * 65_535]
    connection.come(b"".join(frame(TEXT, p) for p in payloads))
    assert connection.straight == payloads
    assert connection.behind.data == handed
    assert connection.frames.payloads == len(payloads)
    assert connection.frames.complete == connection.frames.count


def test_before_the_first_message_was_given_nothing_does() -> None:
    connection = Connection()
    connection.come(frame(TEXT, b"1") + frame(TEXT, b"2"))
    connection.come(frame(TEXT, b"3"))
    assert connection.straight == []
    connection.give()
    connection.come(frame(TEXT, b"4"))
    assert connection.straight == [b"4"]
    assert connection.received == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    "other",
    [
        frame(BINARY, b"[2]"),
        frame(TEXT, b"x" * 65_536),
        frame(TEXT, b"[", final=False) + frame(PING, b"?") + frame(0, b"2]"),
        frame(TEXT, b"[2]", mask=bytes(4)),
        frame(TEXT, b"x" * 101),
    ],
    ids=["binary", "large", "in two frames", "masked", "larger than allowed"],
)
def test_what_is_behind_another_message_waits_for_it(other: bytes) -> None:
    connection = begun(100 if len(other) < 200 else 0)
    connection.come(frame(TEXT, b"1") + other + frame(TEXT, b"3"))
    connection.come(frame(TEXT, b"4"))
    assert connection.received == [b"1"]
    connection.give()
    assert [len(p) for p in connection.received[2:]] == [1, 1]
    connection.come(frame(TEXT, b"5"))
    assert connection.straight == [b"1", b"5"]
    assert connection.received[2:] == [b"3", b"4", b"5"]


def test_pings_are_handed_on_at_once_and_hold_up_nothing() -> None:
    connection = begun()
    connection.come(frame(PING, b""))
    assert connection.behind.controls == [(PING, b"")]
    connection.come(frame(TEXT, b"1") + frame(PONG, b"x") + frame(TEXT, b"2"))
    assert connection.straight == [b"1", b"2"]
    assert connection.behind.controls == [(PING, b""), (PONG, b"x")]


@pytest.mark.parametrize(
    "end",
    [
        frame(CLOSE, b"\x03\xe8"),
        frame(3, b"reserved"),
        b"\xc1\x01x",  # as if compressed
        frame(PING, b"", final=False),
        frame(0, b"of nothing"),
    ],
    ids=["close", "reserved", "reserved bits", "ping in two frames", "continuation"],
)
def test_from_the_end_of_the_stream_on_all_is_for_the_protocol(end: bytes) -> None:
    connection = begun()
    before = connection.behind.data
    rest = [end + frame(TEXT, b"2"), frame(TEXT, b"3")[:1], frame(TEXT, b"3")[1:]]
    connection.come(frame(TEXT, b"1") + rest[0], *rest[1:])
    assert connection.straight == [b"1"]
    assert connection.behind.data == before + b"".join(rest)


@pytest.mark.parametrize("known", [3, 32, 40])
@pytest.mark.parametrize("begin", [b"x", b"x" + frame(TEXT, b"x" * 27)[:2]], ids=["x", "frame"])
def test_a_stream_that_began_before_is_left_alone(known: int, begin: bytes) -> None:
    """What came with the response to the upgrade went to the protocol by itself."""
    connection = Connection()
    first = begin.ljust(30, b"x")
    stream = frame(TEXT, first) + frame(TEXT, b"y" * 40)
    connection.behind.data_received(stream[:known])
    connection.come(stream[known:])
    connection.give()
    connection.come(frame(TEXT, b"1") + frame(TEXT, b"2"))
    connection.give()
    assert connection.straight == []
    assert connection.received == [first, b"y" * 40, b"1", b"2"]
    assert connection.behind.unread == b""


def test_nobody_gets_what_comes_once_it_is_muted() -> None:
    connection = begun()

    def mute(payload: bytes) -> None:
        connection.take(payload)
        connection.frames.mute()

    connection.frames.receive_with(mute)
    connection.come(frame(TEXT, b"1") + frame(TEXT, b"2"), frame(TEXT, b"3"))
    assert connection.received == [b"1"]


def test_a_receiver_that_raises_ends_the_connection() -> None:
    connection = begun()
    fault = RuntimeError("fault")

    def fail(_: bytes) -> None:
        raise fault

    connection.frames.receive_with(fail)
    connection.come(frame(TEXT, b"1"))
    assert connection.frames.failure is fault
    assert connection.transport.aborted


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_goes_on(error: type[BaseException]) -> None:
    connection = begun()

    def stop(_: bytes) -> None:
        raise error

    connection.frames.receive_with(stop)
    with pytest.raises(error):
        connection.come(frame(TEXT, b"1"))


def test_payloads_are_taken_in_the_context_of_the_reader() -> None:
    variable: ContextVar[str] = ContextVar("variable", default="")
    connection = begun()
    found: list[str] = []
    token = variable.set("reader")
    connection.frames.receive_with(lambda _: found.append(variable.get()))
    variable.reset(token)
    connection.come(frame(TEXT, b"1"))
    assert found == ["reader"]
    assert variable.get() == ""


class Sent(NamedTuple):
    """A message, or a control frame, and how it is sent."""

    kind: int
    payload: bytes
    frames: bytes


def whole(kind: int, payload: bytes) -> Sent:
    return Sent(kind, payload, frame(kind, payload))


def in_fragments(payload: bytes, cuts: list[int], ping: bool) -> Sent:
    places = [0, *sorted(cut % (len(payload) + 1) for cut in cuts), len(payload)]
    parts = [payload[a:b] for a, b in pairwise(places)]
    last = len(parts) - 1
    between = frame(PING, b"in between") if ping else b""
    fragments = [frame(0 if n else TEXT, part, final=n == last) for n, part in enumerate(parts)]
    return Sent(TEXT, payload, between.join(fragments))


PAYLOADS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([0, 1, 124, 125, 126, 127, 128, 129, 400, 65_535, 65_536, 70_000]).map(bytes),
)
CUTS = st.lists(st.integers(0, 70_000), min_size=1, max_size=3)
MESSAGES = st.one_of(
    st.builds(whole, st.sampled_from([TEXT, BINARY]), PAYLOADS),
    st.builds(in_fragments, PAYLOADS, CUTS, st.booleans()),
    st.builds(whole, st.just(PING), st.binary(max_size=125)),
)


def in_pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(places) if a < b]


@given(
    sent=st.lists(MESSAGES, max_size=12),
    cuts=st.lists(st.integers(0, 300_000), max_size=12),
    close_cuts=st.lists(st.integers(0, 60), max_size=20),
    gives=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_however_it_is_cut_all_comes_once_and_in_order(
    sent: list[Sent], cuts: list[int], close_cuts: list[int], gives: list[bool]
) -> None:
    connection = begun()
    stream = b"".join(one.frames for one in sent)
    for piece, give in zip(in_pieces(stream, [*cuts, *close_cuts]), gives, strict=False):
        connection.come(piece)
        if give:
            connection.give()
    connection.give()
    assert connection.received == [one.payload for one in sent if one.kind != PING]
    assert connection.behind.unread == b""
    pings = [payload for _, payload in connection.behind.controls if payload != b"in between"]
    assert pings == [one.payload for one in sent if one.kind == PING]
    assert connection.frames.count == len(stream) + len(frame(TEXT, FIRST))
    # Nothing is held back: what comes now goes straight on.
    connection.come(frame(TEXT, b"last"))
    assert connection.straight[-1:] == [b"last"]


def test_a_byte_at_a_time() -> None:
    connection = begun()
    sent = [b"[1]", b"x" * 300, b"", b"[2]"]
    for byte in b"".join(frame(TEXT, payload) for payload in sent):
        connection.come(bytes([byte]))
    assert connection.straight == sent
