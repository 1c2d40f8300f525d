"""What a relay needs of a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rx_cometd.extensions import ReplayId
    from rx_cometd.relay.record import Batch

__all__ = ["Lease", "Sink"]


class Lease(Protocol):
    """The right of one relay, among those of its name, to be the one at work."""

    async def acquire(self) -> bool:
        """Try to get the lease, once; ``True`` if it is held now.

        Raises:
            BrokerUnavailableError: The broker is away.
        """
        ...

    async def renew(self) -> None:
        """Keep the lease for its full time from now on.

        Raises:
            LeaseLostError: Somebody else has it.
            BrokerUnavailableError: The broker is away; the lease runs on.
        """
        ...

    async def release(self) -> None:
        """Give the lease back, so that another need not wait for its end.

        Raises:
            BrokerUnavailableError: The broker is away.
        """
        ...


class Sink(Protocol):
    """A broker as a relay sees it. Every method connects, if there is no connection."""

    @property
    def system(self) -> str:
        """What OpenTelemetry calls the kind of broker (``messaging.system``)."""
        ...

    def subject(self, template: str, channel: str) -> str:
        """Give the subject, stream or topic of a channel.

        Args:
            template: What ``{channel}`` stands in for the channel, by the broker's naming rules.
            channel: The channel.
        """
        ...

    async def markers(self) -> Mapping[str, ReplayId]:
        """Give the replay id of each channel up to which everything is written.

        Raises:
            BrokerUnavailableError: The broker is away.
            BrokerError: It cannot be used at all.
        """
        ...

    async def write(self, batch: Batch) -> None:
        """Write a batch, in order; return when the broker has confirmed it.

        What failed may have been written nevertheless: the same batch then comes again.

        Raises:
            RecordRefusedError: The broker takes none of it, for one of the records.
            BrokerUnavailableError: The broker is away.
            LeaseLostError: Another relay of this name has taken over.
        """
        ...

    def lease(self, seconds: float) -> Lease:
        """Make the lease of the relay's name, which ends by itself if it is not renewed."""
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...
