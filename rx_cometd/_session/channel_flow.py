"""The client's flow control as the buffers of one channel see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rx_cometd._flow.flow import Buffer, Overflow
    from rx_cometd._session.flow_control import FlowControl

__all__ = ["ChannelFlow"]


class ChannelFlow:
    """A `Flow` that says of each buffer which channel it is for; all else is the client's.

    Args:
        client: The client's flow control.
        channel: The channel or glob.
    """

    def __init__(self, client: FlowControl, channel: str) -> None:
        self._client = client
        self._channel = channel
        self.detach = client.detach
        self.suspend = client.suspend
        self.resume = client.resume
        self.dropped = client.dropped
        self.refusal = client.refusal
        self.begin_work = client.begin_work
        self.end_work = client.end_work

    @property
    def max_pending_count(self) -> int:
        """The client's default bound."""
        return self._client.max_pending_count

    @property
    def overflow(self) -> Overflow | None:
        """The client's default policy."""
        return self._client.overflow

    @property
    def lossless(self) -> bool:
        """Whether the server keeps messages while no connect asks for them."""
        return self._client.lossless

    @property
    def turn(self) -> object | None:
        """What tells apart the turns of the loop that messages come in."""
        return self._client.turn

    def attach(self, buffer: Buffer) -> None:
        """Count a buffer's messages as the client's, and as those of the channel."""
        self._client.attach(buffer, self._channel)
