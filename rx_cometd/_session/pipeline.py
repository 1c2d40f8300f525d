"""The pipelines: payloads through the operators of the extensions, one way each.

A pipeline is a source, the operators after it, and an observer at the end. Synchronous
operators emit a payload before `Pipeline.push` returns, so they cost no turn of the event loop
and no timer; asynchronous ones emit it later, in order. After each operator the pipeline looks at
what was emitted, so that it knows which payload that is made of (`InFlight`). A payload that no
operator holds any more was dropped, which is told at once; one that is held for too long is given
back. A pipeline whose operators fail or complete is replaced, and what was in it is given back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rx_cometd._flow.payload import Payload, claim
from rx_cometd._protocol.user_functions import ends_program
from rx_cometd._session.chain import Chain
from rx_cometd._session.flights import Flights
from rx_cometd._session.in_flight import InFlight, Watched
from rx_cometd.exceptions import ExtensionError

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from reactivex import abc

    from rx_cometd._session.listeners import PipelineListener
    from rx_cometd.extension import PayloadOperator
    from rx_cometd.messages import Message

__all__ = ["Pipeline", "malformed"]

_log = logging.getLogger("rx_cometd.pipeline")

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
        self._listener = listener
        self._timeout = timeout
        self._chain = Chain(operators, self, scheduler)
        self._flights: Flights[_Owner] = Flights()
        #: The payload that is being pushed, and its messages, while they are not followed.
        self._entering: tuple[Payload, Watched, list[Message]] | None = None
        #: For the oldest in flight.
        self._timer: asyncio.TimerHandle | None = None
        self._disposed = False
        #: When something that was waited for last came out, by the loop's clock.
        self._last_emission = 0.0
        # Now, not with the first payload: operators may subscribe a turn later (``merge`` does).
        self._chain.connect()

    # -- in ------------------------------------------------------------------------------------

    def push(
        self,
        messages: list[Message],
        headers: MutableMapping[str, str] | None,
        owner: _Owner | None,
        replies: tuple[str, ...] = (),
    ) -> None:
        """Let a payload enter. It comes out to the listener, perhaps before this returns.

        Args:
            messages: Its messages. The extensions get another list of them, theirs to change.
            headers: Its headers.
            owner: Who waits for it, ``None`` if nobody does.
            replies: The ids of the replies in it.
        """
        watched = Watched(messages)
        payload = Payload(watched, headers, known=True)
        self._entering = (payload, watched, messages)
        if owner is not None or self._flights:
            self._follow(owner, replies)
        try:
            self._chain.emit(payload)
        except BaseException as error:
            if ends_program(error):
                raise
            self.chain_failed(error)
        self._follow()
        if self._flights:
            del payload, watched  # else they would be held here
            self._wait_for_newest()

    def _follow(self, owner: _Owner | None = None, replies: tuple[str, ...] = ()) -> None:
        """Follow the messages of the payload that enters.

        Most need not be followed: nobody waits for them, no extension asked for receipts, and
        what comes out is what entered, before anything else does.
        """
        if self._entering is not None:
            payload, watched, messages = self._entering
            self._entering = None
            deadline = self._loop.time() + self._timeout
            self._flights.add(
                InFlight(
                    payload, watched, messages, owner=owner, replies=replies, deadline=deadline
                )
            )

    def dispose(self) -> None:
        """End the pipeline; what is in it stays in it."""
        self._disposed = True
        self._entering = None
        self._flights.clear()
        self._chain.disconnect()
        if self._timer is not None:
            self._timer.cancel()

    def holds(self, reply: str) -> bool:
        """Tell whether a reply is inside."""
        return any(reply in entry.replies for entry in self._flights)

    def _wait_for_newest(self) -> None:
        """Wait for what entered last and did not come out, unless an extension dropped it."""
        entry = self._flights.newest
        if entry.waited_for:
            return
        entry.waited_for = True
        entry.on_released(lambda _: self._released(entry))
        if not entry.may_come():
            self._released(entry)
        if self._timer is None:
            self._timer = self._loop.call_at(entry.deadline, self._expire)

    # -- what operators emit -------------------------------------------------------------------

    def passed(self, stage: int, payload: Any) -> None:
        """Take note of what an operator emitted to the next one."""
        if self._passes_unchanged(payload):
            return
        self._follow()
        if isinstance(payload, Payload) and not payload.emitted:
            try:
                self._flights.find(payload, stage)
            except Exception as error:
                payload.failure = malformed(error)

    def _passes_unchanged(self, payload: Any) -> bool:
        """Tell whether what an operator emitted is what is being pushed, and no more to be told."""
        entering = self._entering
        return (
            entering is not None
            and payload is entering[0]
            and payload.failure is None
            and not payload.has_receipts
        )

    # -- out -----------------------------------------------------------------------------------

    def came_out(self, payload: Any) -> None:
        """Take what the last operator emitted."""
        if self._passes_unchanged(payload):
            self._entering = None
            payload.emitted = True
            self._listener.emitted((), payload, ())
            return
        self._follow()
        if self._chain.connecting:
            _log.warning(
                "dropped %r: an extension emitted it before any was received",
                payload,
                extra={"event": "payload_unexpected", "direction": "in"},
            )
            return
        if not isinstance(payload, Payload):
            kind = type(payload).__name__
            self.chain_failed(ExtensionError(f"an extension emitted a {kind} instead of a Payload"))
            return
        if payload.emitted:
            # Emitted twice: delivered twice, but its receipts are given once.
            payload = Payload(payload.messages, payload.headers)
            payload.emitted = True
        known = payload.in_flight
        try:
            entry = None if payload.emitted else self._flights.find(payload, len(self._chain))
            late = entry is None and not payload.emitted and self._flights.is_late(payload)
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
            self._flights.remove(entry)
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
        if entry in self._flights and not self._loop.is_closed():
            # In the next turn: an operator may have its failure told by then.
            self._loop.call_soon(self._drop_if_released, entry)

    def _drop_if_released(self, entry: InFlight[_Owner]) -> None:
        if entry in self._flights and not entry.may_come():
            self._drop(entry)

    def _drop(self, entry: InFlight[_Owner]) -> None:
        """Settle what an extension dropped: nothing of it can come out any more."""
        if entry.owners or entry.replies:
            self._flights.abandon(entry)
            error = ExtensionError(
                "an extension dropped the payload: an operator emitted nothing for it, and holds "
                "neither the payload nor another one with its messages"
            )
            _log.error("%s", error, extra={"event": "payload_dropped"})
            self._listener.failed(entry.owners, None, entry.replies, error)
        else:
            self._flights.remove(entry)
        entry.receipts.settle()

    def chain_completed(self) -> None:
        self.chain_failed(ExtensionError("an extension completed its stream of payloads"))

    def _fail_malformed(self, known: object, error: Exception) -> None:
        """Fail what an extension made unreadable: that payload alone, if it is known which."""
        failure = malformed(error)
        for entry in self._flights:
            if entry is known:
                _log.error("%s", failure, exc_info=error, extra={"event": "payload_malformed"})
                self._flights.remove(entry)
                self._listener.failed(entry.owners, None, entry.replies, failure)
                return
        self.chain_failed(failure)

    def chain_failed(self, error: BaseException) -> None:
        """Start over after a failure, and give back what was inside."""
        if self._disposed:
            return
        self._follow()
        _log.error(
            "an extension failed; a new pipeline is made",
            exc_info=error,
            extra={"event": "extension_failed"},
        )
        # Held from here on: what the operators lose by being disposed of was not dropped by them.
        inside = list(self._flights)
        held = [entry.payloads() for entry in inside]
        self._flights.clear()
        self._chain.disconnect()
        if inside and not self._chain.connecting:
            # Else the next payload tries it: operators that fail by themselves must not spin.
            self._connect_anew()
        for entry in inside:
            self._give_back(entry, _failure(error))
        del held

    def _connect_anew(self) -> None:
        try:
            self._chain.connect()
        except Exception:
            self._chain.disconnect()
            _log.exception(
                "an extension cannot be made again", extra={"event": "extension_not_renewed"}
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
        while (entry := next(iter(self._flights), None)) is not None:
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
            self.chain_failed(error)
            return
        _log.error("%s", error, extra={"event": "payload_held"})
        self._flights.abandon(entry)
        self._give_back(entry, error)


def malformed(error: Exception) -> ExtensionError:
    """Make the error of a payload that cannot be read after an extension had it."""
    failure = ExtensionError(
        "an extension emitted a payload whose messages or headers cannot be read: messages are a "
        "list of dictionaries, headers a mapping of texts"
    )
    failure.__cause__ = error
    return failure


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
