"""Handshakes: how they are made, and what their replies and failures lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rx_cometd import messages as m
from rx_cometd._protocol.advice import Reconnect, reconnect_of
from rx_cometd._protocol.outcomes import Step
from rx_cometd._protocol.refusals import (
    Policy,
    as_authentication_error,
    asked_delay,
    authentication_failed,
    is_final,
    reached_server,
    unsupported,
)
from rx_cometd.exceptions import ProtocolError, ServerError
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.reauthentication import Reauthentication
    from rx_cometd.messages import Message

__all__ = ["Handshakes"]


class Handshakes:
    """Makes handshakes, and takes what comes of them.

    Args:
        cycle: Told what is due then.
        reauthentication: Told of failures that may be for want of credentials.
        policy: Decides which refusals are tried again.
        timeout: Seconds that the reply may take.
        short_timeout: The same, where another transport is still to be tried.
    """

    def __init__(
        self,
        cycle: ConnectionCycle,
        reauthentication: Reauthentication,
        policy: Policy,
        timeout: float,
        short_timeout: float,
    ) -> None:
        self._cycle = cycle
        self._reauthentication = reauthentication
        self._policy = policy
        self._timeout = timeout
        self._short_timeout = short_timeout
        self._acks_asked = False

    def make(self, fields: Mapping[str, Any]) -> tuple[Message, float]:
        """Make a handshake, with the user's fields below the protocol's own.

        Gives as well how many seconds its reply may take: less where another transport is still to
        be tried within the same time.
        """
        negotiation = self._cycle.negotiation
        negotiation.begin()
        self._cycle.forget_session()
        self._acks_asked = False
        message = m.handshake(fields, [t.value for t in negotiation.preferences])
        return message, self._short_timeout if negotiation.has_alternative else self._timeout

    def leaves(self, message: Message) -> None:
        """Look at a handshake as it goes out, past the extensions: whether it asks for acks."""
        ext: object = message.get("ext")
        self._acks_asked = isinstance(ext, dict) and bool(cast("dict[str, object]", ext).get("ack"))

    def succeeded(self, reply: Message, now: float) -> bool:
        """Take a successful reply. Tells whether there is a session now."""
        cycle = self._cycle
        client_id: object = reply.get("clientId")
        if not isinstance(client_id, str) or not client_id:
            self.failed(ProtocolError("a handshake reply without a clientId"), now)
            return False
        listed: object = reply.get("supportedConnectionTypes")
        if not cycle.negotiation.choose(listed):
            cycle.end(cycle.negotiation.nothing_in_common(listed))
            return False
        cycle.client_id = client_id
        cycle.advice = cycle.advice.merge(reply.get("advice"))
        if reconnect_of(reply.get("advice")) is Reconnect.NONE:
            error = ServerError("the server advised against connecting", reply)
            if self._policy.transient(error, default=False):
                self._again(error, now)
            else:
                cycle.end(error)
            return False
        cycle.pace.link_up()
        cycle.acknowledges = self._acks_asked and _acknowledges(reply)
        cycle.let_through(connect=False)
        cycle.become(ClientState.CONNECTING)
        self._connect_when_delivered(reply)
        return True

    def _connect_when_delivered(self, reply: Message) -> None:
        """Have the connect due, after the messages that the handshake delivers.

        The server announces them as ``x-messages`` (BayeuxClient.java, processHandshake).
        """
        announced: object = reply.get("x-messages")
        if isinstance(announced, int) and announced > 0:
            self._cycle.await_messages(announced, self._timeout)
        else:
            self._cycle.schedule(Step.CONNECT, self._cycle.advice.interval)

    def failed(self, error: Exception, now: float, *, outdated: bool = False) -> None:
        """Take a handshake that was refused, or lost, or could not even be made.

        Args:
            error: What happened.
            now: The time, in seconds.
            outdated: Whether it went out before the credentials were last renewed.
        """
        if self._cycle.over or self._cycle.ended_by_extension(error):
            return
        step = Step.HANDSHAKE
        if self._reauthentication.wants(error, step, then=step, outdated=outdated):
            return
        if isinstance(error, ServerError):
            self._refused(error, now)
        elif authentication_failed(error):
            self._cycle.end(as_authentication_error(error))
        else:
            self._lost(error, now)

    def _refused(self, error: ServerError, now: float) -> None:
        self._cycle.advice = self._cycle.advice.merge(error.advice)
        advised = reconnect_of(error.advice)
        # Without advice, and without new credentials, it is no use to try again.
        final = advised is Reconnect.NONE or (advised is None and authentication_failed(error))
        if self._policy.transient(error, default=not final):
            self._again(error, now)
        else:
            self._cycle.end(error)

    def _lost(self, error: Exception, now: float) -> None:
        cycle = self._cycle
        negotiation = cycle.negotiation
        if is_final(error) and not negotiation.proven:
            cycle.end(error)
            return
        if reached_server(error):
            refused = unsupported(error)
            negotiation.failed(unsupported=refused, refused=refused)
        upcoming = negotiation.upcoming()
        if upcoming is None:
            cycle.end(negotiation.nothing_left(error))
        elif negotiation.falls_back(upcoming):
            delay = cycle.pace.as_asked(cycle.advice, now, asked_delay(error))
            cycle.attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)
        else:
            self._again(error, now)

    def _again(self, error: Exception, now: float) -> None:
        delay = self._cycle.pace.after_failure(self._cycle.advice, now, asked=asked_delay(error))
        self._cycle.attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, delay, error)


def _acknowledges(reply: Message) -> bool:
    """Tell whether a handshake reply grants acknowledged messages: ``true``, or ``enabled``."""
    ext: object = reply.get("ext")
    granted: object = cast("dict[str, object]", ext).get("ack") if isinstance(ext, dict) else None
    if isinstance(granted, dict):
        return cast("dict[str, object]", granted).get("enabled") is True
    return granted is True
