"""What can go wrong between a relay and its broker; part of the tree of `rx_cometd.exceptions`."""

from __future__ import annotations

from rx_cometd.exceptions import CometDError

__all__ = ["BrokerError", "BrokerUnavailableError", "LeaseLostError", "RecordRefusedError", "told"]


class BrokerError(CometDError):
    """The broker cannot be used as it is set up; trying again does not help."""


class BrokerUnavailableError(BrokerError):
    """The broker is away, or cannot store anything now: the relay tries again."""


class RecordRefusedError(BrokerError):
    """The broker will never take one of the records (too large, say): a dead letter."""


class LeaseLostError(BrokerError):
    """Another relay of the same name is at work now."""


def told(error: BaseException) -> str:
    """Give what an error of a broker's client says, or its name if it says nothing.

    >>> told(TimeoutError())
    'TimeoutError'
    """
    return str(error).strip() or type(error).__name__
