"""Events out of Redis Streams (``pip install 'rx-cometd[redis]'``)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ResponseError

from rx_cometd.relay.consuming import Consumed, consume
from rx_cometd.relay.record import event_of
from rx_cometd.relay.redis_connection import check_address, connect, redis_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reactivex import Observable

    from rx_cometd.messages import Event

__all__ = ["from_redis"]

_MILLISECONDS = 1000


def from_redis(
    url: str,
    stream: str,
    group: str,
    *,
    consumer: str = "rx-cometd",
    max_in_flight: int = 100,
) -> Observable[Event]:
    """Make an observable of what a consumer group of a Redis stream gives.

    Events come at least once, from the beginning of the stream at first. The consumers of a group
    share them. What a consumer had not processed when it died comes again, before anything else,
    when one of its name begins: names should outlast restarts.

    Args:
        url: ``redis://host:port/database``.
        stream: The key of the stream.
        group: The name of the group; made if there is none.
        consumer: The name of this consumer within the group.
        max_in_flight: How many events may be delivered and not processed.

    Raises:
        ValueError: ``max_in_flight`` is less than 1, or ``url`` no such address.
    """
    check_address(url)  # what is wrong with the address is to be known at once
    return consume(lambda: _RedisConsumer(url, stream, group, consumer), max_in_flight)


class _RedisConsumer:
    """A consumer of a group: first what it was given before, then what is new."""

    def __init__(self, url: str, stream: str, group: str, consumer: str) -> None:
        self._client = connect(url)
        self._stream = stream
        self._group = group
        self._consumer = consumer
        # Where to read on in what was given before; None: that is done.
        self._before: str | None = "0"
        self._made = False
        self._processed: list[bytes] = []

    async def fetch(self, count: int) -> Sequence[Consumed]:
        with redis_errors():
            await self._make_group()
            if self._before is not None:
                entries = await self._read(self._before, count)
                if entries:
                    self._before = entries[-1][0].decode()
                    return [self._consumed(*entry) for entry in entries]
                self._before = None
            return [self._consumed(*entry) for entry in await self._read(">", count)]

    async def _make_group(self) -> None:
        if not self._made:
            with suppress(ResponseError):  # BUSYGROUP: it is there
                await self._client.xgroup_create(self._stream, self._group, "0", mkstream=True)
            self._made = True

    async def _read(self, after: str, count: int) -> list[tuple[bytes, dict[bytes, bytes]]]:
        answer: Any = await self._client.xreadgroup(
            self._group, self._consumer, {self._stream: after}, count, block=_MILLISECONDS
        )
        # Pairs of a stream and its entries; with RESP3 a mapping whose values are lists of them.
        found: Any = answer
        if isinstance(answer, dict):
            found = [(self._stream, chunks[0]) for chunks in cast("Any", answer).values()]
        return found[0][1] if found else []

    def _consumed(self, number: bytes, fields: dict[bytes, bytes]) -> Consumed:
        headers = {name.decode(): value.decode() for name, value in fields.items()}
        value = headers.pop("data", "null").encode()
        channel = "/" + self._stream.replace(".", "/")
        return Consumed(
            event_of(headers, value, channel=channel), lambda: self._processed.append(number)
        )

    async def settle(self) -> None:
        if self._processed:
            with redis_errors():
                processed = self._processed.copy()
                await self._client.xack(self._stream, self._group, *processed)
            del self._processed[: len(processed)]

    async def aclose(self) -> None:
        await self._client.aclose()
