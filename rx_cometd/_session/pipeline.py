"""The pipelines: payloads through the operators of the extensions, one way each.

A pipeline is a source, the operators after it, and an observer at the end. Synchronous
operators emit a payload before `Pipeline.push` returns, so they cost no turn of the event loop
and no timer; asynchronous ones emit it later, in order. After each operator the pipeline looks at
what was emitted, so that it knows which payload that is made of (`InFlight`). A payload that no
operator holds any more was dropped, which is told at once; one that is held for too long is given
back. A pipeline whose operators fail or complete is made anew, and what was in it is given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from reactivex import Observable
from reactivex import operators as ops
from reactivex.disposable import Disposable

from rx_cometd._flow.payload import Payload, claim
from rx_cometd._session.in_flight import InFlight
from rx_cometd.exceptions import ExtensionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactivex import abc

    from rx_cometd._session.listeners import PipelineListener
    from rx_cometd.extension import PayloadOperator

__all__ = ["Pipeline", "malformed"]

_log = logging.getLogger("rx_cometd.pipeline")

#: Payloads that are no longer waited for, kept so that they are known when they come after all.
_REMEMBERED: Final = 16

_Owner = TypeVar("_Owner")


class Pipeline(Generic[_Owner]):
    """One direction of the extensions of a session.

    Whoever waits for a payload hands in something of his own with it, its owner, and is told by
    it what became of the payload.

    Args:
        operators: The operators, in the order in which payloads pass them.
        listener: Told what became of each payload.
        timeout: Seconds that a payload may be inside.
        scheduler: What operators that take time run on.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        listener: PipelineListener[_Owner],
        timeout: float,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._operators = tuple(operators)
        self._listener = listener
        self._timeout = timeout
        self._scheduler = scheduler
        self._source: _Source | None = None
        self._subscription: abc.DisposableBase | None = None
        #: In the order in which they entered, which is that of their deadlines.
        self._in_flight: dict[InFlight[_Owner], None] = {}
        self._abandoned: deque[InFlight[_Owner]] = deque(maxlen=_REMEMBERED)
        #: For the oldest in flight.
        self._timer: asyncio.TimerHandle | None = None
        self._disposed = False
        #: When something that was waited for last came out, by the loop's clock.
        self._last_emission = 0.0
        #: Whether the operators are being subscribed to.
        self._connecting = False
        # Now, not with the first payload: operators may subscribe a turn later (``merge`` does).
        self._connect()

    # -- in ------------------------------------------------------------------------------------

    def push(self, payload: Payload, owner: _Owner | None, replies: tuple[str, ...] = ()) -> None:
        """Let a payload enter. It comes out to the listener, perhaps before this returns.

        Args:
            payload: The payload.
            owner: Who waits for it, ``None`` if nobody does.
            replies: The ids of the replies in it.
        """
        claim(payload)
        entry = InFlight(payload, owner, replies, self._loop.time() + self._timeout)
        self._in_flight[entry] = None
        try:
            if self._source is None:
                self._connect()
            if self._source is not None:
                for observer in self._source.observers:
                    observer.on_next(payload)
        except (Exception, asyncio.CancelledError) as error:
            # Nobody can cancel what does not wait: the cancellation is one that an operator met.
            self._fail_all(error)
        del payload  # else it would be held here
        if entry in self._in_flight:
            self._wait_for(entry)

    def dispose(self) -> None:
        """End the pipeline; what is in it stays in it."""
        self._disposed = True
        self._in_flight.clear()
        self._disconnect()
        if self._timer is not None:
            self._timer.cancel()

    def holds(self, reply: str) -> bool:
        """Tell whether a reply is inside."""
        return any(reply in entry.replies for entry in self._in_flight)

    def _connect(self) -> None:
        source = self._source = _Source()
        stream: Observable[Payload] = source
        self._connecting = True
        try:
            for stage, operator in enumerate(self._operators):
                if stage:  # what the last one emits is looked at where it is taken
                    stream = stream.pipe(ops.do_action(partial(self._look_at, stage)))
                stream = operator(stream)
            subscription = stream.subscribe(
                self._take, self._fail_all, self._completed, scheduler=self._scheduler
            )
        finally:
            self._connecting = False
        if self._source is source:
            self._subscription = subscription
        else:  # it failed at once
            subscription.dispose()

    def _disconnect(self) -> None:
        self._source = None
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.dispose()

    def _wait_for(self, entry: InFlight[_Owner]) -> None:
        """Wait for what did not come out, unless an extension dropped it."""
        entry.waited_for = True
        entry.on_released(lambda _: self._released(entry))
        if not entry.may_come():
            self._released(entry)
        if self._timer is None:
            self._timer = self._loop.call_at(entry.deadline, self._expire)

    # -- what operators emit -------------------------------------------------------------------

    def _look_at(self, stage: int, payload: Any) -> None:
        """Take note of what an operator emitted to the next one."""
        if isinstance(payload, Payload) and not payload.emitted:
            try:
                self._entry_of(payload, stage)
            except Exception as error:
                payload.failure = malformed(error)

    def _entry_of(self, payload: Payload, stage: int) -> InFlight[_Owner] | None:
        """Find what a payload was made of, ``None`` if it is an extension's own.

        Args:
            payload: The payload.
            stage: How many operators it has passed.
        """
        known: Any = payload.in_flight
        entry: InFlight[_Owner] | None = known if known in self._in_flight else None
        if entry is None:
            entry = self._adopt(payload, stage)
        elif len(self._in_flight) > 1 and len(payload.messages) > entry.size:
            self._merge(entry, [other for other in self._sharing(payload) if other is not entry])
        if entry is not None:
            entry.follow(payload, stage)
        return entry

    def _adopt(self, payload: Payload, stage: int) -> InFlight[_Owner] | None:
        """Have a new payload belong to what its messages came from."""
        sharing = self._sharing(payload)
        if not sharing and self._is_late(payload):
            return None
        if not sharing:
            sharing = [other for other in self._in_flight if other.resembles(payload, stage)][:1]
        if not sharing:
            return None
        entry, *others = sharing
        self._merge(entry, others)
        claim(payload)
        entry.adopt(payload)
        return entry

    def _is_late(self, payload: Payload) -> bool:
        return any(
            entry is payload.in_flight or entry.shares_with(payload) for entry in self._abandoned
        )

    def _sharing(self, payload: Payload) -> list[InFlight[_Owner]]:
        found: list[InFlight[_Owner]] = []
        left = len(payload.messages)
        for entry in self._in_flight:
            shared = entry.shares_with(payload)
            if shared:
                found.append(entry)
                left -= shared
            if left <= 0:
                break
        return found

    def _merge(self, entry: InFlight[_Owner], others: Sequence[InFlight[_Owner]]) -> None:
        for other in others:
            del self._in_flight[other]
            entry.merge(other)

    # -- out -----------------------------------------------------------------------------------

    def _take(self, payload: Any) -> None:
        """Take what the last operator emitted."""
        if self._connecting:
            _log.warning(
                "dropped %r: an extension emitted it before any was received",
                payload,
                extra={"event": "payload_unexpected", "direction": "in"},
            )
            return
        if not isinstance(payload, Payload):
            kind = type(payload).__name__
            self._fail_all(ExtensionError(f"an extension emitted a {kind} instead of a Payload"))
            return
        if payload.emitted:
            # Emitted twice: delivered twice, but its receipts are given once.
            payload = Payload(payload.messages, payload.headers)
            payload.emitted = True
        known = payload.in_flight
        try:
            entry = None if payload.emitted else self._entry_of(payload, len(self._operators))
            late = entry is None and not payload.emitted and self._is_late(payload)
            if entry is not None:
                entry.emit(payload)
        except Exception as error:
            self._fail_malformed(known, error)
            return
        claim(payload)
        payload.emitted = True
        if entry is not None:
            self._hand_on(entry, payload)
        elif late:
            _log.warning(
                "dropped %r: an extension emitted it too late",
                payload,
                extra={"event": "payload_late"},
            )
        else:
            self._listener.emitted((), payload, ())

    def _hand_on(self, entry: InFlight[_Owner], payload: Payload) -> None:
        if entry.waited_for:
            self._last_emission = self._loop.time()
        replies, owners = entry.replies, entry.owners
        missing = _missing(replies, payload)
        if missing and not entry.complete and entry.may_come() and payload.failure is None:
            # Part of the payload: who waits for it is told when the last reply is out.
            owners, entry.replies, missing = (), missing, ()
        else:
            entry.owners, entry.replies = (), ()
        if entry.complete or not (entry.owners or entry.receipts):
            del self._in_flight[entry]
        elif entry.waited_for:
            self._released(entry)  # what is missing may have been dropped
        if payload.failure is None:
            self._listener.emitted(owners, payload, missing)
        else:
            _log.error(
                "an extension failed with %r",
                payload,
                exc_info=payload.failure,
                extra={"event": "extension_failed"},
            )
            self._listener.failed(owners, payload, replies, _failure(payload.failure))

    # -- not out -------------------------------------------------------------------------------

    def _released(self, entry: InFlight[_Owner]) -> None:
        if entry in self._in_flight and not self._loop.is_closed():
            # In the next turn: an operator may have its failure told by then.
            self._loop.call_soon(self._drop_if_released, entry)

    def _drop_if_released(self, entry: InFlight[_Owner]) -> None:
        if entry in self._in_flight and not entry.may_come():
            self._drop(entry)

    def _drop(self, entry: InFlight[_Owner]) -> None:
        """Settle what an extension dropped: nothing of it can come out any more."""
        del self._in_flight[entry]
        if entry.owners or entry.replies:
            error = ExtensionError(
                "an extension dropped the payload: an operator emitted nothing for it, and holds "
                "neither the payload nor another one with its messages"
            )
            _log.error("%s", error, extra={"event": "payload_dropped"})
            self._abandoned.append(entry)
            self._listener.failed(entry.owners, None, entry.replies, error)
        entry.receipts.settle()

    def _completed(self) -> None:
        self._fail_all(ExtensionError("an extension completed its stream of payloads"))

    def _fail_malformed(self, known: object, error: Exception) -> None:
        """Fail what an extension made unreadable: that payload alone, if it is known which."""
        failure = malformed(error)
        for entry in self._in_flight:
            if entry is known:
                _log.error("%s", failure, exc_info=error, extra={"event": "payload_malformed"})
                del self._in_flight[entry]
                self._listener.failed(entry.owners, None, entry.replies, failure)
                return
        self._fail_all(failure)

    def _fail_all(self, error: BaseException) -> None:
        """Begin anew after a failure, and give back what was inside."""
        if self._disposed:
            return
        _log.error(
            "an extension failed; its pipeline is made anew",
            exc_info=error,
            extra={"event": "extension_failed"},
        )
        # Held from here on: what the operators lose by being disposed of was not dropped by them.
        inside = list(self._in_flight)
        held = [entry.payloads() for entry in inside]
        self._in_flight.clear()
        self._disconnect()
        if inside and not self._connecting:
            # Else the next payload tries it: operators that fail by themselves must not spin.
            self._connect_anew()
        for entry in inside:
            self._give_back(entry, _failure(error))
        del held

    def _connect_anew(self) -> None:
        try:
            self._connect()
        except Exception:
            self._disconnect()
            _log.exception(
                "an extension cannot be made anew", extra={"event": "extension_not_renewed"}
            )

    def _give_back(self, entry: InFlight[_Owner], error: ExtensionError) -> None:
        try:
            rest = entry.rest()
        except Exception:
            _log.exception(
                "an extension left a payload whose messages are no dictionaries",
                extra={"event": "payload_malformed"},
            )
            self._listener.failed(entry.owners, None, entry.replies, error)
        else:
            self._listener.failed(entry.owners, rest, entry.replies, error)

    def _expire(self) -> None:
        """Give back what was inside for too long."""
        self._timer = None
        now = self._loop.time()
        while (entry := next(iter(self._in_flight), None)) is not None:
            if entry.deadline > now:
                self._timer = self._loop.call_at(entry.deadline, self._expire)
                return
            if entry.payloads():
                self._abandon(entry)
            else:
                self._drop(entry)

    def _abandon(self, entry: InFlight[_Owner]) -> None:
        """Give a payload back, or all of them where nothing has come out for a while."""
        error = ExtensionError(
            f"an extension did not emit a payload in time, within {self._timeout} s"
        )
        if self._last_emission < entry.deadline - self._timeout / 2:
            self._fail_all(error)
            return
        _log.error("%s", error, extra={"event": "payload_held"})
        del self._in_flight[entry]
        self._abandoned.append(entry)
        self._give_back(entry, error)


