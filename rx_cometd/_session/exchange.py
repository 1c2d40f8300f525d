"""Exchanges: payloads out in their lanes, payloads in to the protocol and the observers."""

from __future__ import annotations

import asyncio
import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from rx_cometd._protocol.raw_data import complete
from rx_cometd._protocol.requests import Kind
from rx_cometd._session.deadlines import Deadline, Deadlines
from rx_cometd._session.lanes import Lanes
from rx_cometd._session.wire import Wire, is_too_large
from rx_cometd._transports import LEAST_PROGRESS
from rx_cometd.connection_types import ConnectionType
from rx_cometd.exceptions import TransportConnectionClosed, TransportTimeoutError
from rx_cometd.states import ClientState

if TYPE_CHECKING:
    from collections.abc import Callable

    from rx_cometd._flow.dispatch import Dispatch
    from rx_cometd._protocol.outcomes import Outgoing
    from rx_cometd._protocol.protocol import Protocol
    from rx_cometd._session.listeners import Exchange
    from rx_cometd._session.settings import Settings
    from rx_cometd._transports.departing import Departure
    from rx_cometd.exceptions import ProtocolError, TransportError
    from rx_cometd.extension import Payload
    from rx_cometd.messages import Event, Message
    from rx_cometd.statistics import Counters

__all__ = ["Exchanges"]

_ID: Final = itemgetter("id")


