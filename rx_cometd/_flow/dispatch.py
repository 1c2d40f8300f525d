"""From messages to observers: one dictionary look-up per message, one ``on_next`` per observer.

Three properties are kept here and nowhere else: an observer that raises fails alone,
a message that arrives while another is being delivered waits its turn, and the cost of
delivering a message does not depend on how many channels or globs are observed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from reactivex import abc

from rx_cometd._flow.delivery import Delivery
from rx_cometd._flow.ending import act_on_behalf_of, on_behalf_of
from rx_cometd._flow.multicast import Multicast, fail_observer
from rx_cometd._flow.payload import give_receipts
from rx_cometd._protocol.channel_names import globs, is_meta, is_service
from rx_cometd.messages import Event, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rx_cometd._flow.flow import Flow

__all__ = [
    "EVERYTHING",
    "Dispatch",
    "LastingObserver",
    "is_on_wire",
]

#: The key under which observers of every event message are kept; no channel can be named so.
EVERYTHING: Final = "*"

#: Channel names remembered with their observers, or twice as many as are observed; servers may
#: make them up without end.
_REMEMBERED: Final = 10_000


def is_on_wire(channel: str) -> bool:
    """Tell whether observing a channel takes a subscribe request.

    Service channels are listened to without one (Bayeux specification, "Service Channels"),
    meta channels and the key for everything have none.
    """
    return channel != EVERYTHING and not is_service(channel) and not is_meta(channel)


class LastingObserver(abc.ObserverBase[Event]):
    """An observer of several channels, which outlives the refusal of one of them."""

    @abstractmethod
    def subscription_failed(self, channel: str, error: Exception) -> None:
        """Take the refusal of a channel, at first or in a new session."""


class Dispatch:
    """Delivers messages to the observers of their channels.

    Args:
        report: Told of errors that no observer takes.
        client: On whose behalf messages are delivered.
    """

    def __init__(self, report: Callable[[BaseException], None], client: Flow | None = None) -> None:
        self._report = report
        self._client = client
        #: Observers by channel or glob; dictionaries keep their order, and find them at once.
        self._observers: dict[str, dict[abc.ObserverBase[Any], None]] = {}
        #: Whom to tell, by the channel of an event message: what delivering looks up.
        self._resolved: dict[str, abc.ObserverBase[Any] | Multicast[Any]] = {}
        #: The meta channels among the keys; nearly always none.
        self._meta: set[str] = set()
        #: Takes the messages that nobody else observes.
        self._fallback: abc.ObserverBase[Any] | None = None
        self._delivering = False
        self._waiting: deque[tuple[Sequence[Event], _Callbacks]] = deque()

    def add(self, key: str, observer: abc.ObserverBase[Any]) -> bool:
        """Add an observer to a channel or glob. Tells whether it is the first."""
        observers = self._observers.get(key)
        self._resolved.clear()
        if observers is not None:
            observers[observer] = None
            return False
        self._observers[key] = {observer: None}
        if key.startswith("/meta/"):
            self._meta.add(key)
        return True

    def remove(self, key: str, observer: abc.ObserverBase[Any]) -> bool:
        """Remove an observer from a channel or glob. Tells whether it was the last."""
        observers = self._observers.get(key)
        if observers is None or observer not in observers:
            return False
        self._resolved.clear()
        del observers[observer]
        if observers:
            return False
        del self._observers[key]
        self._meta.discard(key)
        return True

    @property
    def delivering(self) -> bool:
        """Whether event messages are being delivered right now."""
        return self._delivering

    @property
    def meta_observed(self) -> bool:
        """Whether anybody observes a meta channel."""
        return bool(self._meta)

    def observers(self, key: str) -> tuple[abc.ObserverBase[Any], ...]:
        """Give the observers of a channel or glob."""
        return tuple(self._observers.get(key, ()))

    @property
    def is_empty(self) -> bool:
        """Whether there is no observer at all."""
        return not self._observers

    def take(self, key: str) -> tuple[abc.ObserverBase[Any], ...]:
        """Remove the observers of a channel or glob, and give them."""
        self._resolved.clear()
        return tuple(self._observers.pop(key, ()))

    def take_all(self) -> list[abc.ObserverBase[Any]]:
        """Remove every observer, and give them, each once."""
        found = dict.fromkeys(o for observers in self._observers.values() for o in observers)
        if self._fallback is not None:
            found[self._fallback] = None
            self._fallback = None
        self._observers.clear()
        self._meta.clear()
        self._resolved.clear()
        return list(found)

    def set_fallback(self, observer: abc.ObserverBase[Any]) -> None:
        """Have an observer take the event messages that nobody else observes."""
        self._fallback = observer
        self._resolved.clear()

    def deliver(self, messages: Sequence[Event], processed: _Callbacks = None) -> None:
        """Deliver event messages, in order.

        Args:
            messages: The messages; each has a channel.
            processed: Callbacks by ``id(message)``, to be called once it was processed.
        """
        if self._delivering:
            self._waiting.append((messages, processed))
            return
        if self._client is not None and on_behalf_of() is not self._client:
            act_on_behalf_of(self._client)
        self._delivering = True
        try:
            self._deliver(messages, processed)
            while self._waiting:
                self._deliver(*self._waiting.popleft())
        finally:
            self._delivering = False

    def observes(self, channel: str) -> bool:
        """Tell whether anybody takes the event messages of a channel."""
        return bool(self._resolved.get(channel) or self._resolve(channel))

    def knows(self, payload: Any) -> bool:
        """Tell whether a payload holds nothing but event messages of channels seen before.

        Most payloads do, so this is asked first of one that was just decoded, whatever it turned
        out to be. The dictionary tells: only channels of event messages are remembered.
        """
        messages: Any = payload
        if not isinstance(payload, list) or not payload:
            return False
        known = self._resolved
        try:
            for message in messages:
                if "data" not in message or message["channel"] not in known:
                    return False
        except (KeyError, TypeError):
            return False
        return True

    def _deliver(self, messages: Sequence[Event], processed: _Callbacks) -> None:
        if processed:
            for message in messages:
                # What nobody takes was not processed: it is to come again, if it can.
                observed = self.observes(message["channel"])
                callbacks = processed.get(id(message), ()) if observed else ()
                with Delivery(partial(give_receipts, callbacks)):
                    self._deliver((message,), None)
            return
        for message in messages:
            # Looked up again each time: an observer may subscribe or dispose.
            try:
                observer = self._resolved[message["channel"]]
            except KeyError:
                observer = self._resolve(message["channel"])
            try:
                observer.on_next(message)
            except BaseException as error:
                self._fail_observer(observer, error)

    def deliver_meta(self, messages: Sequence[Message]) -> None:
        """Deliver meta messages to those who observe their channels, globs left aside."""
        for message in messages:
            channel: object = message.get("channel")
            if not isinstance(channel, str) or not channel.startswith("/meta/"):
                continue
            for observer in self.observers(channel):
                try:
                    observer.on_next(message)
                except BaseException as error:
                    self._fail_observer(observer, error)

    def _resolve(self, channel: str) -> abc.ObserverBase[Any] | Multicast[Any]:
        """Find who observes a channel: its own observers, those of globs, those of everything.

        An observer found under several keys (the pull view) is there once.
        """
        if len(self._resolved) >= max(_REMEMBERED, 2 * len(self._observers)):
            self._resolved.clear()
        keys = (channel, *globs(channel), EVERYTHING)
        found = dict.fromkeys(o for key in keys for o in self._observers.get(key, ()))
        if not found and self._fallback is not None:
            found[self._fallback] = None
        told = next(iter(found)) if len(found) == 1 else Multicast(tuple(found), self._report)
        self._resolved[channel] = told
        return told

    def _fail_observer(
        self, observer: abc.ObserverBase[Any] | Multicast[Any], error: BaseException
    ) -> None:
        """Take an observer that raised out, and let it know; the others go on."""
        if isinstance(observer, Multicast):
            raise error  # what it does not see to itself is to end the program
        fail_observer(observer, error, self._report)


if TYPE_CHECKING:
    _Callbacks = Mapping[int, Sequence[Callable[[], None]]] | None
