"""The pipelines: payloads through the operators of the extensions, one way each.

A pipeline is a source, the operators after it, and an observer at the end. Synchronous
operators let a payload out before `Pipeline.push` returns, so they cost no turn of the event
loop, no timer and no bookkeeping; asynchronous ones let it out later, in order. A pipeline that
fails, completes or is stuck is made anew, and what was in it is given back; so is
a payload that does not come out in time.

An operator may let out another payload than went in (``map`` to a new one), or several. They
stand for the one with which they have a message in common, the same object or one with the same
``id``; a payload that has none of anybody's is the extension's own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import ref

from reactivex import Observable
from reactivex.disposable import Disposable

from rx_cometd.exceptions import ExtensionError
from rx_cometd.extension import Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reactivex import abc

    from rx_cometd.extension import PayloadOperator

__all__ = ["Pipeline"]

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
        passed: Called with the owner (``None`` for what is not, or no more, waited for), the
            payload that came out, and the ids of the replies that are missing in it.
        lost: Called with the owner, the payload that does not come out (``None`` where an
            extension let go of it, as ``filter`` does), the ids of the replies in it, and why.
        timeout: Seconds that a payload may be inside.
        scheduler: What operators that take time run on.
    """

    def __init__(
        self,
        operators: Sequence[PayloadOperator],
        passed: Callable[[_Owner | None, Payload, tuple[str, ...]], None],
        lost: Callable[[_Owner | None, Payload | None, tuple[str, ...], ExtensionError], None],
        timeout: float,
        scheduler: abc.SchedulerBase | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._operators = tuple(operators)
        self._passed = passed
        self._lost = lost
        self._timeout = timeout
        self._scheduler = scheduler
        self._source: _Source | None = None
        self._subscription: abc.DisposableBase | None = None
        #: What is pushed at this moment: it is inside only if it does not come out at once.
        self._pushed: tuple[Payload, _Owner | None, tuple[str, ...]] | None = None
        self._inside: dict[_InFlight[_Owner], None] = {}
        self._abandoned: deque[_InFlight[_Owner]] = deque(maxlen=_REMEMBERED)
        #: For the oldest inside; what is inside got in in the order of its deadlines.
        self._timer: asyncio.TimerHandle | None = None
        self._disposed = False
        #: When something that had been inside for a while last came out, by the loop's clock.
        self._last_out = 0.0
        #: Whether the operators are being subscribed to.
        self._connecting = False
        # Now, not with the first payload: operators may subscribe a turn later (``merge`` does).
        self._connect()

    # -- in ------------------------------------------------------------------------------------

    def push(self, payload: Payload, owner: _Owner | None, replies: tuple[str, ...] = ()) -> None:
        """Let a payload in. It comes out through ``passed``, perhaps before this returns.

        Args:
            payload: The payload.
            owner: Who waits for it, ``None`` if nobody does.
            replies: The ids of the replies in it.
        """
        outer, self._pushed = self._pushed, (payload, owner, replies)
        try:
            if self._source is None:
                self._connect()
            if self._source is not None:
                for observer in self._source.observers:
                    observer.on_next(payload)
        except (Exception, asyncio.CancelledError) as error:
            # Nobody can cancel what does not wait: the cancellation is one that an operator met.
            self._broken(error)
        self._enter()
        self._pushed = outer

    def dispose(self) -> None:
        """End the pipeline; what is in it stays in it."""
        self._disposed = True
        self._inside.clear()
        self._disconnect()
        if self._timer is not None:
            self._timer.cancel()

    def holds(self, reply: str) -> bool:
        """Tell whether a reply is inside."""
        return any(reply in entry.replies for entry in self._inside)

    def _connect(self) -> None:
        source = self._source = _Source()
        stream: Observable[Payload] = source
        self._connecting = True
        try:
            for operator in self._operators:
                stream = operator(stream)
            subscription = stream.subscribe(
                self._out, self._broken, self._completed, scheduler=self._scheduler
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

    def _enter(self) -> None:
        """Wait for what is being pushed, if it is not out yet."""
        if self._pushed is None:
            return
        payload, owner, replies = self._pushed
        self._pushed = None
        self._forget_if_dropped(next(reversed(self._inside), None))
        entry = _InFlight(payload, owner, replies, self._loop.time() + self._timeout)
        self._inside[entry] = None
        if self._timer is None:
            self._timer = self._loop.call_at(entry.deadline, self._expire)

    # -- out -----------------------------------------------------------------------------------

    def _out(self, payload: Payload) -> None:
        pushed = self._pushed
        if pushed is None or pushed[0] is not payload:
            self._out_later(payload)
            return
        self._pushed = None
        _, owner, replies = pushed
        self._hand_on(owner, payload, replies)

    def _out_later(self, payload: Any) -> None:
        """Take out what was inside, or something that an operator made of it."""
        if self._connecting:
            _log.warning("dropped %r, which an extension made up before there was any", payload)
            return
        self._enter()
        self._last_out = self._loop.time()
        if not isinstance(payload, Payload):
            kind = type(payload).__name__
            self._broken(ExtensionError(f"an extension let out a {kind}, not a Payload"))
            return
        if payload.emitted:
            # Let out twice: delivered twice, but its callbacks are not called again.
            payload = Payload(payload.messages, payload.headers)
        try:
            entry = next((p for p in self._inside if p.payload() is payload), None)
            entry = entry or next((p for p in self._inside if p.shares_with(payload)), None)
            late = entry is None and any(p.shares_with(payload) for p in self._abandoned)
        except Exception as error:
            self._broken(_nonsense(error))
            return
        if entry is not None:
            self._out_of(entry, payload)
        elif late:
            _log.warning("dropped %r, which an extension let out too late", payload)
        else:
            self._hand_on(None, payload, ())

    def _out_of(self, entry: _InFlight[_Owner], payload: Payload) -> None:
        """Take a payload out that is inside, or stands for one that is."""
        if entry.payload() is not payload:
            missing = _missing(entry.replies, payload)
            if missing:
                entry.replies = missing  # further pieces are to come
                self._hand_on(None, payload, ())
                return
        del self._inside[entry]
        self._hand_on(entry.owner, payload, entry.replies)

    def _hand_on(self, owner: _Owner | None, payload: Payload, replies: tuple[str, ...]) -> None:
        payload.emitted = True
        if payload.failure is not None:
            _log.error("an extension failed with %r", payload, exc_info=payload.failure)
            self._lost(owner, payload, replies, _failure(payload.failure))
            return
        try:
            missing = _missing(replies, payload) if replies else ()
        except Exception as error:
            _log.exception("an extension made nonsense of a payload")
            self._lost(owner, None, replies, _nonsense(error))
            return
        self._passed(owner, payload, missing)

    # -- not out -------------------------------------------------------------------------------

    def _completed(self) -> None:
        self._broken(ExtensionError("an extension completed its stream of payloads"))

    def _broken(self, error: BaseException) -> None:
        """Begin anew after a failure, and give back what was inside."""
        if self._disposed:
            return
        _log.error("an extension failed; its pipeline is made anew", exc_info=error)
        self._enter()
        # Held from here on: what the operators lose by being disposed of was not dropped by them.
        inside = [(entry, entry.payload()) for entry in self._inside]
        self._inside.clear()
        self._disconnect()
        if inside and not self._connecting:
            # Else the next payload tries it: operators that fail by themselves must not spin.
            self._connect_anew()
        for entry, payload in inside:
            given = entry.restored() if payload is None else payload
            self._lost(entry.owner, given, entry.replies, _failure(error))

    def _connect_anew(self) -> None:
        try:
            self._connect()
        except Exception:
            self._disconnect()
            _log.exception("an extension cannot be made anew")

    def _expire(self) -> None:
        """Give back what was inside for too long."""
        self._timer = None
        now = self._loop.time()
        while (entry := next(iter(self._inside), None)) is not None:
            if entry.deadline > now:
                self._timer = self._loop.call_at(entry.deadline, self._expire)
                return
            if not self._forget_if_dropped(entry):
                self._abandon(entry)

    def _abandon(self, entry: _InFlight[_Owner]) -> None:
        """Give a payload back, or all of them where nothing has come out for a while."""
        payload = entry.payload()
        if payload is None:
            error = ExtensionError("an extension dropped a payload that somebody waits for")
        else:
            error = ExtensionError("an extension did not let a payload out in time")
            if self._last_out < entry.deadline - self._timeout / 2:
                self._broken(error)
                return
        _log.error("%s", error)
        del self._inside[entry]
        self._abandoned.append(entry)
        self._lost(entry.owner, payload, entry.replies, error)

    def _forget_if_dropped(self, entry: _InFlight[_Owner] | None) -> bool:
        """Let go of a payload that an extension let go of, if nobody waits for it."""
        if entry is None or entry.owner is not None or entry.payload() is not None:
            return False
        _log.debug("an extension dropped, or replaced, %d messages", len(entry.messages))
        del self._inside[entry]
        return True


class _Source(Observable[Payload]):
    """Where payloads are let in: a subject without its lock, as all happens on the loop.

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


class _InFlight(Generic[_Owner]):
    """A payload inside a pipeline.

    Attributes:
        payload: Gives the payload, as long as anybody else holds it: one that all operators let
            go of cannot come out any more. That is what tells a dropped payload from one that
            is stuck.
        messages: Its messages.
        owner: Who waits for it.
        replies: The ids of the replies in it that are not out yet.
        deadline: When it should be out, by the loop's clock.
    """

    __slots__ = ("deadline", "messages", "owner", "payload", "replies")

    def __init__(
        self, payload: Payload, owner: _Owner | None, replies: tuple[str, ...], deadline: float
    ) -> None:
        self.payload = ref(payload)
        self.messages = payload.messages
        self.owner = owner
        self.replies = replies
        self.deadline = deadline

    def shares_with(self, payload: Payload) -> bool:
        """Tell whether a payload has one of the messages that went in."""
        ours = {id(message) for message in self.messages}
        ids = {str(message["id"]) for message in self.messages if "id" in message}
        return any(
            id(message) in ours or ("id" in message and str(message["id"]) in ids)
            for message in payload.messages
        )

    def restored(self) -> Payload:
        """Give the payload once more, for what operators let go of before they failed."""
        return Payload(self.messages)


def _missing(replies: tuple[str, ...], payload: Payload) -> tuple[str, ...]:
    there = {str(message.get("id")) for message in payload.messages}
    return tuple(reply for reply in replies if reply not in there)


def _nonsense(error: Exception) -> ExtensionError:
    failure = ExtensionError("an extension made nonsense of a payload")
    failure.__cause__ = error
    return failure


def _failure(error: BaseException) -> ExtensionError:
    if isinstance(error, ExtensionError):
        return error
    # Not the error's text, which is the user's and may hold a credential; the cause has it.
    failure = ExtensionError(f"an extension failed: {type(error).__name__}")
    failure.__cause__ = error
    return failure
