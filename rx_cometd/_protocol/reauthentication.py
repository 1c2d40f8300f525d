"""What waits for new credentials, the cycle or ordinary requests, and goes on with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rx_cometd._protocol.advice import Reconnect, reconnect_of
from rx_cometd._protocol.outcomes import Step
from rx_cometd._protocol.refusals import as_authentication_error
from rx_cometd._protocol.requests import Kind
from rx_cometd.exceptions import ServerError
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.credentials import Credentials
    from rx_cometd._protocol.outbox import Outbox
    from rx_cometd._protocol.requests import Request, Requests

__all__ = ["Reauthentication"]

#: How often credentials are renewed in a row without a connect that succeeds.
_RENEWALS: Final = 3


class Reauthentication:
    """Has the cycle, and requests, wait for new credentials, and go on with them.

    Args:
        cycle: The cycle.
        credentials: Asked for new ones.
        requests: The requests that wait.
        outbox: Takes what is sent again.
    """

    def __init__(
        self,
        cycle: ConnectionCycle,
        credentials: Credentials,
        requests: Requests,
        outbox: Outbox,
    ) -> None:
        self._cycle = cycle
        self._credentials = credentials
        self._requests = requests
        self._outbox = outbox
        #: Whether a refusal said that new credentials want a new session.
        self._new_session_needed = False
        #: What credentials were renewed for, to no avail yet.
        self._renewed_for: set[Step] = set()
        self._renewals = 0
        self._then = Step.HANDSHAKE

    def wants(self, error: Exception, failed: Step, *, then: Step, outdated: bool) -> bool:
        """Ask for new credentials if they might help. Tells whether that settles the matter.

        Those that were renewed for what fails again are no good. After a failure of another kind
        they may have expired; so may those that served a handshake, before its connect.

        Args:
            error: What happened.
            failed: What failed.
            then: What to do with new credentials.
            outdated: Whether there are newer ones already.
        """
        cycle = self._cycle
        if not self._credentials.might_help(error):
            self._renewed_for.clear()
            return False
        if not outdated and (failed in self._renewed_for or self._renewals >= _RENEWALS):
            cycle.end(as_authentication_error(error))
            return True
        self._renewals += not outdated
        self._renewed_for.add(failed)
        self._then = then
        cycle.awaits_credentials = True
        if cycle.state not in (ClientState.HANDSHAKING, ClientState.REHANDSHAKING):
            cycle.become(ClientState.UNCONNECTED, error)
        if outdated:
            self._go_on()
        else:
            self._credentials.ask(error)
        return True

    def served(self) -> None:
        """Note that a connect succeeded with the credentials that there are."""
        self._renewed_for.clear()
        self._renewals = 0

    def holds(self, request: Request, error: Exception) -> bool:
        """Keep an ordinary request for new credentials, if they might help it."""
        renewable = self._credentials.might_help(error) and not self._cycle.over
        if request.retried or not renewable:
            return False
        if self._credentials.are_newer_than(request):
            self._outbox.resend(request)
        else:
            self._credentials.hold(request)
            self._credentials.ask(error)
            if isinstance(error, ServerError):
                advised = reconnect_of(error.advice)
                self._new_session_needed |= advised is Reconnect.HANDSHAKE
        return True

    def succeeded(self) -> None:
        """Send again, once, what failed for want of the credentials that are there now."""
        for request in self._credentials.renewed():
            if request.id in self._requests:
                self._outbox.resend(request)
        if self._new_session_needed:
            self._new_session_needed = False
            self._renew_session()
        self._go_on()

    def failed(self) -> list[Request]:
        """Take note that there are no new ones. Gives the requests that waited for them."""
        self._new_session_needed = False
        return [r for r in self._credentials.unavailable() if r.id in self._requests]

    def _go_on(self) -> None:
        """Have the cycle go on, if it was the want of credentials that stopped it."""
        cycle = self._cycle
        if not cycle.awaits_credentials:
            return
        cycle.awaits_credentials = False
        if cycle.state is ClientState.UNCONNECTED and self._then is Step.HANDSHAKE:
            cycle.attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, 0.0)
        else:
            cycle.schedule(self._then, 0.0)

    def _renew_session(self) -> None:
        """Seek a new session: the server says that only that makes new credentials count."""
        if self._cycle.awaits_credentials:
            self._then = Step.HANDSHAKE
        elif self._cycle.is_in_session:
            self._cycle.attempt(ClientState.REHANDSHAKING, Step.HANDSHAKE, 0.0)
            self._requests.forget(Kind.CONNECT, Kind.HANDSHAKE)
