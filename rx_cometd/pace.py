"""How fast the cycle goes: how long to wait before the next connect or handshake.

Three things slow it down: failures, by the user's backoff; handshakes that are of no use; and
connects that a server answers at once, with nothing, without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd.backoff import Backoff, Idling

if TYPE_CHECKING:
    from rx_cometd.advice import Advice

__all__ = ["Pace"]


class Pace:
    """Gives the delays of the cycle, in seconds.

    Args:
        backoff: Delays between failed attempts.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._idling = Idling()
        self._fruitless = 0
        self._down_since: float | None = None
        self._held = False
        #: When the first event message came since the last connect went out, if any did.
        self.first_event_at: float | None = None

    def sent(self, now: float, *, held: bool) -> None:
        """Note that a connect goes out, and whether the server may hold it."""
        self._held = held
        self.first_event_at = None
        self._idling.sent(now, held=held)

    def count_events(self, count: int, now: float) -> None:
        """Note event messages that came, whatever brought them."""
        self._idling.count_events(count)
        if count and self.first_event_at is None:
            self.first_event_at = now

    def link_up(self) -> None:
        """Note that the server answered."""
        self._down_since = None

    def after_connect(self, advice: Advice, now: float) -> float:
        """Give the delay after a connect that succeeded, and led nowhere else."""
        self._backoff.reset()
        if self._held:
            self._fruitless = 0
        return max(advice.interval, self._idling.answered(now))

    def after_failure(self, advice: Advice) -> float:
        """Give the delay after an attempt that failed."""
        return advice.interval + self._backoff.next_delay()

    def before_resuming(self, advice: Advice, now: float) -> float | None:
        """Give the delay before a connect that resumes the session after a failure.

        ``None`` where the server must have forgotten the session by then: ``advice.maxInterval``
        says when that is (BayeuxClient.java, nextConnectExceedsMaxInterval).
        """
        delay = self.after_failure(advice)
        if self._down_since is None:
            self._down_since = now
        if advice.max_interval is None:
            return delay
        lifetime = advice.timeout + advice.interval + advice.max_interval
        return delay if now - self._down_since + delay <= lifetime else None

    def before_new_session(self, advice: Advice) -> float:
        """Give the delay before a handshake that the server wants, or that is the way out.

        A server that advises a handshake on every reply (Faye does for a 301) must not make
        the client spin: only a connect that was held, and did not lead here again, proves that
        a handshake was of use.
        """
        delay = advice.interval
        if self._fruitless:
            delay = max(delay, self._backoff.next_delay())
        self._fruitless += 1
        return delay
