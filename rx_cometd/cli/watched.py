"""What `top` looks at: a client's session, or a relay's metrics."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp

from rx_cometd import (
    ClientInvalidOperation,
    ClientState,
    StateChange,
    TransportError,
    TransportTimeoutError,
)
from rx_cometd.cli.activity import Activity
from rx_cometd.cli.link import LinkReport
from rx_cometd.cli.prometheus import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactivex import abc

    from rx_cometd import Client

__all__ = ["Watched", "WatchedClient", "WatchedMetrics"]

_LOG = 200


class Watched(Protocol):
    """Something whose channels can be looked at.

    Attributes:
        url: Where it is.
        activity: What flows on its channels.
        log: What happened, oldest first.
        events: How much was ever logged.
    """

    url: str
    activity: Activity
    log: deque[str]
    events: int

    def note(self, text: str) -> None:
        """Log something that happened now."""
        ...

    async def refresh(self) -> None:
        """Take in what is not told by itself, and measure."""
        ...

    def facts(self) -> dict[str, Any]:
        """Give what is known of the connection, by name; numbers of seconds are rounded."""
        ...

    async def publish(self, channel: str, data: Any) -> None:
        """Publish, where that is possible.

        Raises:
            CometDError: It is not, or failed.
        """
        ...


class _Log:
    """Holds what happened."""

    def __init__(self) -> None:
        self.log: deque[str] = deque(maxlen=_LOG)
        self.events = 0

    def note(self, text: str) -> None:
        """Log something that happened now."""
        self.log.append(f"{dt.datetime.now().astimezone():%H:%M:%S}  {text}")
        self.events += 1


class WatchedClient(_Log):
    """A client's session, and the channels that it subscribes to.

    Args:
        client: The client; opened and closed by the caller.
        url: Its address, without credentials.
    """

    def __init__(self, client: Client, url: str) -> None:
        super().__init__()
        self.url = url
        self.activity = Activity()
        self._client = client
        self._subscriptions: list[abc.DisposableBase] = []
        self._change: StateChange | None = None
        self._report = LinkReport(lambda text, _style: self.note(text))
        self._resumed = False
        self._session: str | None = None
        self._session_began = self._connecting_since = 0.0
        self._round_trip: float | None = None

    def observe_link(self) -> None:
        """Follow the state of the client until `dispose`."""
        self._subscriptions.append(self._client.state_changes.subscribe(self._changed))

    def observe(self, channels: Sequence[str]) -> None:
        """Subscribe to channels, and count what comes on them until `dispose`."""
        self._subscriptions.extend(map(self._observe, channels))

    def dispose(self) -> None:
        """Count no longer."""
        for subscription in self._subscriptions:
            subscription.dispose()

    def _observe(self, channel: str) -> abc.DisposableBase:
        def failed(error: Exception) -> None:
            self.note(f"{channel}: {error}")

        return self._client.channel(channel).subscribe(self.activity.count, failed)

    def _changed(self, change: StateChange) -> None:
        now = time.monotonic()
        known = self._change
        if change.state is ClientState.CONNECTING:
            self._connecting_since = now
        if change.state is ClientState.CONNECTED:
            self._resumed = change.resumed
            if change.client_id != self._session:
                self._session, self._session_began = change.client_id, now
            if known is not None and known.state is ClientState.CONNECTING:
                self._round_trip = now - self._connecting_since
        self._change = change
        self._report(change)

    async def refresh(self) -> None:
        """Measure, and look at the buffers: those of a glob have a line of its own."""
        self.activity.measure()
        buffers = {n: c for n, c in self._client.channel_statistics().items() if c.buffers}
        for channel in self.activity.channels.values():
            channel.pending = channel.drops = None if buffers else 0
        for name, known in buffers.items():
            channel = self.activity.channel(name)
            channel.pending, channel.drops = known.pending, known.drops

    def facts(self) -> dict[str, Any]:
        """Give what is known of the connection."""
        client, counters = self._client, self._client.statistics()
        kind = client.connection_type
        heard = None if counters.last_seen is None else time.time() - counters.last_seen
        up = client.client_id is not None
        return {
            "state": client.state.value,
            "transport": None if kind is None else kind.value,
            "session": client.client_id,
            "session_age": round(time.monotonic() - self._session_began, 1) if up else None,
            "resumed": self._resumed,
            "reconnects": counters.reconnects,
            "round_trip": None if self._round_trip is None else round(self._round_trip, 4),
            "last_heard": None if heard is None else round(max(0.0, heard), 1),
            "messages_in": counters.messages_in,
            "bytes_in": counters.bytes_in,
            "pending": client.pending_count,
            "drops": counters.drops,
        }

    async def publish(self, channel: str, data: Any) -> None:
        """Publish, and take the time of the round trip.

        Raises:
            CometDError: It failed.
        """
        began = time.monotonic()
        await self._client.publish(channel, data)
        self._round_trip = time.monotonic() - began
        self.note(f"published on {channel}")


class WatchedMetrics(_Log):
    """A relay's ``/metrics``: any figures in Prometheus's text format named ``rx_cometd_...``.

    Those with the label ``channel`` are figures of a channel: pending messages and drops by
    these words in their names (what was ``refused`` is dropped as well), bytes by ``bytes``, and
    other counters (``_total``) are messages, the highest of them.

    Args:
        address: Their address.
        session: Asks for them; closed by the caller.
        url: The address without credentials, to be shown.
    """

    def __init__(self, address: str, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__()
        self.url = url
        self._address = address
        self.activity = Activity()
        self._session = session
        self._facts: dict[str, Any] = {}
        self._up: bool | None = None

    async def refresh(self) -> None:
        """Ask for the figures, and measure. What fails is told once, and asked again.

        Raises:
            TransportError: There was no answer at the first time.
        """
        try:
            async with self._session.get(self._address) as response:
                response.raise_for_status()
                self._take(await response.text())
        except (aiohttp.ClientError, TimeoutError, UnicodeDecodeError) as error:
            text = f"no metrics from {self.url}: {str(error) or 'no answer in time'}"
            if self._up is None:
                kind = TransportTimeoutError if isinstance(error, TimeoutError) else TransportError
                raise kind(text) from error
            if self._up:
                self.note(text)
            self._up = False
            return
        if not self._up:
            self.note(f"metrics from {self.url}")
        self._up = True
        self.activity.measure()

    def _take(self, text: str) -> None:
        facts: dict[str, float] = {}
        figures: dict[tuple[str, str], float] = {}
        for name, labels, value in samples(text):
            short = name.removeprefix("rx_cometd_")
            if "channel" in labels:  # once for each relay that is told of there
                key = (labels["channel"], short)
                figures[key] = figures.get(key, 0) + value
            else:
                facts[short] = facts.get(short, 0) + value
        messages: dict[str, float] = {}
        for (channel_name, short), value in figures.items():
            channel = self.activity.channel(channel_name)
            if "pending" in short:
                channel.pending = int(value)
            elif "drop" in short or "refused" in short:
                channel.drops = int(value)
            elif "bytes" in short:
                channel.bytes = value
            elif short.endswith("_total"):
                messages[channel.name] = max(value, messages.get(channel.name, 0.0))
        for name, count in messages.items():
            self.activity.channels[name].messages = int(count)
        self._facts = {n: int(v) if v.is_integer() else v for n, v in facts.items()}

    def facts(self) -> dict[str, Any]:
        """Give the figures that are no channel's."""
        return {"state": "answering" if self._up else "not answering", **self._facts}

    async def publish(self, channel: str, data: Any) -> None:  # noqa: ARG002 - the protocol's
        """Refuse.

        Raises:
            ClientInvalidOperation: Always: metrics take no messages.
        """
        await asyncio.sleep(0)
        raise ClientInvalidOperation("metrics take no messages: run top on the server itself")
