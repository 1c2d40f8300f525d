"""The handshake and connect cycle: the state machine at the heart of the protocol.

Exactly one handshake or connect is outstanding at any time. What comes of it, a reply, a
refusal or a failure of the network, is handed to one method here, and every such method ends
in one of four ways: a step is `Due`, new credentials are asked for, the session is over, or
(while disconnecting) nothing more is to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rx_cometd import messages as m
from rx_cometd.advice import Advice, Reconnect, reconnect_of
from rx_cometd.exceptions import (
    ClientError,
    ProtocolError,
    ServerError,
    TransportConnectionClosed,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.negotiation import Negotiation
from rx_cometd.outcomes import Changed, Due, Outcome, Step, Unauthorized
from rx_cometd.refusals import (
    as_authentication_error,
    authentication_failed,
    unknown_client,
    unsupported,
)
from rx_cometd.states import ClientState, StateChange, follow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rx_cometd.backoff import Backoff
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.messages import Message

__all__ = ["Control"]

#: A connect answered sooner than this, in seconds, without a message, was not held at all.
_AT_ONCE: Final = 0.1
#: How many of those in a row are taken for chance (an ack extension flushing, a new server).
_TOLERATED: Final = 3


class Control:
    """The state of the session, and what is due next.

    Args:
        preferences: Connection types, most wanted first.
        backoff: Delays between failed attempts.
        max_network_delay: Seconds that a reply may be late.
        patience: Seconds that a connect which resumes a session may take.
        authenticates: Whether new credentials can be had after an authentication failure.
    """

    def __init__(
        self,
        preferences: Sequence[ConnectionType],
        *,
        backoff: Backoff,
        max_network_delay: float,
        patience: float,
        authenticates: bool,
    ) -> None:
        self.state = ClientState.DISCONNECTED
        self.client_id: str | None = None
        self.connection_type: ConnectionType | None = None
        self.advice = Advice()
        self.outcomes: list[Outcome] = []
        #: Set when the session is over; the error, if any, is in `error`.
        self.over = False
        self.error: Exception | None = None
        self.negotiation = Negotiation(preferences)
        self._backoff = backoff
        self._max_network_delay = max_network_delay
        self._patience = min(patience, max_network_delay)
        self._authenticates = authenticates
        #: Whether the cycle waits for new credentials.
        self.awaits_credentials = False
        #: Whether the request that failed went out before the credentials were last renewed.
        self.outdated = False
        self._auth_tried = False
        self._step_after_auth = Step.HANDSHAKE
        self._listed: object = None
        self._resumable = False
        self._fruitless = 0
        self._awaited_messages = 0
        self._down_since: float | None = None
        self._connect_sent_at = 0.0
        self._connect_held = False
        self._events = 0
        self._idle = 0

    # -- requests --------------------------------------------------------------------------

    def open(self) -> None:
        """Begin: a handshake is due."""
        self._become(ClientState.HANDSHAKING)
        self._due(Step.HANDSHAKE, 0.0)

    def handshake(self, fields: Mapping[str, Any]) -> Message:
        """Make a handshake, with the user's fields below the protocol's own.

        Advice is cleared here: a successful reply may carry none, and what was known belongs
        to the old session (``cometd.js``, ``_handshake``).
        """
        self.connection_type = self.negotiation.candidate()
        self.advice = Advice()
        self.client_id = None
        self._resumable = False
        self._awaited_messages = 0
        message: Any = {
            **fields,
            "channel": m.HANDSHAKE,
            "version": "1.0",
            "minimumVersion": "1.0",
            "supportedConnectionTypes": [t.value for t in self.negotiation.preferences],
        }
        return message  # type: ignore[no-any-return]

    def connect(self, now: float) -> tuple[Message, float]:
        """Make a connect, and say how many seconds its reply may take.

        The first one of a session, and the first one after a failure, ask for ``timeout: 0``:
        the server answers at once, and the client knows that the link is up.
        """
        held = self.state is ClientState.CONNECTED
        message: Any = {
            "channel": m.CONNECT,
            "clientId": self.client_id,
            "connectionType": str(self.connection_type),
        }
        if not held:
            message["advice"] = {"timeout": 0}
        self._connect_held = held
        self._connect_sent_at = now
        self._events = 0
        return message, self._connect_allowance()

    def _connect_allowance(self) -> float:
        if self._connect_held:
            return self.advice.timeout + self._max_network_delay
        resumes = self.state is ClientState.UNCONNECTED
        return self._patience if resumes else self._max_network_delay

    def disconnect(self) -> bool:
        """Begin to say goodbye. Tells whether there is a session, and a link, to say it on."""
        if self.state in (ClientState.CONNECTING, ClientState.CONNECTED):
            self._become(ClientState.DISCONNECTING)
            return True
        self.end(None)
        return False

    # -- what came of them -----------------------------------------------------------------

    def handshaken(self, reply: Message) -> bool:
        """Take a successful handshake reply. Tells whether there is a session now."""
        current = self.connection_type
        client_id = reply.get("clientId")
        if current is None or not isinstance(client_id, str) or not client_id:
            self.handshake_failed(ProtocolError("a handshake reply without a clientId"))
            return False
        self._listed = reply.get("supportedConnectionTypes")
        chosen = self.negotiation.choose(self._listed, current)
        if chosen is None:
            self.end(ClientError(f"the server speaks none of {self._preferred()}"))
            return False
        self.connection_type = chosen
        self.client_id = client_id
        self.advice = self.advice.merge(reply.get("advice"))
        if reconnect_of(reply.get("advice")) is Reconnect.NONE:
            self.end(ServerError("the server advised against connecting", reply))
            return False
        self._down_since = None
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

    def count_events(self, count: int) -> None:
        """Note event messages that came, whatever brought them."""
        self._events += count
        if self._awaited_messages > 0:
            self._awaited_messages -= count
            if self._awaited_messages <= 0:
                self._due(Step.CONNECT, self.advice.interval)

    def handshake_failed(self, error: Exception) -> None:
        """Take a handshake that was refused, or that the network or the HTTP swallowed."""
        if self._authenticate(error, Step.HANDSHAKE):
            return
        if isinstance(error, ServerError):
            self._handshake_refused(error)
        elif authentication_failed(error):
            self.end(as_authentication_error(error))
        else:
            self._handshake_lost(error)

    def _handshake_refused(self, error: ServerError) -> None:
        self.advice = self.advice.merge(error.advice)
        if reconnect_of(error.advice) is Reconnect.NONE:
            self.end(error)
        else:
            self._become(ClientState.REHANDSHAKING, error)
            self._due(Step.HANDSHAKE, self.advice.interval + self._backoff.next_delay())

    def _handshake_lost(self, error: Exception) -> None:
        current = self.connection_type
        self._doubt(error)
        following = self.negotiation.candidate()
        if following is None:
            self.end(_chained(ClientError(f"the server speaks none of {self._preferred()}"), error))
            return
        preferences = self.negotiation.preferences
        fallback = current is not None and (
            preferences.index(following) > preferences.index(current)
        )
        self._become(ClientState.REHANDSHAKING, error)
        self._due(Step.HANDSHAKE, 0.0 if fallback else self._backoff.next_delay())

    def connected(self, reply: Message, now: float) -> None:
        """Take a successful connect reply; its advice is obeyed all the same (spec, "Advice")."""
        self.advice = self.advice.merge(reply.get("advice"))
        if self.connection_type is not None:
            self.negotiation.worked(self.connection_type)
        self._down_since = None
        self._auth_tried = False
        if self.state is ClientState.DISCONNECTING:
            return
        resumed = self._resumable
        self._resumable = True
        self._become(ClientState.CONNECTED, resumed=resumed)
        reconnect = reconnect_of(reply.get("advice"))
        if reconnect is Reconnect.NONE:
            self.end(ServerError("the server ended the session", reply))
        elif reconnect is Reconnect.HANDSHAKE:
            self._rehandshake(None)
        else:
            self._backoff.reset()
            self._fruitless = 0
            self._due(Step.CONNECT, max(self.advice.interval, self._idle_delay(now)))

    def connect_failed(self, error: Exception, now: float) -> None:
        """Take a connect that was refused, or that the network or the HTTP swallowed."""
        if self.state is ClientState.DISCONNECTING:
            return
        if isinstance(error, ServerError):
            self._connect_refused(error, now)
        elif self._authenticate(error, Step.CONNECT):
            return
        elif authentication_failed(error):
            self.end(as_authentication_error(error))
        else:
            self._connect_lost(error, now)

    def _connect_refused(self, error: ServerError, now: float) -> None:
        known = self.advice.reconnect
        self.advice = self.advice.merge(error.advice)
        advised = reconnect_of(error.advice)
        step = Step.CONNECT if advised in (None, Reconnect.RETRY) else Step.HANDSHAKE
        if self._authenticate(error, step):
            return
        if advised is None:
            advised = Reconnect.HANDSHAKE if unknown_client(error) else known
        if advised is Reconnect.NONE:
            self.end(error)
        elif advised is Reconnect.HANDSHAKE:
            self._rehandshake(error)
        else:
            self._retry_connect(error, now)

    def _connect_lost(self, error: Exception, now: float) -> None:
        resuming = self.state is ClientState.UNCONNECTED
        self._doubt(error)
        if self.connection_type is not None:
            self.connection_type = self.negotiation.choose(self._listed, self.connection_type)
        if resuming and isinstance(error, TransportTimeoutError):
            # A live server answers a resuming connect at once. Faye does not while it still
            # holds the one of the dead link; a new session is the way out.
            self._rehandshake(error)
        else:
            self._retry_connect(error, now)

    def authenticated(self) -> None:
        """Go on with new credentials, if it was the want of them that stopped the cycle."""
        if not self.awaits_credentials:
            return
        self.awaits_credentials = False
        if self.state is ClientState.UNCONNECTED and self._step_after_auth is Step.HANDSHAKE:
            self._become(ClientState.REHANDSHAKING)
        self._due(self._step_after_auth, 0.0)

    # -- decisions -------------------------------------------------------------------------

    def _authenticate(self, error: Exception, step: Step) -> bool:
        """Ask for new credentials if they might help. Tells whether that settles the matter."""
        if not (self._authenticates and authentication_failed(error)):
            return False
        if self._auth_tried and not self.outdated:
            self.end(as_authentication_error(error))
            return True
        self._auth_tried = True
        self._step_after_auth = step
        self.awaits_credentials = True
        if self.state not in (ClientState.HANDSHAKING, ClientState.REHANDSHAKING):
            self._become(ClientState.UNCONNECTED, error)
        if self.outdated:
            self.authenticated()
        else:
            self.outcomes.append(Unauthorized(error))
        return True

    def _rehandshake(self, error: Exception | None) -> None:
        """Seek a new session: at once, or with growing delays where that does not help.

        A server that advises a handshake on every reply (Faye does for a 301) must not make
        the client spin: only a connect that leads nowhere else proves a handshake useful.
        """
        delay = self.advice.interval
        if self._fruitless:
            delay = max(delay, self._backoff.next_delay())
        self._fruitless += 1
        self._become(ClientState.REHANDSHAKING, error)
        self._due(Step.HANDSHAKE, delay)

    def _retry_connect(self, error: Exception, now: float) -> None:
        """Try to resume the session, unless the server must have forgotten it by then.

        ``advice.maxInterval`` says when that is (BayeuxClient.java, nextConnectExceedsMaxInterval).
        """
        delay = self.advice.interval + self._backoff.next_delay()
        if self._down_since is None:
            self._down_since = now
        if self.advice.max_interval is not None:
            lifetime = self.advice.timeout + self.advice.interval + self.advice.max_interval
            if now - self._down_since + delay > lifetime:
                self._rehandshake(error)
                return
        self._become(ClientState.UNCONNECTED, error)
        self._due(Step.CONNECT, delay)

    def _idle_delay(self, now: float) -> float:
        """Slow down where a server answers connects at once, with nothing, without end."""
        at_once = now - self._connect_sent_at < _AT_ONCE
        idle = self._connect_held and self._events == 0 and at_once
        self._idle = self._idle + 1 if idle else 0
        excess = min(self._idle - _TOLERATED, 10)
        return 0.05 * 2.0**excess if excess > 0 else 0.0

    def _doubt(self, error: Exception) -> None:
        """Let the negotiation know of a failure, unless the network alone is to blame."""
        answered = isinstance(error, TransportTimeoutError | TransportConnectionClosed) or (
            isinstance(error, TransportError) and error.http_status is not None
        )
        if answered and self.connection_type is not None:
            self.negotiation.failed(self.connection_type, unsupported=unsupported(error))

    def _preferred(self) -> str:
        return ", ".join(t.value for t in self.negotiation.preferences)

    def _due(self, step: Step, delay: float) -> None:
        self.outcomes.append(Due(step, delay))

    def _become(
        self, state: ClientState, error: Exception | None = None, *, resumed: bool = False
    ) -> None:
        if state is self.state is ClientState.CONNECTED:
            return
        self.state = follow(self.state, state)
        change = StateChange(state, self.client_id, self.connection_type, resumed, error)
        self.outcomes.append(Changed(change))

    def end(self, error: Exception | None) -> None:
        """Be over: nothing is due any more."""
        if not self.over:
            self.over = True
            self.error = error
            if self.state is not ClientState.DISCONNECTED:
                self._become(ClientState.DISCONNECTED, error)


def _chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error
