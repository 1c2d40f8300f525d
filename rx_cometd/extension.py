"""Extensions: pairs of pipeable operators on the inbound and outbound payloads of a session.

This file holds what an extension *is*. How a session composes and runs them is in
`rx_cometd._session.pipeline`; the ready-made ones are in `rx_cometd.extensions`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakSet

from multidict import CIMultiDict
from reactivex import Observable

from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rx_cometd.messages import Message

__all__ = ["AuthExtension", "Extension", "Operators", "Payload", "PayloadOperator"]


class Receipts:
    """What extensions asked to be told about the messages of an inbound payload.

    They follow the messages: the session moves them where an operator puts another message, or
    another payload, in the place of one.

    Attributes:
        delivered: Called once all messages were delivered.
        processed: Called once a message was processed, by ``id(message)``.
        retries: The ids of the replies whose requests are to be sent again.
    """

    __slots__ = ("delivered", "processed", "retries")

    def __init__(self) -> None:
        # One is made per payload, and nearly always stays empty: hence the immutable ones.
        self.delivered: tuple[Callable[[], None], ...] = ()
        self.processed: dict[int, tuple[Callable[[], None], ...]] = {}
        self.retries: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.delivered or self.processed)

    def add(self, other: Receipts) -> None:
        """Take in those of another payload, one made of the same messages or merged with it."""
        if other is not self:
            self.delivered += other.delivered
            for key, callbacks in other.processed.items():
                self.processed[key] = self.processed.get(key, ()) + callbacks
            self.retries |= other.retries

    def move(self, old: Message, new: Message) -> None:
        """Move those of a message to the one that is there instead."""
        callbacks = self.processed.pop(id(old), None)
        if callbacks is not None:
            self.processed[id(new)] = callbacks

    def take(self, keys: Collection[int], *, whole: bool) -> Receipts:
        """Take out those of some messages, and, with the last of them, those of the whole."""
        taken = Receipts()
        taken.retries = self.retries
        if self.processed:
            for key in self.processed.keys() & keys:
                taken.processed[key] = self.processed.pop(key)
        if whole:
            taken.delivered, self.delivered = self.delivered, ()
        return taken

    def settle(self) -> None:
        """Call those that are left: their messages were dropped, and nobody will process them."""
        callbacks = [*self.delivered, *chain.from_iterable(self.processed.values())]
        self.delivered = ()
        self.processed.clear()
        for callback in callbacks:
            callback()


class Payload:
    """What travels in one piece: a list of messages, and the headers that go with it.

    An operator may emit another one in its place, of the same messages, of copies, of some of
    them, or of those of several payloads. What was asked for with `on_delivered`, `on_processed`
    and `retry` stays with the messages.

    Attributes:
        messages: The messages; the list and the messages may be changed in place. ``id`` is
            the client's and is restored after the outbound pipeline. ``data`` is the very
            object that was published.
        failure: What an extension failed with. Set, it fails the requests of this payload alone
            with an `ExtensionError`, whereas an operator that raises takes along what else is
            in the pipeline at that time.
        emitted: Whether it came out of the pipeline (for the session).
        in_flight: What a pipeline knows of it (for the session).
        receipts: What extensions asked to be told about its messages (for the session).
        serial: A number that grows with each payload made (for the session).
    """

    __slots__ = (
        "__weakref__",
        "_headers",
        "emitted",
        "failure",
        "in_flight",
        "messages",
        "receipts",
        "serial",
    )

    def __init__(
        self, messages: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        self.messages = messages
        self.failure: Exception | None = None
        self.emitted = False
        self.in_flight: object | None = None
        self.receipts = Receipts()
        self.serial = next(_serials)
        # Most payloads have no use for them, and one is made per frame: made when asked for.
        self._headers = headers
        _unclaimed.add(self)

    @property
    def headers(self) -> MutableMapping[str, str]:
        """Headers received, or to send; case-insensitive.

        Empty inbound, and without effect outbound, where the transport has none (a WebSocket
        but for its upgrade).
        """
        if self._headers is None:
            self._headers = CIMultiDict[str]()
        return self._headers

    @headers.setter
    def headers(self, headers: MutableMapping[str, str]) -> None:
        self._headers = headers

    @property
    def retries(self) -> Collection[str]:
        """The ids of the inbound replies that `retry` was asked for."""
        return self.receipts.retries

    def __repr__(self) -> str:
        # Channels only: data and ext are the user's, and may hold credentials.
        channels = ", ".join(str(m.get("channel")) for m in self.messages[:5])
        more = ", ..." if len(self.messages) > 5 else ""
        return f"<Payload of {len(self.messages)}: {channels}{more}>"

    def on_delivered(self, callback: Callable[[], None]) -> None:
        """Have a callback called once all messages of this inbound payload were delivered.

        A message that an extension drops counts as delivered.
        """
        self.receipts.delivered += (callback,)

    def on_processed(self, message: Message, callback: Callable[[], None]) -> None:
        """Have a callback called once an event message was delivered and processed.

        Processed means: every observer's ``on_next`` returned, and the buffers and
        asynchronous operators of rx_cometd that took the message in are done with it.
        Messages need not be processed in order. A message that an extension drops counts as
        processed.
        """
        processed = self.receipts.processed
        processed[id(message)] = (*processed.get(id(message), ()), callback)

    def retry(self, reply: Message) -> None:
        """Have the request of a failed inbound reply sent again, instead of failing it.

        It passes the outbound pipeline anew, and is retried at most once.

        Args:
            reply: The reply; without an ``id`` it is not known what to send again, and the
                request fails.
        """
        if "id" in reply:
            self.receipts.retries |= {str(reply["id"])}

    def delivered(self) -> None:
        """Say that all messages were delivered (for the session)."""
        for callback in self.receipts.delivered:
            callback()

    def processed_callbacks(self) -> Mapping[int, Sequence[Callable[[], None]]]:
        """Give the callbacks of `on_processed` by ``id(message)`` (for the session)."""
        return self.receipts.processed


_serials = count()
#: Payloads that no pipeline knows: an operator has made them and not emitted them yet.
_unclaimed: WeakSet[Payload] = WeakSet()


def claim(payload: Payload) -> None:
    """Take note that a pipeline knows a payload (for the session)."""
    _unclaimed.discard(payload)


def has_unclaimed(serial: int) -> bool:
    """Tell whether there are payloads that no pipeline knows, made since a serial number."""
    return bool(_unclaimed) and any(payload.serial > serial for payload in _unclaimed)


PayloadOperator: TypeAlias = Callable[[Observable[Payload]], Observable[Payload]]


class Operators(NamedTuple):
    """The two operators of an extension for one session; ``None`` where it has none."""

    inbound: PayloadOperator | None = None
    outbound: PayloadOperator | None = None


class Extension:
    """An extension, in one of two forms.

    Made of operators: `Extension.of`. As a class: subclass it and write `incoming`,
    `outgoing`, or both, as with aiocometd. Subclass and write `operators` where operators
    need state of their own for each session.

    Outbound, extensions run in the order of the client's list and an `AuthExtension` last;
    inbound the `AuthExtension` runs first, then the others in the order of the list.
    """

    @staticmethod
    def of(
        inbound: PayloadOperator | None = None, outbound: PayloadOperator | None = None
    ) -> Extension:
        """Make an extension of pipeable operators.

        Args:
            inbound: Applied to the payloads received; any ReactiveX operator.
            outbound: Applied to the payloads to send.

        Raises:
            TypeError: One of them is a coroutine function, which is no operator yet:
                ``map_async`` makes one of it, or write a class.

        Example:
            >>> from reactivex import operators as ops
            >>> tagged = Extension.of(
            ...     outbound=ops.do_action(
            ...         lambda payload: payload.headers.update({"X-Tag": "7"})
            ...     )
            ... )
        """
        for operator in (inbound, outbound):
            if inspect.iscoroutinefunction(operator):
                raise TypeError(f"an operator is needed, not the coroutine function {operator!r}")
        return _OperatorExtension(Operators(inbound, outbound))

    def operators(self) -> Operators:
        """Make the operators of one session; called anew for each session of each client."""
        cls = type(self)
        return Operators(
            inbound=(None if cls.incoming is Extension.incoming else _awaiting(self._run_incoming)),
            outbound=(
                None if cls.outgoing is Extension.outgoing else _awaiting(self._run_outgoing)
            ),
        )

    async def incoming(
        self, payload: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        """Look at, or change in place, the messages received.

        Args:
            payload: The messages, meta messages included.
            headers: The headers that came with them, ``None`` where the transport has none.
        """

    async def outgoing(self, payload: list[Message], headers: MutableMapping[str, str]) -> None:
        """Look at, or change in place, the messages to send and their headers.

        Args:
            payload: The messages, meta messages included.
            headers: The headers to send with them.
        """

    async def finish(self) -> None:
        """Finish what a session left to do; awaited when one of its clients is closed."""

    async def _run_incoming(self, payload: Payload) -> Payload:
        if payload.failure is None:
            try:
                await self.incoming(payload.messages, payload.headers or None)
            except Exception as error:
                payload.failure = error
        return payload

    async def _run_outgoing(self, payload: Payload) -> Payload:
        if payload.failure is None:
            try:
                await self.outgoing(payload.messages, payload.headers)
            except Exception as error:
                payload.failure = error
        return payload


class AuthExtension(Extension):
    """An extension that can renew its credentials.

    Its operators run nearest to the wire. `authenticate` is called after an authentication
    failure, once at a time however many requests failed; what failed is then sent again once,
    through the outbound pipeline, so that `outgoing` can put the new credentials in.
    """

    async def authenticate(self) -> None:
        """Get new credentials; does nothing by default, for credentials that are static.

        Raises:
            Exception: What is raised here fails the requests, as the cause of an
                `AuthenticationError`.
        """


class _OperatorExtension(Extension):
    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def operators(self) -> Operators:
        return self._operators


def _awaiting(function: Callable[[Payload], Awaitable[Payload]]) -> PayloadOperator:
    """Run a coroutine function per payload, one at a time, in order."""
    operator: Any = map_async(function, max_pending_count=0)
    return operator  # type: ignore[no-any-return]
