"""Which session a client has: opened on demand or by name, shared by all its observers.

The session is lazy. Observers, and an explicit ``open()``, hold it; when the last of them lets
go it is closed. A session that ended is released before its observers are told, so that a
``retry`` that subscribes again from within ``on_error`` finds the way free for a new one.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from reactivex import abc
from reactivex.disposable import Disposable

from rx_cometd._flow.dispatch import LastingObserver, is_on_wire
from rx_cometd._flow.edge import report_failure, running_loop
from rx_cometd._flow.multicast import fail_observer, notify_end, report_unhandled
from rx_cometd._flow.observable import LoopObservable
from rx_cometd._session.flow_control import FlowControl
from rx_cometd._session.session import Session
from rx_cometd._transports import timeout_after
from rx_cometd.exceptions import ClientInvalidOperation, TransportTimeoutError
from rx_cometd.states import ClientState, StateChange
from rx_cometd.statistics import Counters

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from rx_cometd._flow.flow import Overflow
    from rx_cometd._protocol.subscriptions import Fields
    from rx_cometd._session.settings import Settings

__all__ = ["SharedSession"]

_NOT_OPEN = (
    "the client is not open: open it first, with `async with client` or `await client.open()`"
)


class SharedSession:
    """The sessions of a client, one after the other.

    Args:
        settings: The client's settings.
        max_pending_count: The client's default bound.
        overflow: The client's default policy.
    """

    def __init__(
        self, settings: Settings, max_pending_count: int, overflow: Overflow | None
    ) -> None:
        self._settings = settings
        self.counters = Counters()
        self.flow = FlowControl(max_pending_count, overflow, self.counters)
        self.current: Session | None = None
        #: The session in use, or the last one, which may still be closing.
        self._last: Session | None = None
        #: What observers of the state were told last.
        self._told = StateChange(ClientState.DISCONNECTED)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._held = False
        #: How often the client was closed.
        self._closings = 0
        self._state_observers: dict[abc.ObserverBase[StateChange], None] = {}
        #: Changes of the state that observers are still to be told.
        self._untold: deque[StateChange] = deque()
        self._telling = False
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> ClientState:
        """Where the client is in the life of its session, which alone knows."""
        return ClientState.DISCONNECTED if self._last is None else self._last.state

    # -- opening and closing -------------------------------------------------------------------

    async def open(self) -> None:
        """Hold a session, and wait until it is connected.

        Raises:
            ClientInvalidOperation: One is held already.
            CometDError: It could not be opened.
        """
        self.check_loop()
        if self._closing:  # or this would join a session that is about to end
            await self._wait_for_closing()
        # A session that ended by itself is held no longer, though nobody closed it.
        if self._held and self.current is not None:
            raise ClientInvalidOperation("the client is open already")
        session = self._acquire()
        self._held = True  # not before: an extension may fail to make its operators
        try:
            await session.opened()
        except asyncio.CancelledError:
            await self._abandon(session)
            raise
        except BaseException:
            self._held = False
            await session.closed()
            raise

    async def _wait_for_closing(self) -> None:
        """Wait for a closing under way, unless the client is closed once more meanwhile."""
        closings = self._closings
        while self._closing:
            await asyncio.wait(self._closing)
        if closings != self._closings:
            raise ClientInvalidOperation("the client was closed")

    async def _abandon(self, session: Session) -> None:
        """Release a session whose opening was cancelled, unless observers need it."""
        self._held = False
        if not session.dispatch.is_empty:
            return
        self._detach(session)
        session.end(None)
        await session.closed()

    async def close(self) -> None:
        """Close the session in order; observers complete.

        A caller that is cancelled does not stop the closing.
        """
        self.check_loop()
        self._held = False
        self._closings += 1
        if self.current is not None:
            await asyncio.shield(self._close_in_background(self.current))
        while self._closing:
            # Taken out here: waiting for what is done already does not give way to the loop.
            done, _ = await asyncio.wait(self._closing)
            self._closing -= done

    async def drain(self, timeout: float | None) -> None:
        """Have everything processed that came, and everything sent, then close.

        Raises:
            ClientInvalidOperation: The client is in use on another event loop, or this is called
                by work that would be waited for.
            TransportTimeoutError: It took longer.
        """
        self.check_loop()
        if self.current is not None:
            self.current.check_drainable()
        try:
            if self.current is not None:
                async with timeout_after(timeout):
                    await self.current.drain()
        except TimeoutError:
            text = f"not everything was processed and sent within {timeout} s; the client is closed"
            raise TransportTimeoutError(text) from None
        finally:
            await self.close()

    def open_session(self) -> Session:
        """Give the session that is in use.

        Raises:
            ClientInvalidOperation: There is none, or it lives on another event loop.
        """
        self.check_loop()
        if self.current is None:
            raise ClientInvalidOperation(_NOT_OPEN)
        return self.current

    def living_loop(self) -> asyncio.AbstractEventLoop:
        """Give the event loop that the client lives on, for other threads.

        Raises:
            ClientInvalidOperation: The client was never opened, or its loop is closed.
        """
        if self.loop is None or self.loop.is_closed():
            raise ClientInvalidOperation(_NOT_OPEN)
        return self.loop

    @property
    def leaves_raw(self) -> bool:
        """Whether the data of messages is left as JSON, for typed channels."""
        return self._settings.codec.leaves_raw

    def check_loop(self) -> None:
        """Forget what a closed event loop left behind; refuse to be used on two at once.

        Raises:
            ClientInvalidOperation: The client is in use on another event loop.
            RuntimeError: No event loop is running.
        """
        loop = running_loop()
        if self.loop is loop or self.loop is None:
            return
        if self.loop.is_closed():
            self._forget_session()
        elif self.current is not None or self._closing:
            raise ClientInvalidOperation(
                "the client is in use on another event loop: close it there first, make a client "
                "for each loop, or use publish_threadsafe from other threads"
            )
        self.loop = loop

    def _forget_session(self) -> None:
        """Release a session whose event loop was closed; nobody there is left to be told."""
        if self._last is not None:
            self._last.dispatch.take_all()
        self.current = self._last = None
        self._told = StateChange(ClientState.DISCONNECTED)
        self._held = self._telling = False
        self._state_observers.clear()
        self._untold.clear()
        self._closing.clear()
        self.flow.forget()

    def _acquire(self) -> Session:
        self.check_loop()
        if self.current is None:
            self.loop = running_loop()
            self.current = self._last = Session(self._settings, self, self.flow, self.counters)
            self.flow.dispatch = self.current.dispatch
            self.current.open()
        return self.current

    def _detach(self, session: Session) -> None:
        if self.current is session:
            self.current = None

    def _release_soon(self, session: Session) -> None:
        """Close a session that nobody needs, unless somebody does by the end of this turn."""
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon(self._release, session)

    def _release(self, session: Session) -> None:
        if self._held or not session.dispatch.is_empty or self.current is not session:
            return
        self._detach(session)
        self._close_in_background(session)

    def _close_in_background(self, session: Session) -> asyncio.Task[None]:
        return self._finish_in_background(session.close(), "close")

    def _finish_in_background(
        self, coroutine: Coroutine[Any, Any, None], name: str
    ) -> asyncio.Task[None]:
        task = running_loop().create_task(coroutine, name=f"rx_cometd.client.{name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        task.add_done_callback(report_failure)
        return task

    # -- observers -----------------------------------------------------------------------------

    def observe(
        self, key: str, observer: abc.ObserverBase[Any], fields: Fields = None
    ) -> abc.DisposableBase:
        """Add an observer to a channel, opening a session if there is none.

        Args:
            key: The channel or glob, or `EVERYTHING`.
            observer: The observer.
            fields: Extra fields of the subscribe request.

        Returns:
            What removes it; may be disposed of from any thread.
        """
        session = self._acquire()
        refusal = session.refusal
        if refusal is not None:
            # Told in a later turn: what tries again at once, as `retry` does, would never end.
            telling = running_loop().call_soon(notify_end, observer, refusal, session.report)
            return Disposable(telling.cancel)
        if session.dispatch.add(key, observer) and is_on_wire(key):
            session.requests.subscribe(key, fields)
        return _Observation(self, session, key, observer)

    def remove(self, session: Session, key: str, observer: abc.ObserverBase[Any]) -> None:
        """Remove an observer from a channel, on the loop of its session."""
        if session.dispatch.remove(key, observer):
            if is_on_wire(key):
                session.requests.unsubscribe(key)
            self._release_soon(session)

    def observe_state(
        self, observer: abc.ObserverBase[StateChange], _: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        """Add an observer of the state; it gets the present one at once.

        What it changes then is told after that, to everybody.
        """
        was_telling, self._telling = self._telling, True
        try:
            observer.on_next(self._told)
            self._state_observers[observer] = None
        finally:
            self._telling = was_telling
            self._tell_changes()
        return Disposable(lambda: self._state_observers.pop(observer, None))

    def states(self) -> LoopObservable[StateChange]:
        """Give the observable of the state."""
        return _States(self)

    # -- what a session tells ------------------------------------------------------------------

    def session_changed(self, session: Session, change: StateChange) -> None:
        """Hand a change of the state on, unless another session is in use by now.

        Whoever hears that the old session is over may open a new one from there; what that
        changes is told to everybody after what they are being told.
        """
        if self.current is not None and session is not self.current:
            return
        if change.state is ClientState.DISCONNECTED:
            self._detach(session)
        self._untold.append(change)
        self._tell_changes()

    def _tell_changes(self) -> None:
        """Tell the observers of the state what they were not told, unless that is being done."""
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                self._told = self._untold.popleft()
                for observer in list(self._state_observers):
                    try:
                        observer.on_next(self._told)
                    except BaseException as error:
                        fail_observer(observer, error, report_unhandled)
        finally:
            self._telling = False

    def session_ended(self, session: Session, error: Exception | None) -> None:
        """Release a session, and tell its observers."""
        self._detach(session)
        # Whoever closes the client now still waits for the sockets to be closed.
        self._finish_in_background(session.closed(), "end")
        for observer in session.dispatch.take_all():
            notify_end(observer, error, session.report)

    def subscription_failed(self, session: Session, channel: str, error: Exception) -> None:
        """Tell the observers of a refused channel."""
        for observer in session.dispatch.take(channel):
            if isinstance(observer, LastingObserver):
                observer.subscription_failed(channel, error)
            else:
                notify_end(observer, error, session.report)
        self._release_soon(session)


class _States(LoopObservable[StateChange]):
    """The state of a client, to be observed on the event loop that the client lives on."""

    def __init__(self, shared: SharedSession) -> None:
        super().__init__(shared.observe_state)
        self._shared = shared

    def _check_subscribable(self) -> None:
        super()._check_subscribable()
        self._shared.check_loop()


class _Observation(abc.DisposableBase):
    """What removes an observer; may be disposed of from any thread, any number of times.

    There is one for each subscription of each observer, so it has no closure and no lock: when two
    threads dispose of it at the same time, the loop sorts that out.
    """

    __slots__ = ("_key", "_loop", "_observer", "_session", "_shared", "_thread")

    def __init__(
        self,
        shared: SharedSession,
        session: Session,
        key: str,
        observer: abc.ObserverBase[Any],
    ) -> None:
        self._shared = shared
        self._session: Session | None = session
        self._key = key
        self._observer = observer
        self._loop = running_loop()
        self._thread = threading.get_ident()

    def dispose(self) -> None:
        """Remove the observer, once."""
        session, self._session = self._session, None
        if session is None:
            return
        if self._loop.is_closed():
            session.dispatch.remove(self._key, self._observer)
        elif threading.get_ident() == self._thread:
            self._shared.remove(session, self._key, self._observer)
        else:
            remove = self._shared.remove
            self._loop.call_soon_threadsafe(remove, session, self._key, self._observer)
