"""Extensions: pairs of pipeable operators on the inbound and outbound payloads of a session.

This file holds what an extension *is*. How a session composes and runs them is in
`rx_cometd._session.pipeline`; the ready-made ones are in `rx_cometd.extensions`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from multidict import CIMultiDict
from reactivex import Observable

from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rx_cometd.messages import Message

__all__ = ["AuthExtension", "Extension", "Operators", "Payload", "PayloadOperator"]


class Payload:
    """What travels in one piece: a list of messages, and the headers that go with it.

    Attributes:
        messages: The messages; the list and the messages may be changed in place. ``id`` is
            the client's and is restored after the outbound pipeline. ``data`` is the very
            object that was published.
        failure: What an extension failed with. Set, it fails the requests of this payload alone
            with an `ExtensionError`, whereas an operator that raises takes along what else is
            in the pipeline at that time.
        emitted: Whether it came out of the pipeline (for the pipeline).
    """

    __slots__ = (
        "__weakref__",
        "_delivered",
        "_headers",
        "_processed",
        "_retries",
        "emitted",
        "failure",
        "messages",
    )

    def __init__(
        self, messages: list[Message], headers: MutableMapping[str, str] | None = None
    ) -> None:
        self.messages = messages
        self.failure: Exception | None = None
        self.emitted = False
        # What most payloads have no use for is made when it is asked for: one is made per frame.
        self._headers = headers
        self._delivered: list[Callable[[], None]] | None = None
        self._processed: dict[int, list[Callable[[], None]]] | None = None
        self._retries: set[str] | None = None

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
        return set() if self._retries is None else self._retries

    def __repr__(self) -> str:
        # Channels only: data and ext are the user's, and may hold credentials.
        channels = ", ".join(str(m.get("channel")) for m in self.messages[:5])
        more = ", ..." if len(self.messages) > 5 else ""
        return f"<Payload of {len(self.messages)}: {channels}{more}>"

    def on_delivered(self, callback: Callable[[], None]) -> None:
        """Have a callback called once all messages of this inbound payload were delivered."""
        if self._delivered is None:
            self._delivered = []
        self._delivered.append(callback)

    def on_processed(self, message: Message, callback: Callable[[], None]) -> None:
        """Have a callback called once an event message was delivered and processed.

        Processed means: every observer's ``on_next`` returned, and the buffers and
        asynchronous operators of rx_cometd that took the message in are done with it.
        Messages need not be processed in order.
        """
        if self._processed is None:
            self._processed = {}
        self._processed.setdefault(id(message), []).append(callback)

    def retry(self, reply: Message) -> None:
        """Have the request of a failed inbound reply sent again, instead of failing it.

        It passes the outbound pipeline anew, and is retried at most once.

        Args:
            reply: The reply; without an ``id`` it is not known what to send again, and the
                request fails.
        """
        if "id" in reply:
            self._retries = {*self.retries, str(reply["id"])}

    def delivered(self) -> None:
        """Say that all messages were delivered (for the session)."""
        for callback in self._delivered or ():
            callback()

    def processed_callbacks(self) -> Mapping[int, list[Callable[[], None]]]:
        """Give the callbacks of `on_processed` by ``id(message)`` (for the session)."""
        return {} if self._processed is None else self._processed


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
