"""The time synchronisation extension: how far the server's clock is from ours.

The scheme is that of NTP in small, on meta messages (CometD's ``TimesyncExtension`` on both
sides). Requests carry ``ext.timesync: {tc, l, o}``: our clock, and the lag and offset known so
far. Replies carry ``{tc, ts, p, a}``: ``tc`` as it was sent, the server's clock, the
milliseconds it held the request, and the accuracy. Then::

    lag    = (now - tc - p) / 2
    offset = ts - tc - lag

Servers answer while the lag is unknown or the accuracy worse than 25 ms.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from reactivex import operators as ops

from rx_cometd._protocol.channel_names import is_meta
from rx_cometd.extension import Extension, Operators
from rx_cometd.extensions.ext import as_object, get_ext, put_ext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.extension import Payload

__all__ = ["TimeSync", "timesync"]

_SAMPLES = 10
_OUTSTANDING = 64
#: Milliseconds that no clock tells: those of some 30,000 years.
_SANE = 1e15


def timesync() -> TimeSync:
    """Make the time synchronisation extension.

    Returns:
        The extension, to be put into ``Client(extensions=[...])``; see `TimeSync.offset` and
        `TimeSync.lag`.

    Example:
        >>> clock = timesync()
        >>> clock.offset, clock.lag
        (0.0, 0.0)
    """
    return TimeSync()


class TimeSync(Extension):
    """The extension that `timesync` makes.

    The estimates are means of the last 10 replies, as in CometD's JavaScript client. They belong
    to the extension, not to a session, and survive reconnects.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def __repr__(self) -> str:
        return f"<TimeSync offset={self.offset:.3f} lag={self.lag:.3f}>"

    @property
    def lag(self) -> float:
        """How long a message travels one way, in seconds; 0 while unknown."""
        return self._mean(0)

    @property
    def offset(self) -> float:
        """What to add to the local clock to get the server's, in seconds; 0 while unknown."""
        return self._mean(1)

    def server_time(self) -> float:
        """Return the time on the server's clock, in seconds since the epoch."""
        return time.time() + self.offset

    def operators(self) -> Operators:
        """Make the operators of one session."""
        # Sending time on a clock that nobody sets, by the `tc` sent: a reply must echo one of
        # them, and a step of our wall clock on the way does not show in the lag.
        sent: OrderedDict[int, float] = OrderedDict()

        def send(payload: Payload) -> None:
            for message in payload.messages:
                if is_meta(message.get("channel", "")):
                    tc = _milliseconds(time.time())
                    sent[tc] = time.monotonic()
                    put_ext(message, "timesync", self._request(tc))
            while len(sent) > _OUTSTANDING:
                sent.popitem(last=False)

        def receive(payload: Payload) -> None:
            for message in payload.messages:
                if message.get("successful") is True:
                    self._learn(get_ext(message, "timesync"), sent)

        return Operators(inbound=ops.do_action(receive), outbound=ops.do_action(send))

    def _request(self, tc: int) -> dict[str, int]:
        return {"tc": tc, "l": _milliseconds(self.lag), "o": _milliseconds(self.offset)}

    def _learn(self, reply: Any, sent: Mapping[int, float]) -> None:
        """Take one reply in, if it has numbers and echoes a time that was sent."""
        fields = as_object(reply)
        tc, ts, held = (_number(fields.get(key)) for key in ("tc", "ts", "p"))
        if tc is None or ts is None or tc not in sent:
            return
        # The server rounds what it held to milliseconds, and may thus overstate it.
        lag = max(0.0, (time.monotonic() - sent[tc] - (held or 0) / 1000) / 2)
        self._samples.append((lag, (ts - tc) / 1000 - lag))

    def _mean(self, index: int) -> float:
        if not self._samples:
            return 0.0
        return sum(sample[index] for sample in self._samples) / len(self._samples)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _number(value: Any) -> int | None:
    """Give a number of milliseconds; JSON has others, too: ``NaN``, and such as fit no float."""
    sane = isinstance(value, int | float) and abs(value) < _SANE
    return round(value) if sane else None
