"""What the parts of a session tell the part above them: all in one way, by a listener.

A part that has several things to tell takes one listener, which has a method for each (`Session`
tells its own, `SessionListener`); one with a single thing to tell (a timer that expired) takes a
function. The protocol tells nothing by itself: it is asked for its outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from rx_cometd._flow.payload import Payload
    from rx_cometd._transports.departing import Departure
    from rx_cometd.exceptions import ExtensionError, ProtocolError
    from rx_cometd.messages import Message

__all__ = ["Exchange", "PipelineListener", "WireListener"]

Exchange: TypeAlias = tuple[str, ...]
"""The requests that a payload carries, by their ids."""

_Owner_contra = TypeVar("_Owner_contra", contravariant=True)


class WireListener(Protocol):
    """What the wire tells the session. Nothing here may raise."""

    def received_events(self, decoded: Any) -> bool:
        """Take a payload of a WebSocket if it holds nothing but event messages.

        Args:
            decoded: What the JSON function made of it, whatever that is.

        Returns:
            Whether it was taken.
        """
        ...

    def received_replies(self, decoded: Any, exchange: Exchange) -> bool:
        """Take a payload if it holds nothing but replies to publishes that the server took.

        Args:
            decoded: What the JSON function made of it, whatever that is.
            exchange: The requests that an HTTP response answers; empty over a WebSocket.

        Returns:
            Whether it was taken.
        """
        ...

    def received(
        self, messages: list[Message], exchange: Exchange, payload: Payload | None
    ) -> None:
        """Take messages.

        Args:
            messages: The messages, after the extensions.
            exchange: The requests that an HTTP response answers; empty over a WebSocket.
            payload: What passed the extensions, ``None`` where there are none.
        """
        ...

    def failed(self, exchange: Exchange, error: Exception) -> None:
        """Take the failure of requests."""
        ...

    def unreadable(self, error: ProtocolError) -> None:
        """Take note that what came over a WebSocket cannot be read."""
        ...

    def leaving(self, messages: list[Message], exchange: Exchange) -> list[Message]:
        """Take note of messages that go out now, past the extensions.

        Args:
            messages: The messages.
            exchange: The requests among them.

        Returns:
            The messages without the requests that were cancelled meanwhile.
        """
        ...

    def departing(self, exchange: Exchange, timeout: float, departure: Departure | None) -> None:
        """Take note of a payload that is written to a WebSocket now.

        Args:
            exchange: The requests in it.
            timeout: Seconds that their replies may take once it is gone.
            departure: How it leaves; ``None`` where it does so at once.
        """
        ...

    def lost(self, error: Exception) -> None:
        """Take the loss of the WebSocket."""
        ...


class PipelineListener(Protocol[_Owner_contra]):
    """What a pipeline tells of the payloads in it. Nothing here may raise."""

    def emitted(
        self, owners: tuple[_Owner_contra, ...], payload: Payload, missing: tuple[str, ...], /
    ) -> None:
        """Take a payload that came out.

        Args:
            owners: Who waits for it: none for what is not, or no more, waited for; several
                where payloads were merged.
            payload: The payload.
            missing: The ids of the replies that are missing in it.
        """
        ...

    def failed(
        self,
        owners: tuple[_Owner_contra, ...],
        payload: Payload | None,
        replies: tuple[str, ...],
        error: ExtensionError,
        /,
    ) -> None:
        """Take the failure of a payload.

        Args:
            owners: Who waits for it.
            payload: The payload, ``None`` where an extension dropped it, as ``filter`` does.
            replies: The ids of the replies in it.
            error: Why it does not come out.
        """
        ...
