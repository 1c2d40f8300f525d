"""The handshake and connect cycle: where the session is in its life, and what is due next.

Exactly one handshake or connect is outstanding at any time. What comes of it, a reply, a refusal or
a failure of the network, is for `Handshakes` and `Connects` to judge, and for `Reauthentication`
where credentials are wanting; each judgement ends in one of four ways, which are here: a step is
`Due`, new credentials are asked for, the session is over, or (while disconnecting) nothing more is
to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rx_cometd._protocol.advice import Advice
from rx_cometd._protocol.negotiation import Negotiation
from rx_cometd._protocol.outcomes import Changed, Due, Outcome, Step, Told
from rx_cometd._protocol.refusals import asked_delay
from rx_cometd.exceptions import ClientInvalidOperation, ExtensionError, TransportError
from rx_cometd.states import ClientState, StateChange, follow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rx_cometd._protocol.backoff import Pace
    from rx_cometd.connection_types import ConnectionType

__all__ = ["ConnectionCycle"]

#: States in which what comes of a connect is of no interest any more.
_LEAVING: Final = (ClientState.DISCONNECTING, ClientState.DISCONNECTED)
_IN_SESSION: Final = (ClientState.CONNECTING, ClientState.CONNECTED, ClientState.UNCONNECTED)
#: How often an extension may fail the handshake of an opening, or its connect.
_EXTENSION_FAILURES: Final = 2
#: In the place of such a number: the extensions let a connect succeed.
_PROVEN: Final = -1


class ConnectionCycle:
    """The state of the session, and what is due next.

    Args:
        preferences: Connection types, most wanted first.
        pace: Gives the delays.
        outcomes: Where what happened is put.

    Attributes:
        state: The state.
        client_id: The server's name for the session, ``None`` while there is none.
        acknowledges: Whether the acknowledged messages extension is in force in the session: the
            client asked for it, and the server agreed. (Older servers of CometD say that they
            have it to every client, asked or not.)
        resumable: Whether a connect succeeded in the session, so that the next one resumes it.
        advice: What the server advised.
        negotiation: Which transport is used.
        pace: What gives the delays.
        due: The step that is due, ``None`` while one is under way.
        over: Whether the session is over.
        error: Why, ``None`` where it was closed in order.
        awaits_credentials: Whether the cycle waits for new credentials.
    """

    def __init__(
        self, preferences: Sequence[ConnectionType], *, pace: Pace, outcomes: list[Outcome]
    ) -> None:
        self._outcomes = outcomes
        self.pace = pace
        self.negotiation = Negotiation(preferences)
        self.advice = Advice()
        self.state = ClientState.DISCONNECTED
        self.client_id: str | None = None
        self.acknowledges = False
        self.resumable = False
        self.due: Step | None = None
        self.over = False
        self.error: Exception | None = None
        self.awaits_credentials = False
        #: How many messages the connect waits for, that the handshake delivers.
        self._awaited_messages = 0
        self._extension_failures = 0

    # -- the state -----------------------------------------------------------------------------

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use, ``None`` before the first is tried."""
        return self.negotiation.current

    @property
    def is_leaving(self) -> bool:
        """Whether the session is being left, or is over."""
        return self.state in _LEAVING

    @property
    def is_in_session(self) -> bool:
        """Whether there is a session, as far as is known."""
        return self.state in _IN_SESSION

    def begin(self, step: Step) -> bool:
        """Take a step, if it is the one that is due: a timer may be late, and one too many."""
        if self.due is not step:
            return False
        self.due = None
        return True

    def end(self, error: Exception | None) -> None:
        """Be over: nothing is due any more."""
        if not self.over:
            self.over = True
            self.error = error
            self.due = None
            self._awaited_messages = 0
            self.awaits_credentials = False
            if self.state is not ClientState.DISCONNECTED:
                self.become(ClientState.DISCONNECTED, error)

    def forget_session(self) -> None:
        """Forget what was known of a session: a new one is sought.

        Advice as well: a successful handshake reply may carry none, and what was known belongs
        to the old session (``cometd.js``, ``_handshake``).
        """
        self.advice = Advice()
        self.client_id = None
        self.acknowledges = False
        self.resumable = False
        self._awaited_messages = 0

    def become(
        self, state: ClientState, error: Exception | None = None, *, resumed: bool = False
    ) -> None:
        """Come to a state."""
        if state is self.state is ClientState.CONNECTED:
            return
        self.state = follow(self.state, state)
        change = StateChange(state, self.client_id, self.connection_type, resumed, error)
        self._outcomes.append(Changed(change))

    def attempt(
        self, state: ClientState, step: Step, delay: float, error: Exception | None = None
    ) -> None:
        """Come to a state, or stay in it, that a step is to lead out of after a delay."""
        self.pace.attempt += 1
        self.state = follow(self.state, state)
        kind = self.connection_type
        change = StateChange(
            state, self.client_id, kind, error=error, attempt=self.pace.attempt, delay=delay
        )
        self._outcomes.append(Changed(change))
        self.schedule(step, delay)

    def schedule(self, step: Step, delay: float) -> None:
        """Have a step due after a delay."""
        self.due = step
        self._outcomes.append(Due(step, delay))

    def tell(self, error: Exception, attempt: int, delay: float) -> None:
        """Tell of a failure that is tried again after a delay; the state stays as it is."""
        change = StateChange(
            self.state, self.client_id, self.connection_type, error=error, attempt=attempt
        )
        self._outcomes.append(Told(change._replace(delay=delay)))

    # -- requests ------------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Begin: a handshake is due.

        Args:
            now: The time, in seconds.

        Raises:
            ClientInvalidOperation: It was begun before.
        """
        if self.over or self.state is not ClientState.DISCONNECTED:
            raise ClientInvalidOperation("a session is opened once")
        self.pace.begin_outage(now)
        self.attempt(ClientState.HANDSHAKING, Step.HANDSHAKE, 0.0)

    def disconnect(self) -> bool:
        """Begin to end the session. Tells whether there is one, and a link to end it over."""
        if self.state in (ClientState.CONNECTING, ClientState.CONNECTED):
            self.due = None
            self._awaited_messages = 0
            self.become(ClientState.DISCONNECTING)
            return True
        self.end(None)
        return False

    def begin_anew(self, now: float) -> None:
        """Forget the failures, and count the outage from now on."""
        self.pace.begin_anew(now)

    def reconnect_now(self, now: float) -> None:
        """Take the step that is due at once, and begin the backoff again."""
        self.pace.begin_anew(now, at_once=self.due is None)
        if self.due is not None and self._awaited_messages == 0:
            self.schedule(self.due, 0.0)

    # -- event messages ------------------------------------------------------------------------

    def events_came(self, now: float, *, wanted: bool) -> None:
        """Note that event messages came, whatever brought them, and whether somebody wants them."""
        self.pace.events_came(now, wanted=wanted)

    def heeds_events(self) -> bool:
        """Whether it makes a difference that event messages come: the first after a connect do."""
        return not self.pace.useful or self._awaited_messages > 0 or self.client_id is None

    @property
    def first_event_at(self) -> float | None:
        """When the first event message came since the last connect went out, if any did."""
        return self.pace.first_event_at

    def await_messages(self, count: int, most: float) -> None:
        """Have the connect wait for messages that the handshake delivers.

        Args:
            count: How many are to come.
            most: Seconds that it waits in any case.
        """
        self._awaited_messages = count
        self.schedule(Step.CONNECT, most)

    def await_fewer_messages(self, count: int) -> None:
        """Note that messages came, after the replies that came with them."""
        if self._awaited_messages > 0:
            self._awaited_messages -= count
            if self._awaited_messages <= 0:
                self.schedule(Step.CONNECT, self.advice.interval)

    def await_no_messages(self) -> None:
        """Note that the connect waits for no messages any more."""
        self._awaited_messages = 0

    # -- decisions -----------------------------------------------------------------------------

    def seek_session(self, error: Exception | None, now: float, *, at_least: float = 0.0) -> None:
        """Seek a new session.

        Args:
            error: Why, ``None`` where the server advised it.
            now: The time, in seconds.
            at_least: Seconds that are waited in any case.
        """
        self.negotiation.renew(proven_only=isinstance(error, TransportError))
        asked = asked_delay(error)
        delay = max(at_least, self.pace.before_new_session(self.advice, now, asked=asked))
        self.attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)

    def ended_by_extension(self, error: Exception) -> bool:
        """End an opening whose handshake, or connect, an extension fails twice.

        One that let a session come about before may fail for reasons that pass, such as a token
        that cannot be fetched just now.
        """
        if self._extension_failures == _PROVEN:
            return False
        self._extension_failures += 1 if isinstance(error, ExtensionError) else 0
        if self._extension_failures < _EXTENSION_FAILURES:
            return False
        self.end(error)
        return True

    def let_through(self, *, connect: bool) -> None:
        """Note that the extensions let a handshake succeed, or a connect."""
        self._extension_failures = _PROVEN if connect else min(self._extension_failures, 0)