class Exchanges:
    """What a session sends and receives.

    Args:
        settings: The client's.
        protocol: Told of what came, and of what failed.
        dispatch: Given the event messages.
        counters: Where traffic is counted.
        act: Called when the protocol may have something to say.
    """

    def __init__(
        self,
        settings: Settings,
        protocol: Protocol,
        dispatch: Dispatch,
        counters: Counters,
        act: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._protocol = protocol
        self._dispatch = dispatch
        self._counters = counters
        self._act = act
        self._wire = Wire(settings, self, counters)
        self.lanes = Lanes(self._send, self._gather, self._broken_off)
        self._deadlines = Deadlines(self._expired, protocol.awaits_any)
        self._stopped = False
        #: Set once nothing is under way, if that is waited for.
        self._idle: asyncio.Future[None] | None = None

    # -- sending -------------------------------------------------------------------------------

    def _gather(self) -> None:
        """Put what was asked for."""
        for outgoing in self._protocol.take():
            self.lanes.put(outgoing)
        if self._protocol.has_outcomes:
            self._act()

    async def _send(self, outgoing: Outgoing) -> None:
        """Send a payload; what is too late for its session travels in the next one."""
        connection_type = self._protocol.connection_type
        if connection_type is None:
            return
        exchange = _requests_in(outgoing)
        if self._protocol.is_stale(outgoing):
            self._protocol.postpone(exchange, self._loop.time())
            self._act()
            return
        try:
            await self._wire.send(connection_type, outgoing.messages, exchange, outgoing.timeout)
        except Exception as error:
            self.failed(exchange, error)

    def _broken_off(self, outgoing: Outgoing, error: Exception) -> None:
        """Take note of a payload that nobody sends any more."""
        self.failed(_requests_in(outgoing), error)

    def leaving(self, messages: list[Message], exchange: Exchange) -> list[Message]:
        """Take note of messages that go out now; give those that were not cancelled."""
        return self._protocol.leaving(messages, exchange)

    def departing(self, exchange: Exchange, timeout: float, departure: Departure | None) -> None:
        """Expect replies to what is written to the WebSocket now."""
        self._deadlines.add(exchange, timeout, departure=departure)

    def _expired(self, deadline: Deadline) -> None:
        """Act on replies that are late over the WebSocket.

        A silent socket is dead. Where something was heard within ``max_network_delay`` only the
        requests fail, and a connect is given, once, until the socket has been silent for that
        long (a big batch may clog the link). So whatever was heard before an outage, it is
        found within ``advice.timeout + max_network_delay``.
        """
        waiting = self._protocol.waiting(deadline.request_ids)
        held = tuple(request.id for request in waiting if self._wire.holds(request.id))
        if held:  # the reply is here, and an extension has its own time
            self._deadlines.add(held, self._settings.max_network_delay)
        late = [r for r in waiting if not r.acknowledged and r.id not in held]
        if not late:
            return
        if self._await_departing(deadline) or self._await_arriving(deadline):
            return
        error = TransportTimeoutError("the server did not reply in time")
        heard_for = self._wire.last_received + self._settings.max_network_delay - time.monotonic()
        if heard_for <= 0 or deadline.extended:
            self._wire.drop()
            self._protocol.lose(error, self._loop.time())
        elif late[0].kind in (Kind.HANDSHAKE, Kind.CONNECT):
            self._deadlines.add(deadline.request_ids, heard_for, extended=True)
        else:
            self._protocol.fail([request.id for request in late], error, self._loop.time())
        self._act()

    def _await_departing(self, deadline: Deadline) -> bool:
        """Restart the time limit while the payload is leaving, and once when it has left.

        It has to make progress: a kilobyte within each such time.
        """
        departures, before = self._wire.departures, deadline.departure
        if departures is None or before is None:
            return False
        now = departures.look(before)
        if not now.progressed_from(before):
            return False
        self._deadlines.add(
            deadline.request_ids,
            deadline.timeout,
            extended=deadline.extended,
            arrived=deadline.arrived,
            departure=None if now.is_gone else now,
        )
        return True

    def _await_arriving(self, deadline: Deadline) -> bool:
        """Give more time while a payload is arriving, for replies come behind it.

        It has to make progress: a kilobyte within each ``max_network_delay``, the last bytes
        within the last one.
        """
        arriving = self._wire.arriving
        if arriving is None:
            return False
        payloads, size = deadline.arrived
        least = LEAST_PROGRESS + (size if payloads == arriving.payloads else 0)
        left = arriving.at + self._settings.max_network_delay - time.monotonic()
        if arriving.size < least or left <= 0:
            return False
        self._deadlines.add(
            deadline.request_ids, left, extended=deadline.extended, arrived=arriving[:2]
        )
        return True

    def drop_websocket(self) -> None:
        """Drop the WebSocket: another transport is used from now on."""
        self._wire.drop()

    def begin_anew(self, error: TransportError) -> None:
        """Give up what is under way of handshakes and connects, and the WebSocket.

        Args:
            error: What those fail with who wait for it.
        """
        now = self._loop.time()
        if self._protocol.state not in (ClientState.CONNECTING, ClientState.CONNECTED):
            self.lanes.abandon_attempt()
        if self._protocol.connection_type is ConnectionType.WEBSOCKET:
            self._wire.drop()
            self._protocol.lose(error, now)
        else:
            # The response to a connect that is held brings its messages all the same.
            waiting = self._protocol.requests()
            attempts = [r.id for r in waiting if r.kind in (Kind.HANDSHAKE, Kind.CONNECT)]
            self._protocol.fail(attempts, error, now)

    async def renew_upgrade(self) -> None:
        """Have the WebSocket reopened where its upgrade carried the old credentials.

        What is under way on it is waited for first, for ``max_network_delay`` at most: nobody
        knows whether the server took it.
        """
        if not self._wire.upgraded_with_credentials:
            return
        if self._protocol.awaits_replies:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=self._settings.max_network_delay)
            self._idle = None
        if self._protocol.connection_type is ConnectionType.WEBSOCKET:
            self._wire.drop()
            closed = TransportConnectionClosed("the WebSocket is reopened, with new credentials")
            self._protocol.lose(closed, self._loop.time())

    def _note_idle(self) -> None:
        idle = self._idle
        if idle is not None and not idle.done() and not self._protocol.awaits_replies:
            idle.set_result(None)

    # -- receiving -----------------------------------------------------------------------------

    def received_events(self, decoded: Any) -> bool:
        """Take a payload of nothing but events, while only observers want them.

        What else `received` sees to needs a reply, or a payload that passed extensions.
        """
        if not self._dispatch.knows(decoded) or self._stopped or self._protocol.heeds_events:
            return False
        counters = self._counters
        if counters.channels is None:  # as `events_came` does, without a call for each payload
            counters.last_event = counters.last_heard
        else:
            counters.events_came(decoded)
        self._dispatch.deliver(decoded)
        return True

    def received_replies(self, decoded: Any, exchange: Exchange) -> bool:
        """Take a payload of nothing but replies to publishes that the server took."""
        if self._stopped or not self._protocol.published(decoded):
            return False
        if exchange:
            self._protocol.finish(exchange, self._loop.time())
        self._act()
        self._note_idle()
        return True

    def received(
        self, messages: list[Message], exchange: Exchange, payload: Payload | None
    ) -> None:
        """Take messages: replies to the protocol, events to the observers."""
        if self._stopped:
            return
        if self._settings.codec.leaves_raw:
            answered = self._protocol.awaits_answers
            complete(m for m in messages if answered or "successful" in m)
        handshaking = self._protocol.client_id is None
        retries = () if payload is None else payload.retries
        events = self._protocol.receive(messages, self._loop.time(), exchange, retries)
        if handshaking:
            self._act()  # buffers have to know the new session when its first messages come
        if self._dispatch.meta_observed:
            self._dispatch.deliver_meta(messages)
        if events:
            self._counters.events_came(events)
            processed = None if payload is None else payload.processed_callbacks()
            self._dispatch.deliver(cast("list[Event]", events), processed)
        if exchange:
            self._protocol.finish(exchange, self._loop.time())
        if payload is not None:
            payload.delivered()
        self._act()
        self._note_idle()

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Take the failure of requests."""
        if is_too_large(error):
            self._wire.too_large()
        self._protocol.fail(exchange, error, self._loop.time())
        self._act()
        self._note_idle()

    def unreadable(self, error: ProtocolError) -> None:
        """Take note that what came over the WebSocket cannot be read."""
        self._protocol.unreadable(error, self._loop.time())
        self._act()

    def lost(self, error: Exception) -> None:
        """Take the loss of the WebSocket."""
        if is_too_large(error):
            self._wire.too_large()
        self._protocol.lose(error, self._loop.time())
        self._act()
        self._note_idle()

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> None:
        """Take and expect nothing any more."""
        self._stopped = True
        self._deadlines.clear()

    async def close(self) -> None:
        """Cancel what is under way, and close the link."""
        await self.lanes.close()
        await self._wire.close()


def _requests_in(outgoing: Outgoing) -> Exchange:
    return tuple(map(_ID, outgoing.messages))
