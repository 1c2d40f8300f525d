"""Publishing what an observable emits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

from rx_cometd._flow.arguments import check_methods, check_plain_function, check_positive
from rx_cometd._protocol.channel_names import validate_target
from rx_cometd.operators.map_async import map_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from reactivex import Observable

    from rx_cometd._flow.flow import Overflow
    from rx_cometd.messages import Message

__all__ = ["Publisher", "publish_to"]


class Publisher(Protocol):
    """What `publish_to` needs from a client."""

    async def publish(self, channel: str, data: Any, /) -> Message:
        """Publish, and return the reply."""
        ...


@overload
def publish_to(
    client: Publisher,
    channel: str | Callable[[Any], str],
    *,
    max_in_flight: int = 16,
    errors: Literal["raise"] = "raise",
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
) -> Callable[[Observable[Any]], Observable[Message]]: ...
@overload
def publish_to(
    client: Publisher,
    channel: str | Callable[[Any], str],
    *,
    max_in_flight: int = 16,
    errors: Literal["value"],
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
) -> Callable[[Observable[Any]], Observable[Message | Exception]]: ...
def publish_to(
    client: Publisher,
    channel: str | Callable[[Any], str],
    *,
    max_in_flight: int = 16,
    errors: Literal["raise", "value"] = "raise",
    max_pending_count: int | None = None,
    overflow: Overflow | None = None,
) -> Callable[[Observable[Any]], Observable[Any]]:
    """Publish each item, and emit the replies in the order of the items.

    .. marble::
        :alt: publish_to

        --1---2-------|
        [ publish_to(client, "/orders") ]     a reply takes three ticks
        -----r1--r2---|

    Items wait in a bounded buffer while ``max_in_flight`` replies are outstanding. Nothing is
    published twice. A message counts as processed (for replay markers) once the reply to the
    item made from it has arrived.

    Args:
        client: The client to publish with; anything that has its `publish`.
        channel: The channel to publish on, or a function that returns it for an item.
        max_in_flight: How many publishes may wait for their reply at once.
        errors: ``"raise"``: the first publish that fails ends the stream with its error.
            ``"value"``: its exception is emitted in place of the reply, and the stream goes on.
        max_pending_count: How many items may wait; ``<= 0`` is unbounded, ``None`` the client's
            bound if the source belongs to a client, else 100.
        overflow: What a full buffer does; ``None`` is the client's policy, else ``ERROR``.

    Errors:
        What ``channel`` raises. `ServerError`, `TransportError` and others of `publish`, unless
        ``errors="value"``. `BufferOverflowError`, and errors of the source, after the replies.

    Returns:
        A pipeable operator. It has to be subscribed on a running event loop.

    Raises:
        TypeError: An argument is of the wrong kind.
        InvalidChannelError: ``channel`` is not a channel that can be published to.
        ValueError: ``max_in_flight`` is less than 1, or ``errors`` is neither.

    Example:
        >>> import asyncio, reactivex
        >>> from reactivex import operators as ops
        >>> class Echo:
        ...     async def publish(self, channel, data, /):
        ...         return {"channel": channel, "successful": True, "data": data}
        >>> async def main():
        ...     replies = reactivex.of("a", "b").pipe(publish_to(Echo(), "/chat"), ops.to_list())
        ...     return [reply["data"] for reply in await replies]
        >>> asyncio.run(main())
        ['a', 'b']
    """
    check_methods("client", client, "publish")
    if isinstance(channel, str):
        validate_target(channel)
    else:
        check_plain_function("channel", channel)
    check_positive("max_in_flight", max_in_flight)
    if errors not in ("raise", "value"):
        raise ValueError(f'errors must be "raise" or "value", not {errors!r}')

    async def publish(item: Any) -> Message | Exception:
        target = channel if isinstance(channel, str) else channel(item)
        try:
            return await client.publish(target, item)
        except Exception as error:
            if errors == "raise":
                raise
            return error

    return map_async(
        publish,
        max_concurrency=max_in_flight,
        max_pending_count=max_pending_count,
        overflow=overflow,
    )