def malformed(error: Exception) -> ExtensionError:
    """Make the error of a payload that cannot be read after an extension had it."""
    failure = ExtensionError(
        "an extension emitted a payload whose messages or headers cannot be read: messages are a "
        "list of dictionaries, headers a mapping of texts"
    )
    failure.__cause__ = error
    return failure


class _Source(Observable[Payload]):
    """Where payloads enter: a subject without its lock, as all happens on the loop.

    Attributes:
        observers: The first operator; several where it subscribes more than once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.observers: tuple[abc.ObserverBase[Payload], ...] = ()

    def _subscribe_core(
        self,
        observer: abc.ObserverBase[Payload],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002 - nothing to schedule
    ) -> abc.DisposableBase:
        self.observers = (*self.observers, observer)

        def dispose() -> None:
            self.observers = tuple(other for other in self.observers if other is not observer)

        return Disposable(dispose)


def _missing(replies: tuple[str, ...], payload: Payload) -> tuple[str, ...]:
    if not replies:
        return ()
    there = {str(message.get("id")) for message in payload.messages}
    return tuple(reply for reply in replies if reply not in there)


def _failure(error: BaseException) -> ExtensionError:
    if isinstance(error, ExtensionError):
        return error
    # Not the error's text, which is the user's and may hold a credential; the cause has it.
    failure = ExtensionError(f"an extension failed: {type(error).__name__}")
    failure.__cause__ = error
    return failure
