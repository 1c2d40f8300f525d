"""Extensions: pairs of pipeable operators on the inbound and outbound payloads of a session.

This file holds what an extension *is*. How a session composes and runs them is in
`rx_cometd._session.pipeline`; the ready-made ones are in `rx_cometd.extensions`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from reactivex import Observable

from rx_cometd._flow.arguments import check_plain_function
from rx_cometd._flow.edge import failure_of_awaited
from rx_cometd._flow.payload import Payload
from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from yarl import URL

    from rx_cometd.messages import Message
    from rx_cometd.states import ClientState
    from rx_cometd.statistics import ChannelStatistics, Statistics

__all__ = [
    "AuthExtension",
    "Extension",
    "Joined",
    "Operators",
    "Payload",
    "PayloadOperator",
    "Request",
]


PayloadOperator: TypeAlias = Callable[[Observable[Payload]], Observable[Payload]]


class Operators(NamedTuple):
    """The two operators of an extension for one session; ``None`` where it has none."""

    inbound: PayloadOperator | None = None
    outbound: PayloadOperator | None = None


class Joined(Protocol):
    """A client as its extensions see it."""

    @property
    def url(self) -> URL:
        """The server's address."""
        ...

    @property
    def state(self) -> ClientState:
        """Where the client is in the life of its session."""
        ...

    def statistics(self) -> Statistics:
        """Give the counters of the client."""
        ...

    def counting_channels(self) -> AbstractContextManager[None]:
        """Count what comes on each channel; holds no reference to the client."""
        ...

    def channel_statistics(self) -> dict[str, ChannelStatistics]:
        """Give what is known of each channel."""
        ...


class Request(NamedTuple):
    """A request of the user's, before it is sent."""

    kind: Literal["publish", "call"]
    channel: str
    fields: dict[str, Any]
    """Fields of the message beside channel and data, ``ext`` for instance; to be changed in place.
    What is in them may be the user's own: replace it, and leave it as it is."""
    client: Joined


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
            TypeError: One of them is no function, or a coroutine function, which is no operator
                yet: ``map_async`` makes one of it, or write a class.

        Example:
            >>> from reactivex import operators as ops
            >>> tagged = Extension.of(
            ...     outbound=ops.do_action(
            ...         lambda payload: payload.headers.update({"X-Tag": "7"})
            ...     )
            ... )
        """
        for name, operator in (("inbound", inbound), ("outbound", outbound)):
            if operator is not None:
                check_plain_function(name, operator)
        return _OperatorExtension(Operators(inbound, outbound))

    def operators(self) -> Operators:
        """Make the operators of one session; called for each session of each client."""
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

    def join(self, client: Joined) -> None:
        """Take note of a client that was made with this extension."""

    def around_request(self, request: Request) -> AbstractContextManager[object]:
        """Return a context manager that lasts from a publish or call to its reply.

        It is entered and left in the task of the caller, and gets the error of the request. It
        must not raise errors of its own.
        """
        del request
        return nullcontext()

    def fill_request(self, request: Request) -> None:
        """Add fields to a publish or call, in the task of its caller; must not raise."""

    def marker_ages(self) -> Mapping[str, float]:
        """Tell for how many seconds the replay marker of each channel has stood still.

        Counted is the time during which events that came were not processed; 0 while none
        waits. May be called from any thread. `replay` is the extension that has markers.
        """
        return {}

    async def finish(self) -> None:
        """Finish what a session left to do; awaited when one of its clients is closed."""

    async def _run_incoming(self, payload: Payload) -> Payload:
        if payload.failure is None:
            try:
                await self.incoming(payload.messages, payload.headers or None)
            except BaseException as error:
                payload.failure = failure_of_awaited(error, "incoming")
        return payload

    async def _run_outgoing(self, payload: Payload) -> Payload:
        if payload.failure is None:
            try:
                await self.outgoing(payload.messages, payload.headers)
            except BaseException as error:
                payload.failure = failure_of_awaited(error, "outgoing")
        return payload


class AuthExtension(Extension):
    """An extension that can renew its credentials.

    Its operators run nearest to the wire. `authenticate` is called after an authentication
    failure, once however many requests failed; those requests are then sent again once,
    through the outbound pipeline, so that `outgoing` can add the new credentials.

    All these requests wait for `authenticate`, so it is cancelled after the
    client's ``max_network_delay``, which counts as a failure.
    """

    @property
    def origin(self) -> URL | None:
        """Where the server is, in place of scheme, host and port of the client's address.

        Read for each payload, after the outbound operators; ``None``, the default: at the
        client's address. For servers whose login says which host to use.
        """
        return None

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
