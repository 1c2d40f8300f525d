"""Connects: how they are made, and what their replies and failures lead to.

With them goes what else the server may say of a session: that it is ended, or unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rx_cometd import messages as m
from rx_cometd._protocol.advice import Reconnect, reconnect_of
from rx_cometd._protocol.outcomes import Step
from rx_cometd._protocol.refusals import (
    Policy,
    as_authentication_error,
    asked_delay,
    authentication_failed,
    reached_server,
    unknown_client,
    unsupported,
)
from rx_cometd.exceptions import ServerError, TransportTimeoutError
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.reauthentication import Reauthentication
    from rx_cometd.messages import Message

__all__ = ["Connects"]

#: Seconds that what else the server says of its disconnect may take: it is on its way already.
_LAST_WORDS: Final = 0.1


class Connects:
    """Makes connects, and takes what comes of them.

    Args:
        cycle: Told what is due then.
        reauthentication: Told of failures that may be for want of credentials.
        policy: Decides which refusals are tried again.
        timeout: Seconds that a reply may be late.
        resume_timeout: Seconds that a connect which resumes a session may take.
    """

    def __init__(
        self,
        cycle: ConnectionCycle,
        reauthentication: Reauthentication,
        policy: Policy,
        timeout: float,
        resume_timeout: float,
    ) -> None:
        self._cycle = cycle
        self._reauthentication = reauthentication
        self._policy = policy
        self._timeout = timeout
        self._resume_timeout = resume_timeout

    def make(self, now: float) -> tuple[Message, float]:
        """Make a connect, and say how many seconds its reply may take.

        The first of a session, and the first after a failure, ask for ``timeout: 0``: the
        server answers at once, and the client knows that the link is up.
        """
        cycle = self._cycle
        held = cycle.state is ClientState.CONNECTED
        cycle.await_no_messages()
        cycle.pace.sent(now, held=held)
        message = m.connect(str(cycle.connection_type), held=held)
        if held:
            return message, cycle.advice.timeout + self._timeout
        resumes = cycle.state is ClientState.UNCONNECTED
        return message, self._resume_timeout if resumes else self._timeout

    def succeeded(self, reply: Message, now: float) -> None:
        """Take a successful reply; its advice is obeyed all the same (spec, "Advice")."""
        cycle = self._cycle
        if cycle.is_leaving:
            return
        cycle.advice = cycle.advice.merge(reply.get("advice"))
        cycle.negotiation.worked()
        cycle.pace.link_up()
        cycle.pace.connected()
        self._reauthentication.served()
        cycle.let_through(connect=True)
        resumed = cycle.resumable
        cycle.resumable = True
        cycle.become(ClientState.CONNECTED, resumed=resumed)
        reconnect = reconnect_of(reply.get("advice"))
        if reconnect is Reconnect.NONE:
            self._end_or_renew(ServerError("the server ended the session", reply), now)
        elif reconnect is Reconnect.HANDSHAKE:
            cycle.seek_session(None, now)
        else:
            cycle.schedule(Step.CONNECT, cycle.pace.after_connect(cycle.advice, now))

    def failed(self, error: Exception, now: float, *, outdated: bool = False) -> None:
        """Take a connect that was refused, or that the network or the HTTP swallowed.

        Args:
            error: What happened.
            now: The time, in seconds.
            outdated: Whether it went out before the credentials were last renewed.
        """
        if self._cycle.is_leaving or self._cycle.ended_by_extension(error):
            return
        step = Step.CONNECT
        if isinstance(error, ServerError):
            self._refused(error, now, outdated=outdated)
        elif self._reauthentication.wants(error, step, then=step, outdated=outdated):
            return
        elif authentication_failed(error):
            self._cycle.end(as_authentication_error(error))
        else:
            self._lost(error, now)

    def _refused(self, error: ServerError, now: float, *, outdated: bool) -> None:
        cycle = self._cycle
        known = cycle.advice.reconnect
        cycle.advice = cycle.advice.merge(error.advice)
        advised = reconnect_of(error.advice)
        then = Step.CONNECT if advised in (None, Reconnect.RETRY) else Step.HANDSHAKE
        if self._reauthentication.wants(error, Step.CONNECT, then=then, outdated=outdated):
            return
        if advised is None and authentication_failed(error):
            advised = Reconnect.NONE
        elif advised is None:
            advised = Reconnect.HANDSHAKE if unknown_client(error) else known
        if not self._policy.transient(error, default=advised is not Reconnect.NONE):
            cycle.end(error)
        elif advised in (Reconnect.HANDSHAKE, Reconnect.NONE):
            cycle.seek_session(error, now)
        else:
            self._retry(error, now)

    def _lost(self, error: Exception, now: float) -> None:
        cycle = self._cycle
        resuming = cycle.state is ClientState.UNCONNECTED
        if reached_server(error):
            # The handshake came through: a 404 now may be a passing trouble (a redeployment).
            cycle.negotiation.failed(unsupported=False, refused=unsupported(error))
            cycle.negotiation.choose_again()
        if resuming and isinstance(error, TransportTimeoutError) and not cycle.acknowledges:
            # A live server answers a resuming connect at once. Faye does not while it still
            # holds the one of the dead link; a new session is the way out. Where messages are
            # acknowledged, the session holds those that are missing: it is not thrown away.
            cycle.seek_session(error, now)
        else:
            self._retry(error, now)

    def _retry(self, error: Exception, now: float) -> None:
        """Try to resume the session, unless the server must have forgotten it by now."""
        cycle = self._cycle
        delay = cycle.pace.before_resuming(
            cycle.advice, now, acknowledges=cycle.acknowledges, asked=asked_delay(error)
        )
        if delay is None:
            cycle.seek_session(error, now)
        else:
            cycle.attempt(ClientState.UNCONNECTED, Step.CONNECT, delay, error)

    # -- what else the server says of the session ----------------------------------------------

    def disconnected(self, error: ServerError, now: float, *, complete: bool = True) -> None:
        """Take a disconnect that the server sent.

        It is transient where the advice allows to connect again: that which came with the
        disconnect, or what was known before.

        Args:
            error: The disconnect.
            now: The time, in seconds.
            complete: Whether the server has said all of it, or may still say `sent_away`.
        """
        cycle = self._cycle
        if cycle.state is ClientState.DISCONNECTING:
            cycle.end(None)
        elif cycle.due is not Step.HANDSHAKE and not cycle.awaits_credentials:
            advised = reconnect_of(error.advice) or cycle.advice.reconnect
            again = advised in (Reconnect.RETRY, Reconnect.HANDSHAKE)
            wait = 0.0 if complete else _LAST_WORDS
            self._end_or_renew(error, now, default=again, at_least=wait)

    def sent_away(self, error: ServerError) -> None:
        """Take what else the server said of its disconnect: whether to come back."""
        allowed = reconnect_of(error.advice) is not Reconnect.NONE
        seeking = self._cycle.state is ClientState.REHANDSHAKING
        if seeking and not self._policy.transient(error, default=allowed):
            self._cycle.end(error)

    def session_unknown(self, error: ServerError, now: float) -> None:
        """Take note that the server does not know the session, whatever it was asked."""
        if self._cycle.is_in_session and not self._cycle.awaits_credentials:
            self._end_or_renew(error, now, default=True)

    def _end_or_renew(
        self, error: ServerError, now: float, *, default: bool = False, at_least: float = 0.0
    ) -> None:
        if self._policy.transient(error, default=default):
            self._cycle.seek_session(error, now, at_least=at_least)
        else:
            self._cycle.end(error)
