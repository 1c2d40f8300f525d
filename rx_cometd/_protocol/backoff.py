"""Delays: how long to wait before the next connect or handshake.

Three things slow the cycle down: failures, by the user's backoff; handshakes that do not lead to a
working session; and connects that a server answers at once, with nothing, without end.
"""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING, Final, cast

from rx_cometd._protocol.user_functions import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rx_cometd._protocol.advice import Advice

__all__ = ["MOST_ASKED", "Backoff", "Pace", "UnproductiveConnects", "exponential", "fail_safe"]

_log = logging.getLogger("rx_cometd.protocol")


def exponential(
    base: float = 0.5, cap: float = 30.0, *, rng: random.Random | None = None
) -> Iterator[float]:
    """Give delays that double, with full jitter.

    Full jitter (a uniform draw between zero and the bound) spreads the clients of a restarted
    server best; the reference clients have none.

    Args:
        base: Bound of the first delay, in seconds.
        cap: Bound that no delay passes, in seconds.
        rng: The source of randomness; tests give a seeded one.

    Yields:
        Delays in seconds, without end.
    """
    draw = random.Random() if rng is None else rng  # noqa: S311 - not for cryptography
    bound = base
    while True:
        yield draw.uniform(0, min(cap, bound))
        bound = min(cap, bound * 2)


class Backoff:
    """The delays of one run of failures; `reset` starts over.

    Args:
        delays: Gives an iterator of delays in seconds for each run of failures. Where it ends,
            its last delay is repeated; a negative delay is none. What it raises is raised.
    """

    def __init__(self, delays: Callable[[], Iterator[float]] = exponential) -> None:
        self._make = delays
        self._delays: Iterator[float] | None = None
        #: How many delays were given in this run, and the last of them.
        self.count = 0
        self.last = 0.0

    def next_delay(self) -> float:
        """Give the next delay, in seconds."""
        if self._delays is None:
            self._delays = iter(self._make())
            self.count = 0
        self.count += 1
        self.last = max(0.0, next(self._delays, self.last))
        return self.last

    def reset(self) -> None:
        """Forget the failures: an attempt succeeded."""
        self._delays = None


def fail_safe(delays: Callable[[], Iterator[float]]) -> Callable[[], Iterator[float]]:
    """Use the default delays where the user's function fails, for the rest of its run.

    A client must not stop trying because its ``backoff`` raises, or gives what is no number of
    seconds. That is logged.
    """

    def run() -> Iterator[float]:
        try:
            for delay in delays():
                yield _seconds(delay)
        except GeneratorExit:  # no more delays are wanted
            raise
        except BaseException as error:
            _log.error(
                "`backoff` gave no delay; the default delays are used instead",
                exc_info=failure_of(error, "backoff"),
                extra={"event": "backoff_failed"},
            )
        else:
            return
        yield from exponential()

    return run


def _seconds(delay: object) -> float:
    """Check a delay.

    Raises:
        ValueError: It is no number of seconds.
    """
    seconds = math.nan if isinstance(delay, str | bytes) else float(cast("float", delay))
    if not math.isfinite(seconds):
        raise ValueError(f"not a number of seconds: {delay!r}")
    return seconds


#: A connect answered sooner than this, in seconds, without a message, was not held at all.
_AT_ONCE: Final = 0.1
#: How many of those in a row are taken for chance (an ack extension flushing, a new server).
_TOLERATED: Final = 3
#: How often the delay doubles: up to 1.6 s, well within what servers let a session be idle.
_DOUBLINGS: Final = 5


class UnproductiveConnects:
    """Slows down where a server answers connects at once, with nothing, without end."""

    def __init__(self) -> None:
        self._sent_at = 0.0
        self._held = False
        self._in_a_row = 0

    def sent(self, now: float, *, held: bool) -> None:
        """Note that a connect goes out.

        Args:
            now: The time, in seconds.
            held: Whether the server may hold it; one that asks not to be held proves nothing.
        """
        self._sent_at = now
        self._held = held

    def answered(self, now: float, *, useful: bool) -> float:
        """Note that the connect was answered. Gives the delay before the next, in seconds.

        Args:
            now: The time, in seconds.
            useful: Whether event messages that somebody wants came since it went out, whatever
                brought them. Others may come without end, and as fast as connects are made.
        """
        at_once = now - self._sent_at < _AT_ONCE
        idle = self._held and not useful and at_once
        self._in_a_row = self._in_a_row + 1 if idle else 0
        excess = min(self._in_a_row - _TOLERATED, _DOUBLINGS)
        return 0.05 * 2.0**excess if excess > 0 else 0.0


