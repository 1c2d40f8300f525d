"""The handshake and connect cycle: the state machine at the heart of the protocol.

Exactly one handshake or connect is outstanding at any time. What comes of it, a reply, a
refusal or a failure of the network, is handed to one method here, and every such method ends
in one of four ways: a step is `Due`, new credentials are asked for, the session is over, or
(while disconnecting) nothing more is to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rx_cometd import messages as m
from rx_cometd._protocol.advice import Advice, Reconnect, reconnect_of
from rx_cometd._protocol.backoff import Pace
from rx_cometd._protocol.negotiation import Negotiation
from rx_cometd._protocol.outcomes import Changed, Due, Outcome, Step, Told
from rx_cometd._protocol.refusals import (
    Policy,
    as_authentication_error,
    asked_delay,
    authentication_failed,
    is_final,
    reached_server,
    unknown_client,
    unsupported,
)
from rx_cometd.exceptions import (
    ClientInvalidOperation,
    ExtensionError,
    ProtocolError,
    ServerError,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.states import ClientState, StateChange, follow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rx_cometd._protocol.backoff import Backoff
    from rx_cometd._protocol.credentials import Credentials
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.messages import Message

__all__ = ["ConnectionCycle"]

#: States in which what comes of a connect is of no interest any more.
_LEAVING = (ClientState.DISCONNECTING, ClientState.DISCONNECTED)
#: How often an extension may fail the handshake of an opening, or its connect.
_EXTENSION_FAILURES = 2
#: How often credentials are renewed in a row without a connect that succeeds.
_RENEWALS = 3
#: In the place of such a number: the extensions let a connect succeed.
_PROVEN = -1
#: Seconds that what else the server says of its disconnect may take: it is on its way already.
_LAST_WORDS = 0.1
_IN_SESSION = (ClientState.CONNECTING, ClientState.CONNECTED, ClientState.UNCONNECTED)


class ConnectionCycle:
    """The state of the session, and what is due next.

    Args:
        preferences: Connection types, most wanted first.
        backoff: Delays between failed attempts.
        max_network_delay: Seconds that a reply may be late.
        resume_timeout: Seconds that a connect which resumes a session may take.
        credentials: Asked for, where a failure is for want of them.
        outcomes: Where what happened is put.
        connection_timeout: Seconds that the link may be down, ``None`` for ever.
        policy: Decides which refusals are tried again.

    Attributes:
        state: The state.
        client_id: The server's name for the session, ``None`` while there is none.
        acknowledges: Whether the acknowledged messages extension is in force in the session: the
            client asked for it, and the server agreed. (Older servers of CometD say that they
            have it to every client, asked or not.)
        advice: What the server advised.
        due: The step that is due, ``None`` while one is under way.
        over: Whether the session is over.
        error: Why, ``None`` where it was closed in order.
        awaits_credentials: Whether the cycle waits for new credentials.
    """

    def __init__(
        self,
        preferences: Sequence[ConnectionType],
        *,
        backoff: Backoff,
        max_network_delay: float,
        resume_timeout: float,
        credentials: Credentials,
        outcomes: list[Outcome],
        connection_timeout: float | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._outcomes = outcomes
        self._policy = policy or Policy()
        self.state = ClientState.DISCONNECTED
        self.client_id: str | None = None
        self.acknowledges = False
        self.due: Step | None = None
        self.over = False
        self.error: Exception | None = None
        self.awaits_credentials = False
        self._awaited_messages = 0
        self.advice = Advice()
        self._negotiation = Negotiation(preferences)
        self._pace = Pace(backoff, connection_timeout)
        self._max_network_delay = max_network_delay
        self._resume_timeout = min(resume_timeout, max_network_delay)
        self._credentials = credentials
        #: What credentials were renewed for, to no avail yet.
        self._renewed_for: set[Step] = set()
        self._renewals = 0
        self._step_after_auth = Step.HANDSHAKE
        self._extension_failures = 0
        self._listed: object = None
        self._resumable = False
        self._acks_asked = False

    # -- the state -------------------------------------------------------------------------

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use, ``None`` before the first is tried."""
        return self._negotiation.current

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
                self._become(ClientState.DISCONNECTED, error)

    def tell(self, error: Exception, attempt: int, delay: float) -> None:
        """Tell of a failure that is tried again after a delay; the state stays as it is."""
        change = StateChange(
            self.state, self.client_id, self.connection_type, error=error, attempt=attempt
        )
        self._outcomes.append(Told(change._replace(delay=delay)))

    def _due(self, step: Step, delay: float) -> None:
        self.due = step
        self._outcomes.append(Due(step, delay))

    def _attempt(
        self, state: ClientState, step: Step, delay: float, error: Exception | None = None
    ) -> None:
        """Come to a state, or stay in it, that a step is to lead out of after a delay."""
        self._pace.attempt += 1
        self.state = follow(self.state, state)
        kind = self.connection_type
        change = StateChange(
            state, self.client_id, kind, error=error, attempt=self._pace.attempt, delay=delay
        )
        self._outcomes.append(Changed(change))
        self._due(step, delay)

    def _become(
        self, state: ClientState, error: Exception | None = None, *, resumed: bool = False
    ) -> None:
        if state is self.state is ClientState.CONNECTED:
            return
        self.state = follow(self.state, state)
        change = StateChange(state, self.client_id, self.connection_type, resumed, error)
        self._outcomes.append(Changed(change))

    # -- requests --------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Begin: a handshake is due.

        Args:
            now: The time, in seconds.

        Raises:
            ClientInvalidOperation: It was begun before.
        """
        if self.over or self.state is not ClientState.DISCONNECTED:
            raise ClientInvalidOperation("a session is opened once")
        self._pace.begin_outage(now)
        self._attempt(ClientState.HANDSHAKING, Step.HANDSHAKE, 0.0)

    def handshake(self, fields: Mapping[str, Any]) -> Message:
        """Make a handshake, with the user's fields below the protocol's own.

        Advice is cleared here: a successful reply may carry none, and what was known belongs
        to the old session (``cometd.js``, ``_handshake``).
        """
        self._negotiation.begin()
        self.advice = Advice()
        self.client_id = None
        self.acknowledges = False
        self._acks_asked = False
        self._resumable = False
        self._awaited_messages = 0
        return m.handshake(fields, [t.value for t in self._negotiation.preferences])

    def handshake_leaves(self, message: Message) -> None:
        """Look at a handshake as it goes out, past the extensions: whether it asks for acks."""
        ext: object = message.get("ext")
        self._acks_asked = isinstance(ext, dict) and bool(cast("dict[str, object]", ext).get("ack"))

    @property
    def handshake_timeout(self) -> float:
        """Seconds that the handshake just made may take.

        Less where another transport is still to be tried within the same resume_timeout.
        """
        return (
            self._resume_timeout if self._negotiation.has_alternative else self._max_network_delay
        )

    def connect(self, now: float) -> tuple[Message, float]:
        """Make a connect, and say how many seconds its reply may take.

        The first of a session, and the first after a failure, ask for ``timeout: 0``: the
        server answers at once, and the client knows that the link is up.
        """
        held = self.state is ClientState.CONNECTED
        self._awaited_messages = 0
        self._pace.sent(now, held=held)
        message = m.connect(str(self.connection_type), held=held)
        if held:
            return message, self.advice.timeout + self._max_network_delay
        resumes = self.state is ClientState.UNCONNECTED
        return message, self._resume_timeout if resumes else self._max_network_delay

    def disconnect(self) -> bool:
        """Begin to end the session. Tells whether there is one, and a link to end it over."""
        if self.state in (ClientState.CONNECTING, ClientState.CONNECTED):
            self.due = None
            self._awaited_messages = 0
            self._become(ClientState.DISCONNECTING)
            return True
        self.end(None)
        return False

    # -- what came of them -----------------------------------------------------------------

    def handshaken(self, reply: Message, now: float) -> bool:
        """Take a successful handshake reply. Tells whether there is a session now."""
        client_id: object = reply.get("clientId")
        if not isinstance(client_id, str) or not client_id:
            self.handshake_failed(ProtocolError("a handshake reply without a clientId"), now)
            return False
        self._listed = reply.get("supportedConnectionTypes")
        if not self._negotiation.choose(self._listed):
            self.end(self._negotiation.nothing_in_common(self._listed))
            return False
        self.client_id = client_id
        self.advice = self.advice.merge(reply.get("advice"))
        if reconnect_of(reply.get("advice")) is Reconnect.NONE:
            error = ServerError("the server advised against connecting", reply)
            if self._policy.transient(error, default=False):
                self._handshake_again(error, now)
            else:
                self.end(error)
            return False
        self._pace.link_up()
        self.acknowledges = self._acks_asked and _acknowledges(reply)
        self._extension_failures = min(self._extension_failures, 0)
        self._become(ClientState.CONNECTING)
        self._await_messages(reply)
        return True

    def _await_messages(self, reply: Message) -> None:
        """Have the connect wait for the messages that the handshake delivers.

        The server announces them as ``x-messages`` (BayeuxClient.java, processHandshake); the
        wait ends after ``max_network_delay`` in any case.
        """
        announced: object = reply.get("x-messages")
        if isinstance(announced, int) and announced > 0:
            self._awaited_messages = announced
            self._due(Step.CONNECT, self._max_network_delay)
        else:
            self._due(Step.CONNECT, self.advice.interval)

    def events_came(self, now: float, *, wanted: bool) -> None:
        """Note that event messages came, whatever brought them, and whether somebody wants them."""
        self._pace.events_came(now, wanted=wanted)

    def heeds_events(self) -> bool:
        """Whether it makes a difference that event messages come: the first after a connect do."""
        return not self._pace.useful or self._awaited_messages > 0 or self.client_id is None

    @property
    def first_event_at(self) -> float | None:
        """When the first event message came since the last connect went out, if any did."""
        return self._pace.first_event_at

    def await_fewer_messages(self, count: int) -> None:
        """Note that messages came, after the replies that came with them."""
        if self._awaited_messages > 0:
            self._awaited_messages -= count
            if self._awaited_messages <= 0:
                self._due(Step.CONNECT, self.advice.interval)

    def handshake_failed(self, error: Exception, now: float, *, outdated: bool = False) -> None:
        """Take a handshake that was refused, or lost, or could not even be made.

        Args:
            error: What happened.
            now: The time, in seconds.
            outdated: Whether it went out before the credentials were last renewed.
        """
        if self.over:
            return
        if self._ended_by_extension(error):
            return
        if self._authenticate(error, Step.HANDSHAKE, Step.HANDSHAKE, outdated=outdated):
            return
        if isinstance(error, ServerError):
            self._handshake_refused(error, now)
        elif authentication_failed(error):
            self.end(as_authentication_error(error))
        else:
            self._handshake_lost(error, now)

    def _handshake_refused(self, error: ServerError, now: float) -> None:
        self.advice = self.advice.merge(error.advice)
        advised = reconnect_of(error.advice)
        # Without advice, and without new credentials, it is no use to try again.
        final = advised is Reconnect.NONE or (advised is None and authentication_failed(error))
        if self._policy.transient(error, default=not final):
            self._handshake_again(error, now)
        else:
            self.end(error)

    def _handshake_lost(self, error: Exception, now: float) -> None:
        if is_final(error) and not self._negotiation.proven:
            self.end(error)
            return
        if reached_server(error):
            refused = unsupported(error)
            self._negotiation.failed(unsupported=refused, refused=refused)
        upcoming = self._negotiation.upcoming()
        if upcoming is None:
            self.end(self._negotiation.nothing_left(error))
        elif self._negotiation.falls_back(upcoming):
            delay = self._pace.as_asked(self.advice, now, asked_delay(error))
            self._attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)
        else:
            self._handshake_again(error, now)

    def _handshake_again(self, error: Exception, now: float) -> None:
        delay = self._pace.after_failure(self.advice, now, asked=asked_delay(error))
        self._attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)

    def connected(self, reply: Message, now: float) -> None:
        """Take a successful connect reply; its advice is obeyed all the same (spec, "Advice")."""
        if self.state in _LEAVING:
            return
        self.advice = self.advice.merge(reply.get("advice"))
        self._negotiation.worked()
        self._pace.link_up()
        self._pace.connected()
        self._renewed_for.clear()
        self._renewals = 0
        self._extension_failures = _PROVEN
        resumed = self._resumable
        self._resumable = True
        self._become(ClientState.CONNECTED, resumed=resumed)
        reconnect = reconnect_of(reply.get("advice"))
        if reconnect is Reconnect.NONE:
            self._end_or_rehandshake(ServerError("the server ended the session", reply), now)
        elif reconnect is Reconnect.HANDSHAKE:
            self._rehandshake(None, now)
        else:
            self._due(Step.CONNECT, self._pace.after_connect(self.advice, now))

    def connect_failed(self, error: Exception, now: float, *, outdated: bool = False) -> None:
        """Take a connect that was refused, or that the network or the HTTP swallowed.

        Args:
            error: What happened.
            now: The time, in seconds.
            outdated: Whether it went out before the credentials were last renewed.
        """
        if self.state in _LEAVING or self._ended_by_extension(error):
            return
        if isinstance(error, ServerError):
            self._connect_refused(error, now, outdated=outdated)
        elif self._authenticate(error, Step.CONNECT, Step.CONNECT, outdated=outdated):
            return
        elif authentication_failed(error):
            self.end(as_authentication_error(error))
        else:
            self._connect_lost(error, now)

    def _connect_refused(self, error: ServerError, now: float, *, outdated: bool) -> None:
        known = self.advice.reconnect
        self.advice = self.advice.merge(error.advice)
        advised = reconnect_of(error.advice)
        step = Step.CONNECT if advised in (None, Reconnect.RETRY) else Step.HANDSHAKE
        if self._authenticate(error, Step.CONNECT, step, outdated=outdated):
            return
        if advised is None and authentication_failed(error):
            advised = Reconnect.NONE
        elif advised is None:
            advised = Reconnect.HANDSHAKE if unknown_client(error) else known
        if not self._policy.transient(error, default=advised is not Reconnect.NONE):
            self.end(error)
        elif advised in (Reconnect.HANDSHAKE, Reconnect.NONE):
            self._rehandshake(error, now)
        else:
            self._retry_connect(error, now)

    def _connect_lost(self, error: Exception, now: float) -> None:
        resuming = self.state is ClientState.UNCONNECTED
        if reached_server(error):
            # The handshake came through: a 404 now may be a passing trouble (a redeployment).
            self._negotiation.failed(unsupported=False, refused=unsupported(error))
            self._negotiation.choose(self._listed)
        if resuming and isinstance(error, TransportTimeoutError) and not self.acknowledges:
            # A live server answers a resuming connect at once. Faye does not while it still
            # holds the one of the dead link; a new session is the way out. Where messages are
            # acknowledged, the session holds those that are missing: it is not thrown away.
            self._rehandshake(error, now)
        else:
            self._retry_connect(error, now)

    def disconnected(self, error: ServerError, now: float, *, complete: bool = True) -> None:
        """Take a disconnect that the server sent.

        It is transient where the advice allows to connect again: that which came with the
        disconnect, or what was known before.

        Args:
            error: The disconnect.
            now: The time, in seconds.
            complete: Whether the server has said all of it, or may still say `sent_away`.
        """
        if self.state is ClientState.DISCONNECTING:
            self.end(None)
        elif self.due is not Step.HANDSHAKE and not self.awaits_credentials:
            advised = reconnect_of(error.advice) or self.advice.reconnect
            again = advised in (Reconnect.RETRY, Reconnect.HANDSHAKE)
            wait = 0.0 if complete else _LAST_WORDS
            self._end_or_rehandshake(error, now, default=again, at_least=wait)

    def sent_away(self, error: ServerError) -> None:
        """Take what else the server said of its disconnect: whether to come back."""
        allowed = reconnect_of(error.advice) is not Reconnect.NONE
        seeking = self.state is ClientState.REHANDSHAKING
        if seeking and not self._policy.transient(error, default=allowed):
            self.end(error)

    def session_unknown(self, error: ServerError, now: float) -> None:
        """Take it that the server does not know the session, whatever it was asked."""
        if self.state in _IN_SESSION and not self.awaits_credentials:
            self._end_or_rehandshake(error, now, default=True)

    def _end_or_rehandshake(
        self, error: ServerError, now: float, *, default: bool = False, at_least: float = 0.0
    ) -> None:
        if self._policy.transient(error, default=default):
            self._rehandshake(error, now, at_least=at_least)
        else:
            self.end(error)

    def begin_anew(self, now: float) -> None:
        """Forget the failures, and count the outage from now on."""
        self._pace.begin_anew(now)

    def reconnect_now(self, now: float) -> None:
        """Take the step that is due at once, and begin the backoff anew."""
        self._pace.begin_anew(now, at_once=self.due is None)
        if self.due is not None and self._awaited_messages == 0:
            self._due(self.due, 0.0)

    def authenticated(self) -> None:
        """Go on with new credentials, if it was the want of them that stopped the cycle."""
        if not self.awaits_credentials:
            return
        self.awaits_credentials = False
        if self.state is ClientState.UNCONNECTED and self._step_after_auth is Step.HANDSHAKE:
            self._attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, 0.0)
        else:
            self._due(self._step_after_auth, 0.0)

    def renew_session(self) -> None:
        """Seek a new session: the server says that only that makes new credentials count."""
        if self.awaits_credentials:
            self._step_after_auth = Step.HANDSHAKE
        elif self.state in _IN_SESSION:
            self._attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, 0.0)

    # -- decisions -------------------------------------------------------------------------

    def _authenticate(self, error: Exception, failed: Step, step: Step, *, outdated: bool) -> bool:
        """Ask for new credentials if they might help. Tells whether that settles the matter.

        Those that were renewed for what fails again are no good. After a failure of another kind
        they may have expired; so may those that served a handshake, before its connect.

        Args:
            error: What happened.
            failed: What failed.
            step: What to do with new credentials.
            outdated: Whether there are newer ones already.
        """
        if not self._credentials.might_help(error):
            self._renewed_for.clear()
            return False
        if not outdated and (failed in self._renewed_for or self._renewals >= _RENEWALS):
            self.end(as_authentication_error(error))
            return True
        self._renewals += not outdated
        self._renewed_for.add(failed)
        self._step_after_auth = step
        self.awaits_credentials = True
        if self.state not in (ClientState.HANDSHAKING, ClientState.REHANDSHAKING):
            self._become(ClientState.UNCONNECTED, error)
        if outdated:
            self.authenticated()
        else:
            self._credentials.ask(error)
        return True

    def _ended_by_extension(self, error: Exception) -> bool:
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

    def _rehandshake(self, error: Exception | None, now: float, *, at_least: float = 0.0) -> None:
        """Seek a new session."""
        self._negotiation.renew(proven_only=isinstance(error, TransportError))
        asked = asked_delay(error)
        delay = max(at_least, self._pace.before_new_session(self.advice, now, asked=asked))
        self._attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)

    def _retry_connect(self, error: Exception, now: float) -> None:
        """Try to resume the session, unless the server must have forgotten it by now."""
        delay = self._pace.before_resuming(
            self.advice, now, acknowledges=self.acknowledges, asked=asked_delay(error)
        )
        if delay is None:
            self._rehandshake(error, now)
        else:
            self._attempt(ClientState.UNCONNECTED, Step.CONNECT, delay, error)


def _acknowledges(reply: Message) -> bool:
    """Tell whether a handshake reply grants acknowledged messages: ``true``, or ``enabled``."""
    ext: object = reply.get("ext")
    granted: object = cast("dict[str, object]", ext).get("ack") if isinstance(ext, dict) else None
    if isinstance(granted, dict):
        return cast("dict[str, object]", granted).get("enabled") is True
    return granted is True
