"""What a client tells of itself: where it is, what it has, what it counted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rx_cometd.statistics import by_channel

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from yarl import URL

    from rx_cometd._session.settings import Settings
    from rx_cometd._session.shared_session import SharedSession
    from rx_cometd.connection_types import ConnectionType
    from rx_cometd.states import ClientState
    from rx_cometd.statistics import ChannelStatistics, Statistics

__all__ = ["Introspection"]


class Introspection:
    """What there is to read of a client. Reading them changes nothing, and needs no open session.

    Args:
        shared: The client's shared session.
        settings: The client's settings.
    """

    def __init__(self, shared: SharedSession, settings: Settings) -> None:
        self._shared = shared
        self._address = settings.transport.url
        self._extensions = settings.extensions

    @property
    def url(self) -> URL:
        """The server's address, without the parts that may be secret."""
        # Neither user information nor query nor fragment: credentials travel in them.
        return self._address.with_user(None).with_query(None).with_fragment(None)

    @property
    def pending_count(self) -> int:
        """Messages that wait in all buffers of this client."""
        return self._shared.flow.pending_count

    @property
    def state(self) -> ClientState:
        """Where the client is in the life of its session."""
        return self._shared.state

    @property
    def client_id(self) -> str | None:
        """The server's name for the session, ``None`` while there is none."""
        session = self._shared.current
        return None if session is None else session.client_id

    @property
    def connection_type(self) -> ConnectionType | None:
        """The transport in use, ``None`` while there is none."""
        session = self._shared.current
        return None if session is None else session.connection_type

    @property
    def closed(self) -> bool:
        """Whether the client has no session, and is not trying to get one."""
        return self._shared.current is None

    @property
    def subscriptions(self) -> frozenset[str]:
        """The channels whose subscriptions the server has confirmed."""
        session = self._shared.current
        return frozenset() if session is None else session.subscriptions

    def statistics(self) -> Statistics:
        """Return the counters of this client; this is cheap."""
        counters = self._shared.counters
        return counters.snapshot(time.time(), time.monotonic(), self.pending_count)

    def counting_channels(self) -> AbstractContextManager[None]:
        """Count what comes on each channel while the block runs, for `channel_statistics`.

        Several blocks at once share one count. Outside of any, nothing is counted, and the
        path of a message is as if this did not exist.

        Example:
            ::

                with client.counting_channels():
                    await asyncio.sleep(10)
                    print(client.channel_statistics()["/stock/ACME"].rate)
        """
        # Holds the counters, not the client: whoever counts for ever keeps no client alive.
        return self._shared.counters.counting_channels(time.monotonic())

    def channel_statistics(self) -> dict[str, ChannelStatistics]:
        """Return what is known of each channel; may be called from any thread.

        Buffers and markers are always included, messages while a `counting_channels` block runs.
        Buffers are listed under the name that was observed, possibly a glob, and messages under
        the channel on which they arrived. ``"*"`` stands for buffers that do not belong to one
        channel (`messages`, `receive`), and for messages of channels beyond the first 10,000.
        """
        return by_channel(
            self._shared.counters.channels,
            self._shared.flow.buffers(),
            [extension.marker_ages() for extension in self._extensions],
            time.monotonic(),
        )
