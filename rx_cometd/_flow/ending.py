"""The end of a stream: telling an observer of it, and a client that waits for it.

A client that is drained ends its channels, and waits for what the operators behind them still
have to do. Those of one channel are known to its flow. Where streams were combined by functions of
ReactiveX (``merge``), no flow reaches the operators behind, but the end does, in one call after the
other: so it is told within `ending_for`, and who still has work to do then finds by `drained_by`
who waits. When that is done, it hands the end on in the same way.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Generator

    from reactivex import abc

    from rx_cometd._flow.flow import Flow

__all__ = ["drained_by", "ending_for", "tell_end"]

_drained_by: ContextVar[Flow | None] = ContextVar("rx_cometd_drained_by", default=None)


def drained_by() -> Flow | None:
    """Give the client whose draining is why a stream ends now, ``None`` if it ends by itself."""
    return _drained_by.get()


@contextmanager
def ending_for(flow: Flow) -> Generator[None]:
    """Tell the ends of streams within, which a client that is drained waits for.

    Args:
        flow: The client's.
    """
    token = _drained_by.set(flow)
    try:
        yield
    finally:
        _drained_by.reset(token)


def tell_end(
    observer: abc.ObserverBase[Any], error: BaseException | None, flow: Flow | None = None
) -> None:
    """Tell an observer how a stream ended.

    Args:
        observer: The observer.
        error: Why it ended, ``None`` where it completed.
        flow: The client that is drained, and waits for what the observer has still to do; left
            out where that is known already.
    """
    with nullcontext() if flow is None else ending_for(flow):
        if error is None:
            observer.on_completed()
        else:
            observer.on_error(cast("Exception", error))
