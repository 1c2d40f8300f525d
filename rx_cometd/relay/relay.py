"""The relay: from the channels of a CometD server into a broker."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from rx_cometd import Client, ClientState
from rx_cometd._protocol.channel_names import matches
from rx_cometd.extensions.ack import ack
from rx_cometd.extensions.replay import replay
from rx_cometd.extensions.replay_store import ReplayOption
from rx_cometd.relay.channels import check_apart, check_templates
from rx_cometd.relay.counts import Counts
from rx_cometd.relay.departures import Departures
from rx_cometd.relay.errors import LeaseLostError
from rx_cometd.relay.first import until_first
from rx_cometd.relay.intact_data import IntactData, intact_json_loads
from rx_cometd.relay.intake import Intake
from rx_cometd.relay.leadership import Leadership
from rx_cometd.relay.markers import Markers
from rx_cometd.relay.record import encode, record_of
from rx_cometd.relay.retrying import until_available
from rx_cometd.relay.source_link import SourceLink
from rx_cometd.relay.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rx_cometd import Extension
    from rx_cometd.extensions import ReplayId
    from rx_cometd.messages import Event
    from rx_cometd.relay.record import Record
    from rx_cometd.relay.shard import Shard
    from rx_cometd.relay.sink import Sink

__all__ = ["MAX_MESSAGE_SIZE", "Relay"]

_logger = logging.getLogger("rx_cometd.relay")

#: Bytes of a payload. After an outage a source may send all that it kept in one, and one that was
#: refused would come again and again.
MAX_MESSAGE_SIZE: Final = 512 * 1024 * 1024
#: How often is looked whether the broker keeps up, in seconds.
_LOOK = 0.25
#: Before a relay that was fenced off tries again.
_FENCED_PAUSE = 0.5


class Relay:
    """Writes every event of some channels into a broker.

    The marker of a channel moves in the broker, with the events that it has confirmed: after a
    crash the next relay of this name goes on there. While the broker is away the events wait in a
    bounded buffer, then the source is made to keep them: by flow control, and where the source
    replays by leaving it until the broker has caught up.

    Args:
        source: The address of the CometD server; or a function that makes a client with some
            extensions, which the relay needs, beside those of its own.
        channels: Channels and globs; none may be matched by another. A glob has no marker after
            a restart: name the channels where that matters.
        sink: The broker.
        name: Tells relays apart: markers and leases belong to a name.
        template: The subject of a channel; ``{channel}`` stands for it by the broker's rules.
        dead_letter: The subject for what the broker refuses.
        initial: Where to begin on a channel that has no marker.
        lease: For how many seconds a relay that died holds up the other of its name, which stands
            by. ``None``: there is only one relay of this name.
        shard: Which part of the channels is this relay's.
        max_pending_count: How many events of a channel may wait for a batch.
        max_batch: How many are written at once.
        drain: For how many seconds `stop` may write what is there.
        client: Further arguments of the `Client` at that address: ``headers``, ``auth``,
            ``connection_types``... With a ``json_loads`` or ``extensions`` among them the data are
            encoded again, with its ``json_dumps``.

    Attributes:
        name: The relay's name.
        counts: What it did so far.
        intakes: Its channels, while it is at work.
        leading: Whether it is the one at work.

    Raises:
        ValueError: The channels overlap; or a name, a template or a number makes no sense.

    Example:
        ::

            relay = Relay(url, ["/event/Order__e"], NatsSink("nats://localhost", "orders"))
            await relay.run()
    """

    def __init__(
        self,
        source: str | Callable[[Sequence[Extension]], Client],
        channels: Sequence[str],
        sink: Sink,
        *,
        name: str = "relay",
        template: str = "cometd.{channel}",
        dead_letter: str = "cometd-dead",
        initial: ReplayId = ReplayOption.NEW_EVENTS,
        lease: float | None = None,
        shard: Shard | None = None,
        max_pending_count: int = 1000,
        max_batch: int = 500,
        drain: float = 10.0,
        **client: Any,
    ) -> None:
        _check(name, min(max_pending_count, max_batch), lease)
        self._source = source
        check_apart([*dict.fromkeys(channels)])
        self._channels = [c for c in dict.fromkeys(channels) if shard is None or shard.has(c)]
        self._sink = sink
        self.name = name
        self._template = template
        self._dead_letter = dead_letter
        self._initial = initial
        check_templates(sink, template, dead_letter)
        self.counts = Counts()
        self._leadership = Leadership(
            None if lease is None else sink.lease(lease), lease or 0.0, self.counts
        )
        self._max_pending_count = max_pending_count
        self._max_batch = max_batch
        self._drain = drain
        self._client_options = client
        self._client: Client | None = None
        self._stopping = asyncio.Event()
        self._subjects: dict[str, str] = {}
        self._encode: Callable[[Any], str | bytes] = client.get("json_dumps", encode)
        self._reencoding = False
        self.intakes: list[Intake] = []
        self._departures = Departures()
        self.leading = False
        self._make_client()  # what is wrong with its arguments is to be known at once

    def __repr__(self) -> str:
        return f"<Relay {self.name} {'leading' if self.leading else 'standing by'}>"

    @property
    def ready(self) -> bool:
        """Whether events flow: source and broker are there, or another relay is at work."""
        if not self._channels:  # of this shard
            return not self._stopping.is_set()
        if self.leading:
            there = self._client is not None and self._client.state is ClientState.CONNECTED
        else:
            there = self._leadership.elsewhere and not self._stopping.is_set()
        return there and self.counts.available

    @property
    def pending_count(self) -> int:
        """Events that wait in this process."""
        return sum(intake.pending_count for intake in self.intakes)

    def stop(self) -> None:
        """Take nothing more, write what is there, and end."""
        self._stopping.set()

    async def run(self) -> None:
        """Relay until `stop`, or until it cannot go on.

        Raises:
            ServerError: The source refused.
            BrokerError: The broker cannot be used as it is set up.
            ClientError: The source pushes events and cannot be made to wait (a WebSocket without
                the ack extension): use long-polling. Or data cannot be encoded again, for
                ``json_loads`` or an extension made of them what ``json_dumps`` does not know.
        """
        if not self._channels:
            _logger.info(
                "%s: no channel belongs to this shard",
                self.name,
                extra={"event": "relay_idle", "relay": self.name},
            )
            await self._stopping.wait()
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                await until_first(stopped, self._leadership.acquire())
                if not self._stopping.is_set():
                    await self._lead()
        finally:
            stopped.cancel()
            await self._sink.aclose()

    async def _lead(self) -> None:
        """Be at work until the lease is lost, then give it back."""
        self.leading = True
        self.counts.takeovers += 1
        _logger.info("%s: at work", self.name, extra={"event": "relay_leading", "relay": self.name})
        try:
            await until_first(self._leadership.keep(), self._work())
        except LeaseLostError as error:
            _logger.warning(
                "%s: %s",
                self.name,
                error,
                extra={
                    "event": "relay_fenced",
                    "relay": self.name,
                    "error_type": type(error).__name__,
                },
            )
            await asyncio.sleep(_FENCED_PAUSE)
        finally:
            self.leading = False
            await self._leadership.release()

    async def _work(self) -> None:
        kept: dict[str, ReplayId] = {}

        async def read_markers() -> None:
            kept.update(await until_available(self._sink.markers, self.counts))

        await until_first(self._stopping.wait(), read_markers())
        if self._stopping.is_set():
            return
        writer = Writer(
            self._sink,
            kept,
            dead_letter=self._dead_letter,
            max_batch=self._max_batch,
            counts=self.counts,
            refused=self._note_refused,
        )
        markers = Markers(kept, writer.reset)
        self._departures.channels.clear()
        client = self._client = self._make_client(markers)
        self.intakes = [self._intake(client, name, writer, markers) for name in self._channels]
        writer.sources.extend(intake.waiting for intake in self.intakes)
        try:
            with client.state_changes.subscribe(SourceLink(self.name, self.counts)):
                await until_first(writer.run(), self._feed(client))
        finally:
            await client.close()

    async def _feed(self, client: Client) -> None:
        """Take in events; return when `stop` was called and what was there is written."""
        running = asyncio.gather(*(intake.run(self._stopping) for intake in self.intakes))
        try:
            await until_first(running, self._look(), self._stopping.wait())
            await client.close()
            done, _ = await asyncio.wait({running}, timeout=self._drain)
            if done:
                await running
            else:
                self._note_unwritten()
        finally:
            running.cancel()  # if the writer failed, nobody will ever write what waits
            await asyncio.gather(running, return_exceptions=True)

    def _note_unwritten(self) -> None:
        _logger.warning(
            "%s: stopped with %d events unwritten",
            self.name,
            self.pending_count,
            extra={"event": "relay_stopped", "relay": self.name, "pending": self.pending_count},
        )

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            now = asyncio.get_running_loop().time()
            for intake in self.intakes:
                intake.look(now)

    def _intake(self, client: Client, name: str, writer: Writer, markers: Markers) -> Intake:
        def record(event: Event, came: float) -> Record:
            if not (self._reencoding or type(event["data"]) is IntactData):
                self._note_reencoding()
            subject = self._subject(event["channel"])
            return record_of(event, subject, self.name, came, self._encode)

        return Intake(
            client.channel(name),
            record,
            writer.arrived,
            max_pending_count=self._max_pending_count,
            has_marker=lambda: markers.load(name) is not None,
            departures=self._departures,
            counts=self.counts,
        )

    def _note_refused(self, record: Record) -> None:
        for intake in self.intakes:
            if matches(intake.name.partition("?")[0], record.channel):
                intake.refused_count += 1

    def _note_reencoding(self) -> None:
        self._reencoding = True
        _logger.info(
            "%s: data are decoded and encoded again, and may differ in their bytes (docs/relay.md)",
            self.name,
            extra={"event": "data_reencoded", "relay": self.name},
        )

    def _subject(self, channel: str) -> str:
        subject = self._subjects.get(channel)
        if subject is None:
            subject = self._subjects[channel] = self._sink.subject(self._template, channel)
        return subject

    def _make_client(self, markers: Markers | None = None) -> Client:
        store = Markers({}, lambda _: None) if markers is None else markers
        extensions = [
            ack(),
            self._departures.extension(),
            replay(store, initial=self._initial, fallback=ReplayOption.ALL_EVENTS),
        ]
        if callable(self._source):
            return self._source(extensions)
        own: dict[str, Any] = {
            "connection_timeout": None,
            "max_message_size": MAX_MESSAGE_SIZE,
            **self._client_options,
        }
        users = own.pop("extensions", ())
        if not users:  # which may look at all the data, and change them
            own.setdefault("json_loads", intact_json_loads)
        extensions += users
        return Client(self._source, extensions=extensions, **own)


def _check(name: str, lowest_bound: int, lease: float | None) -> None:
    if not name:
        raise ValueError("name must not be empty: markers belong to it")
    if lowest_bound < 1:
        raise ValueError("max_pending_count and max_batch must be at least 1")
    if lease is not None and lease <= 0:
        raise ValueError("lease is a time in seconds, above 0")
