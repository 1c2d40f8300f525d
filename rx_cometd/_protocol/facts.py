"""What is known of the session, for those who ask: nothing here changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rx_cometd._protocol.requests import Kind, Request, Requests

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rx_cometd._protocol.advice import Advice
    from rx_cometd._protocol.connection_cycle import ConnectionCycle
    from rx_cometd._protocol.outcomes import Step
    from rx_cometd._protocol.subscriptions import Subscriptions
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.states import ClientState

__all__ = ["Facts"]


class Facts:
    """The facts of a session.

    Args:
        cycle: Knows the state.
        requests: The requests that wait.
        subscriptions: The channels.
    """

    def __init__(
        self, cycle: ConnectionCycle, requests: Requests, subscriptions: Subscriptions
    ) -> None:
        self._cycle = cycle
        self._requests = requests
        self._subscriptions = subscriptions

    @property
    def state(self) -> ClientState:
        """Where the session is in its life."""
        return self._cycle.state

    @property
    def over(self) -> bool:
        """Whether the session is over."""
        return self._cycle.over

    @property
    def due(self) -> Step | None:
        """The step that is due, ``None`` while one is under way."""
        return self._cycle.due

    @property
    def client_id(self) -> str | None:
        """The server's name for the session, ``None`` while there is none."""
        return self._cycle.client_id

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use, ``None`` before the first is tried."""
        return self._cycle.negotiation.current

    @property
    def acknowledges(self) -> bool:
        """Whether both sides agreed on acknowledged messages in this session."""
        return self._cycle.acknowledges

    @property
    def advice(self) -> Advice:
        """What the server advised."""
        return self._cycle.advice

    @property
    def first_event_at(self) -> float | None:
        """When the first event message came since the last connect went out, if any did."""
        return self._cycle.first_event_at

    @property
    def awaits_answers(self) -> bool:
        """Whether a call waits for its answer."""
        return bool(self._requests.calls)

    @property
    def awaits_replies(self) -> bool:
        """Whether replies are to come to anything sent but handshakes and connects."""
        return any(
            request.kind not in (Kind.HANDSHAKE, Kind.CONNECT) and not request.acknowledged
            for request in self._requests.sent()
        )

    def awaits_any(self, request_ids: Iterable[str]) -> bool:
        """Tell whether any of some requests still waits to be sent, or answered."""
        return self._requests.has_any(request_ids)

    def requests(self) -> list[Request]:
        """Give the requests that were not answered yet, sent or not, in order."""
        return self._requests.all()

    def waiting(self, request_ids: Iterable[str]) -> list[Request]:
        """Give those of some requests that were sent, and still wait for their replies."""
        return self._requests.waiting(request_ids)

    def subscribed(self) -> frozenset[str]:
        """Give the channels that the server has confirmed."""
        return self._subscriptions.confirmed()

    def desired(self) -> list[str]:
        """Give the channels that are desired."""
        return self._subscriptions.desired()

    def is_subscribed(self, channel: str) -> bool:
        """Tell whether the server has confirmed a channel."""
        return self._subscriptions.is_confirmed(channel)

    def is_known(self, channel: str) -> bool:
        """Tell whether anything is desired of a channel, or asked of the server about it."""
        return channel in self._subscriptions