#: A connect that was held for so many seconds before it failed was on a link that worked.
_LASTED: Final = 5.0
#: Seconds that are waited at most because a server asked for it: it may be a mistake.
MOST_ASKED: Final = 300.0
#: The part of `connection_timeout` that is kept for the last attempts, and seconds at most.
_LAST_ATTEMPTS: Final = 0.1
_LAST_ATTEMPTS_AT_MOST: Final = 1.0
#: When they are made, in parts of that: one somewhere between two, so that the clients of a
#: server do not come all at once, and one at the third.
_LAST_BUT_ONE: Final = (1.0, 0.4)
_LAST: Final = 0.2
#: The part of the server's ``maxInterval`` after which a session is resumed at the latest.
_WITHIN_MAX_INTERVAL: Final = 0.8
#: The ``maxInterval`` of a server that does not tell it, in seconds: the default of CometD.
_UNTOLD_MAX_INTERVAL: Final = 10.0
#: The part of it that a delay may take where messages are acknowledged: one attempt may meet a
#: short fault, so that several have to fit in.
_PART_OF_MAX_INTERVAL: Final = 0.25


class Pace:
    """Gives the delays of the cycle, in seconds.

    Args:
        backoff: Delays between failed attempts.
        draw: Draws between two numbers; tests give their own.
        connection_timeout: Seconds that the link may be down, ``None`` for ever: no delay is
            longer than what is left of it, and one attempt is made just before its end.
    """

    def __init__(
        self,
        backoff: Backoff,
        connection_timeout: float | None = None,
        *,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._backoff = backoff
        self._draw = draw
        self._connection_timeout = connection_timeout
        #: When the outage began that `connection_timeout` is about, ``None`` while there is none.
        self._outage_since: float | None = None
        #: How many attempts in a row have failed, or were made due.
        self.attempt = 0
        self._at_once = False
        self._unproductive_connects = UnproductiveConnects()
        self._unproductive_handshakes = 0
        self._down_since: float | None = None
        self._held = False
        self._sent_at = 0.0
        #: When the first event message came since the last connect went out, if any did.
        self.first_event_at: float | None = None
        #: Whether one came that somebody wants.
        self.useful = False

    def sent(self, now: float, *, held: bool) -> None:
        """Note that a connect goes out, and whether the server may hold it."""
        self._held = held
        self._sent_at = now
        self.first_event_at = None
        self.useful = False
        self._unproductive_connects.sent(now, held=held)

    def events_came(self, now: float, *, wanted: bool) -> None:
        """Note that event messages came, whatever brought them, and whether somebody wants them.

        Only the first ones matter: the link is of use, so the next failure starts over.
        """
        if self.first_event_at is None:
            self.first_event_at = now
        if wanted and not self.useful:
            self.useful = True
            self._backoff.reset()

    def begin_outage(self, now: float) -> None:
        """Note that there is no link, or not yet; an outage that lasts goes on.

        Args:
            now: The time, in seconds.
        """
        if self._outage_since is None:
            self._outage_since = now

    def link_up(self) -> None:
        """Note that the server answered."""
        self._down_since = None

    def begin_anew(self, now: float, *, at_once: bool = False) -> None:
        """Forget the failures: the network, or the time, is another than it was.

        Args:
            now: The time, in seconds.
            at_once: Whether the next attempt waits for nothing.
        """
        self._backoff.reset()
        self._at_once = at_once
        if self._outage_since is not None:
            self._outage_since = now

    def connected(self) -> None:
        """Note that a connect succeeded: the outage is over."""
        self._outage_since = None
        self._at_once = False
        self.attempt = 0

    def after_connect(self, advice: Advice, now: float) -> float:
        """Give the delay after a connect that succeeded, and led nowhere else.

        One that asked not to be held shows that the server answers, not that the link is of use: a
        proxy, or a fault, may let through nothing that is held.
        """
        if self._held:
            self._backoff.reset()
            self._unproductive_handshakes = 0
            self._held = False
        return max(advice.interval, self._unproductive_connects.answered(now, useful=self.useful))

    def after_failure(self, advice: Advice, now: float, *, asked: float = 0.0) -> float:
        """Give the delay after an attempt that failed.

        Args:
            advice: What the server advised.
            now: The time, in seconds.
            asked: Seconds that the server, or a proxy, asked to wait.
        """
        if self._at_once:
            self._at_once = False
            return 0.0
        if self._held and now - self._sent_at >= _LASTED:
            self._backoff.reset()
        self._held = False
        delay = advice.interval + self._backoff.next_delay()
        return self._within_outage(max(delay, min(asked, MOST_ASKED)), advice, now)

    def as_asked(self, advice: Advice, now: float, asked: float) -> float:
        """Give the delay where there is nothing to wait for but what the server asked."""
        return self._within_outage(min(asked, MOST_ASKED), advice, now) if asked else 0.0

    def _within_outage(self, delay: float, advice: Advice, now: float) -> float:
        """Cap a delay, so that a last attempt is made just before the link is given up.

        What the server advised to wait is waited in any case.
        """
        self.begin_outage(now)
        if self._connection_timeout is None or self._outage_since is None:
            return delay
        kept = min(self._connection_timeout * _LAST_ATTEMPTS, _LAST_ATTEMPTS_AT_MOST)
        end = self._outage_since + self._connection_timeout
        for part in (self._draw(*_LAST_BUT_ONE), _LAST):
            left = end - part * kept - now
            if left > 0:
                return max(advice.interval, min(delay, left))
        return delay

    def before_resuming(
        self, advice: Advice, now: float, *, acknowledges: bool = False, asked: float = 0.0
    ) -> float | None:
        """Give the delay before a connect that resumes the session after a failure.

        ``None`` where the server must have forgotten the session by now: ``advice.maxInterval``
        says when that is (BayeuxClient.java, nextConnectExceedsMaxInterval). Until then no delay
        is longer than what is left of it, unless the server asked for it.

        Args:
            advice: What the server advised.
            now: The time, in seconds.
            acknowledges: Whether messages are acknowledged, and so lost with the session.
            asked: Seconds that the server, or a proxy, asked to wait.
        """
        delay = self.after_failure(advice, now, asked=asked)
        asked = min(asked, delay)
        if self._down_since is None:
            self._down_since = now
        down = now - self._down_since
        if acknowledges:
            delay = max(asked, self._several_in_lifetime(delay, advice, down))
        if advice.max_interval is None or down + delay <= (
            advice.max_interval * _WITHIN_MAX_INTERVAL
        ):
            return delay
        # The server began to count when it noticed; at the latest when it would have answered.
        lifetime = advice.timeout + advice.interval + advice.max_interval
        for end in (advice.max_interval * _WITHIN_MAX_INTERVAL, lifetime):
            if down < end:
                return max(asked, advice.interval, min(delay, end - down))
        return None

    def _several_in_lifetime(self, delay: float, advice: Advice, down: float) -> float:
        """Cap a delay, so that several attempts fit into the time the server keeps the session.

        Where the server does not tell that time, a session that it kept all the while is
        presumed to live on: the cap grows with the outage, so that clients of a server that is
        away for long do not press it.
        """
        kept = advice.max_interval or max(_UNTOLD_MAX_INTERVAL, down)
        cap = kept * _PART_OF_MAX_INTERVAL
        # Drawn each time: the clients of a server do not come all at once.
        return delay if delay <= cap else max(advice.interval, self._draw(cap / 2, cap))

    def before_new_session(self, advice: Advice, now: float, *, asked: float = 0.0) -> float:
        """Give the delay before a handshake that the server wants, or that is the way out.

        A server that advises a handshake on every reply (Faye does for a 301) must not make
        the client spin: only a connect that was held, and did not lead here again, proves that
        a handshake was of use.

        Args:
            advice: What the server advised.
            now: The time, in seconds.
            asked: Seconds that the server, or a proxy, asked to wait.
        """
        delay = max(advice.interval, min(asked, MOST_ASKED))
        if self._unproductive_handshakes:
            delay = max(delay, self._backoff.next_delay())
        self._unproductive_handshakes += 1
        return self._within_outage(delay, advice, now)
