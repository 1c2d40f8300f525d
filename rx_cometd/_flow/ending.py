"""Who waits for what is left to do: telling the end of a stream, and the client behind it.

A client that is drained ends its channels, and waits for what the operators behind them still
have to do. Those of one channel are known to its flow. Where streams were combined by functions of
ReactiveX (``merge``), no flow reaches the operators behind. But what they do is done on behalf of
a client: because a message of its came, or because it ends its channels. That is known by a context
variable, which asyncio hands on to every task and timer that a message leads to. So operators ask
`on_behalf_of` when they begin to work, or find that their stream has ended.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from reactivex import abc

    from rx_cometd._flow.flow import Flow

__all__ = ["act_on_behalf_of", "ending_for", "on_behalf_of", "tell_end"]

_client: ContextVar[Flow | None] = ContextVar("rx_cometd_client", default=None)


#: Gives the client whose message, or whose end, led to what is done now; ``None``: none's.
on_behalf_of: Final[Callable[[], Flow | None]] = _client.get


def act_on_behalf_of(client: Flow) -> None:
    """Do on behalf of a client what follows in this task, and what comes of it.

    Nothing is put back: it is a session's own task that brings messages in, each time for the same
    client, so that one look (`on_behalf_of`) is all that this costs for each payload.
    """
    _client.set(client)


@contextmanager
def ending_for(flow: Flow) -> Generator[None]:
    """Tell the ends of streams within, which a client that is drained waits for.

    Args:
        flow: The client's.
    """
    token = _client.set(flow)
    try:
        yield
    finally:
        _client.reset(token)


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
