"""What is to be sent: payloads that are made up, and what waits for the next ordinary one.

Ordinary requests are made up into a payload as late as can be: what was asked for and taken back
within one turn of the event loop cancels out, and all the rest travels together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rx_cometd._protocol.outcomes import Lane, Outgoing
from rx_cometd._protocol.requests import Kind, Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.credentials import Credentials
    from rx_cometd._protocol.subscriptions import Reconciliation
    from rx_cometd.messages import Message

__all__ = ["Outbox"]


_ORDINARY: Final = Lane.ORDINARY
_HANDSHAKE: Final = Kind.HANDSHAKE
_RECONCILING = (Kind.SUBSCRIBE, Kind.UNSUBSCRIBE)


class Outbox:
    """Makes up payloads.

    Args:
        cycle: Knows the identifier of the session.
        reconciliation: Makes the subscribes and unsubscribes.
        credentials: What is sent is sent with those of now.
        timeout: Seconds that a reply may take, unless said otherwise.
    """

    def __init__(
        self,
        cycle: ConnectionCycle,
        reconciliation: Reconciliation,
        credentials: Credentials,
        timeout: float,
    ) -> None:
        self._cycle = cycle
        self._reconciliation = reconciliation
        self._credentials = credentials
        self._timeout = timeout
        self._payloads: list[Outgoing] = []
        #: What waits for the next ordinary payload, in order: requests, and channels to reconcile.
        self.ordinary: list[Request | str] = []

    def add(self, *entries: Request | str) -> None:
        """Have requests, or what a channel needs by then, travel in the next ordinary payload."""
        self.ordinary += entries

    def remove(self, request: Request) -> None:
        """Forget a request that waits, if it does: it was cancelled."""
        if request in self.ordinary:
            self.ordinary.remove(request)

    def resend(self, request: Request) -> None:
        """Have a request travel once more."""
        request.retried = True
        request.sent = False
        self.ordinary.append(request)

    def postpone(self, request: Request) -> None:
        """Have a request that was made up, but not sent, travel later."""
        request.sent = False
        self.ordinary.append(request)

    def put_ordinary(self) -> None:
        """Make up the next ordinary payload."""
        entries, self.ordinary = self.ordinary, []
        ask = self._reconciliation.ask
        requests = [ask(entry) if isinstance(entry, str) else entry for entry in entries]
        self.put(_ORDINARY, requests)

    def put_resubscribe(self) -> None:
        """Make up the payload that asks a new session for all channels that are desired.

        What still waits to be asked of the old one is asked with it.
        """
        requests = self._reconciliation.ask_all()
        self.ordinary = [
            entry
            for entry in self.ordinary
            if isinstance(entry, str) or entry.kind not in _RECONCILING
        ]
        self.put(Lane.RESUBSCRIBE, requests)

    def put(
        self, lane: Lane, requests: Iterable[Request | None], timeout: float | None = None
    ) -> None:
        """Make up a payload of requests; ``None`` stands for what need not be asked."""
        messages: list[Message] = []
        generation = self._credentials.generation
        client_id = self._cycle.client_id or ""
        for request in requests:
            if request is None:
                continue
            request.credentials = generation
            request.sent = True
            if request.kind is not _HANDSHAKE:
                request.message["clientId"] = client_id
            # Extensions may change what goes out; what is sent again begins as it was.
            messages.append(request.message.copy())
        if messages:
            seconds = self._timeout if timeout is None else timeout
            self._payloads.append(Outgoing(lane, messages, seconds))

    def take(self) -> list[Outgoing]:
        """Take and clear the payloads; after the end of the session there are none."""
        if not self._payloads:
            return []
        payloads, self._payloads = self._payloads, []
        return [] if self._cycle.over else payloads
