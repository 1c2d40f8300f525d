"""The pipelines: payloads through the operators of the extensions, one way each.

A pipeline is a subject, the operators after it, and an observer at the end. Synchronous
operators let a payload out before `Pipeline.push` returns, so they cost no turn of the event
loop; asynchronous ones let it out later, in order. A pipeline that fails, or completes, is made
anew, and what was in it is given back as lost: that is for the wire to act upon, as is a
payload that does not come out in time.

An operator may let out another payload than went in (``map`` to a new one): it stands for the
oldest that is inside.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from reactivex.subject import Subject

from rx_cometd.exceptions import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactivex import Observable, abc

    from rx_cometd.extension import Payload, PayloadOperator

__all__ = ["Pipeline"]

_log = logging.getLogger("rx_cometd.pipeline")

_REMEMBERED = 16


class Pipeline:
    """One direction of the extensions of a session.

    Args:
        operators: The operators, in the order in which payloads pass them.
        emit: Called with the payload that went in, ``None`` where nothing is inside that it
            could stand for, and the payload that came out.
        lost: Called with each payload that a failure of the pipeline took, and the failure.
        scheduler: What operators that take time run on.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        emit: Callable[[Payload | None, Payload], None],
        lost: Callable[[Payload, ExtensionError], None],
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        self._operators = tuple(operators)
        self._emit = emit
        self._lost = lost
        self._scheduler = scheduler
        self._inside: dict[int, Payload] = {}
        #: Payloads that are no longer waited for; kept so that they are known when they come.
        self._abandoned: dict[int, Payload] = {}
        self._subject: Subject[Any] = Subject()
        self._subscription: abc.DisposableBase | None = None
        self._disposed = False
        self._connect()

    def push(self, payload: Payload) -> None:
        """Let a payload in. It comes out through ``emit``, perhaps before this returns."""
        self._inside[id(payload)] = payload
        try:
            self._subject.on_next(payload)
        except Exception as error:
            self._broken(error)

    def abandon(self, payload: Payload) -> None:
        """Wait for a payload no longer; should it still come out, it is not emitted."""
        if self._inside.pop(id(payload), None) is not None:
            self._abandoned[id(payload)] = payload
            if len(self._abandoned) > _REMEMBERED:
                del self._abandoned[next(iter(self._abandoned))]

    def dispose(self) -> None:
        """End the pipeline; what is in it stays in it."""
        self._disposed = True
        self._inside.clear()
        if self._subscription is not None:
            self._subscription.dispose()

    def _connect(self) -> None:
        self._subject = Subject()
        stream: Observable[Any] = self._subject
        for operator in self._operators:
            stream = operator(stream)
        self._subscription = stream.subscribe(
            self._out, self._broken, self._completed, scheduler=self._scheduler
        )

    def _out(self, payload: Payload) -> None:
        if self._abandoned.pop(id(payload), None) is not None:
            _log.warning("dropped %r, which an extension let out too late", payload)
            return
        pushed = self._inside.pop(id(payload), None)
        if pushed is None and self._inside:
            pushed = self._inside.pop(next(iter(self._inside)))
        self._emit(pushed, payload)

    def _completed(self) -> None:
        self._broken(ExtensionError("an extension completed its stream of payloads"))

    def _broken(self, error: Exception) -> None:
        """Begin anew after a failure, and give back what was inside."""
        if self._disposed:
            return
        _log.error("an extension failed; its pipeline is made anew", exc_info=error)
        inside = list(self._inside.values())
        self._inside.clear()
        if self._subscription is not None:
            self._subscription.dispose()
        self._connect()
        failure = ExtensionError(f"an extension failed: {error!r}")
        failure.__cause__ = error
        for payload in inside:
            self._lost(payload, failure)
