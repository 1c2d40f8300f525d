"""Handing buffered messages on, on a scheduler: what the buffering operators share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from reactivex.disposable import Disposable, SingleAssignmentDisposable

from rx_cometd._flow.delivery import apart
from rx_cometd._flow.edge import TURN, current_loop, deliver, disposable_on, subscribe_on_loop
from rx_cometd._flow.ending import tell_end

if TYPE_CHECKING:
    from reactivex import Observable, abc

    from rx_cometd._flow.buffer import MessageBuffer

__all__ = ["Drain"]

_T = TypeVar("_T")


class Drain(Generic[_T]):
    """One subscription of a buffering operator.

    Idle until a message comes, then scheduled until none is pending: a chunk of messages for
    each turn of the scheduler. The end of the stream comes after the last one.
    """

    def __init__(
        self,
        buffer: MessageBuffer[_T],
        observer: abc.ObserverBase[_T],
        scheduler: abc.SchedulerBase,
    ) -> None:
        self._buffer = buffer
        self._observer = observer
        self._scheduler = scheduler
        self._source = SingleAssignmentDisposable()
        self._turn: abc.DisposableBase = Disposable()
        self._active = False
        self._closed = False
        buffer.wake = self._wake
        buffer.lingers = True  # the end is handed on in a turn of its own

    def subscribe(self, source: Observable[_T], scheduler: abc.SchedulerBase) -> abc.DisposableBase:
        """Subscribe to the source; the result disposes of the whole subscription."""
        buffer = self._buffer
        self._source.disposable = subscribe_on_loop(
            source, buffer.offer, buffer.fail, buffer.complete, scheduler=scheduler
        )
        return disposable_on(current_loop(), self._close)

    def _wake(self) -> None:
        if self._buffer.terminated:
            self._source.dispose()  # it may be the buffer that ended: nothing more is wanted
        if not self._active:
            self._active = True
            self._turn = self._scheduler.schedule(self._run)

    def _run(self, _scheduler: abc.SchedulerBase, _state: object = None) -> None:
        buffer = self._buffer
        with apart():
            for _ in range(TURN):
                if not buffer.pending_count:
                    break
                message = buffer.take_nowait()
                deliver(self._observer, message, buffer.taken)
        if buffer.pending_count:
            self._turn = self._scheduler.schedule(self._run)
            return
        self._active = False
        if buffer.terminated:
            self._end()

    def _end(self) -> None:
        if self._closed:
            return
        self._close()
        tell_end(self._observer, self._buffer.error, self._buffer.client)

    def _close(self) -> None:
        self._closed = True
        self._buffer.close()
        self._turn.dispose()
        self._source.dispose()
